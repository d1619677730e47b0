"""A progress bar for work that takes long, and what else moves on a terminal.

It is shown on terminals only, so that a script finds nothing but errors on standard error.
"""

import os
import sys
from threading import RLock
from typing import TYPE_CHECKING, Never, TextIO

if TYPE_CHECKING:
    from tqdm import tqdm

CLEAR = "\x1b[H\x1b[2J"  # moves the cursor to the top left corner, and clears the screen
COLUMNS = 80  # for a terminal that doesn't tell its width


def is_shown() -> bool:
    """Whether a bar is shown: whether standard error is a terminal."""
    return is_terminal(sys.stderr)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether it is a terminal on which text can be overwritten, as a bar does all the time."""
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def bar(total: int) -> "tqdm[Never]":
    """A bar for `total` bytes, with the rate and the time left. It needs a terminal."""
    from tqdm import tqdm  # imported here because it is slow to load

    # One process shows bars, so they need no lock between processes. tqdm would make one, and
    # Python 3.14 starts a process for it, which complains when this one ends.
    tqdm.set_lock(RLock())
    if not is_shown():
        return tqdm(disable=True)
    return tqdm(total=total, unit="B", unit_scale=True, unit_divisor=1024, ncols=_columns())


def _columns() -> int | None:
    """The width of the bar; None means as wide as the terminal. `script` makes some of width 0."""
    try:
        return None if os.get_terminal_size(sys.stderr.fileno()).columns else COLUMNS
    except OSError:
        return COLUMNS
