"""A bar for what takes long.

Shown on a terminal only: standard error of a script has errors, nothing else.
"""

import os
import sys
from typing import TYPE_CHECKING, Never, TextIO

if TYPE_CHECKING:
    from tqdm import tqdm

COLUMNS = 80  # of a terminal that doesn't know


def is_shown() -> bool:
    """Whether somebody looks at standard error while it works."""
    return is_terminal(sys.stderr)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether it is a terminal on which what was written can be replaced."""
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def bar(total: int) -> "tqdm[Never]":
    """A bar over so many bytes, with rate and time left."""
    from tqdm import tqdm  # slow to load; most who ask for a duration never see a bar

    if not is_shown():
        return tqdm(disable=True)
    return tqdm(total=total, unit="B", unit_scale=True, unit_divisor=1024, ncols=_columns())


def _columns() -> int | None:
    """None: as many as the terminal says; some say none, such as those that `script` makes."""
    try:
        return None if os.get_terminal_size(sys.stderr.fileno()).columns else COLUMNS
    except OSError:
        return COLUMNS
