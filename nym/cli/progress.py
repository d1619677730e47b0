"""A bar for what takes long.

Shown on a terminal only: standard error of a script has errors, nothing else.
"""

import os
import sys
from typing import TYPE_CHECKING, Never, TextIO

if TYPE_CHECKING:
    from tqdm import tqdm


def is_shown() -> bool:
    """Whether somebody looks at standard error while it works."""
    return is_terminal(sys.stderr)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether it is a terminal on which what was written can be replaced."""
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def bar(total: int) -> "tqdm[Never]":
    """A bar over so many bytes, with rate and time left."""
    from tqdm import tqdm  # slow to load; most who ask for a duration never see a bar

    return tqdm(total=total, unit="B", unit_scale=True, unit_divisor=1024, disable=not is_shown())
