"""Stands for tokenize in the one file: linecache asks it for lines of sources, for tracebacks.

The file has no sources, and a file on the machine that is called like one of them is another one.
"""

from typing import NoReturn

import importer

__getattr__ = importer.rest_of("tokenize")


def open(filename: object) -> NoReturn:
    """Raise FileNotFoundError. A traceback then names the file and the line."""
    raise FileNotFoundError(filename)
