"""Stands for inspect in the one file: dataclasses loads it at the start of each command.

The library would load four others, to read sources and code, in 5 ms.
"""

from typing import Any

import importer

_rest = __getattr__ = importer.rest_of("inspect")


def signature(function: Any, **options: Any) -> Any:
    """What the library gives; for a data class nothing.

    dataclasses writes it into the docstring of each class, and there are no docstrings here.
    """
    if hasattr(function, "__dataclass_params__"):
        return ""
    return _rest("signature")(function, **options)
