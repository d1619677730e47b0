"""What the user is told of an error that nobody foresaw, and the report that goes with it.

A report says where it happened: types of errors, files, lines, functions. It has no values, no
texts of errors and no arguments, so no keys, addresses or messages.
"""

import os
import platform
import sys
import time
import traceback
from collections.abc import Iterator

from nym import __version__
from nym.cli.build import commit
from nym.cli.options import nym_folder
from nym.errors import ConfigError
from nym.files import make_folder, write_file

MOST = 20  # reports that are kept


def describe(error: BaseException) -> str:
    """A sentence for the user, with the path of the report that was written."""
    what = f"an error that should not happen ({type(error).__name__})"
    try:
        path = nym_folder() / f"crash-{time.strftime('%Y%m%d-%H%M%S')}-{os.urandom(2).hex()}.txt"
        make_folder(path.parent)
        write_file(path, "\n".join(_report(error)).encode())
        for old in sorted(path.parent.glob("crash-*.txt"))[:-MOST]:
            old.unlink(missing_ok=True)
    except (OSError, ConfigError) as failure:
        return f"{what}, and no report could be written: {failure}"
    return f"{what}; please send the maintainers this report, it has no secrets: {path}"


def _report(error: BaseException) -> Iterator[str]:
    yield f"nym-client {__version__}, commit {commit()}"
    yield f"Python {platform.python_version()}, {platform.platform()}"
    yield f"command: {next(iter(sys.argv[1:]), '')}"
    cause: BaseException | None = error
    told: set[int] = set()  # two errors can be each other's cause
    while cause is not None and id(cause) not in told:
        told.add(id(cause))
        yield ""
        yield f"{type(cause).__module__}.{type(cause).__qualname__}"
        for frame in traceback.extract_tb(cause.__traceback__):
            yield f"  {frame.filename}:{frame.lineno} {frame.name}"
        cause = cause.__cause__ or cause.__context__
    yield ""
