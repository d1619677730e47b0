"""What the user is told of an error that nobody foresaw, and the report that goes with it.

A report says where it happened: types of errors, files, lines, functions. It has no values, no
texts of errors and no arguments, so no keys, addresses or messages.

It may be made anywhere, in gevent's hub too, where nothing may wait, and when descriptors or memory
are what is missing: so no process is started for it, no source is read, and its length has a limit.
There is one for each cause; the same one again is only counted.
"""

import os
import sys
import time
from collections.abc import Iterator
from types import TracebackType

from nym import __version__
from nym.cli.build import commit
from nym.cli.options import nym_folder
from nym.errors import NymError
from nym.files import make_folder, write_file
from nym.net.descriptors import advice, is_lack

MOST = 20  # reports that are kept
MOST_CAUSES = 100  # that are told apart
_LONGEST_CHAIN = 10  # errors
_MOST_FRAMES = 100  # of each, the last ones

_causes: dict[tuple[str, ...], "_Cause"] = {}


class _Cause:
    """What came of it, and how often it has been met."""

    def __init__(self) -> None:
        self.sentence = ""
        self.times = 0


def describe(error: BaseException) -> str:
    """A sentence for the user; empty where it would only say again what was said.

    It names the report, which is written where the cause is a new one. A cause that was met before
    is told with how often, when that has doubled.
    """
    try:
        return _describe(error)
    except MemoryError:
        return f"an error that should not happen ({type(error).__name__}), and no memory for more"


def _describe(error: BaseException) -> str:
    if is_lack(error):
        return advice(error)
    key = tuple(f"{_name(link)} {_place(link)}" for link in _chain(error))
    if key not in _causes and len(_causes) >= MOST_CAUSES:
        key = ("others",)
    cause = _causes.setdefault(key, _Cause())
    cause.times += 1
    if cause.times == 1:
        cause.sentence = _sentence(error)
        return cause.sentence
    is_power_of_two = not cause.times & (cause.times - 1)
    return f"again, {cause.times} times by now: {cause.sentence}" if is_power_of_two else ""


def _sentence(error: BaseException) -> str:
    if isinstance(error, NymError):
        return str(error)
    what = f"an error that should not happen ({type(error).__name__})"
    try:
        path = nym_folder() / f"crash-{time.strftime('%Y%m%d-%H%M%S')}-{os.urandom(2).hex()}.txt"
        make_folder(path.parent)
        write_file(path, "\n".join(_report(error)).encode())
        for old in sorted(path.parent.glob("crash-*.txt"))[:-MOST]:
            old.unlink(missing_ok=True)
    except (OSError, NymError) as failure:
        return f"{what} at {_place(error)}, and no report could be written: {failure}"
    return f"{what}; please send the maintainers this report, it has no secrets: {path}"


def _report(error: BaseException) -> Iterator[str]:
    machine = os.uname()
    yield f"nym-client {__version__}, commit {commit()}"
    yield f"Python {sys.version.split()[0]}, {machine.sysname} {machine.release} {machine.machine}"
    yield f"command: {next(iter(sys.argv[1:]), '')}"
    for link in _chain(error):
        yield ""
        yield _name(link)
        for file, line, function in list(_frames(link.__traceback__))[-_MOST_FRAMES:]:
            yield f"  {file}:{line} {function}"
    yield ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and its causes; two can be each other's."""
    told: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in told and len(told) < _LONGEST_CHAIN:
        told.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def _name(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}"


def _place(error: BaseException) -> str:
    *_, (file, line, function) = ("nowhere", 0, ""), *_frames(error.__traceback__)
    return f"{os.path.basename(file)}:{line} {function}".rstrip()


def _frames(trace: TracebackType | None) -> Iterator[tuple[str, int, str]]:
    while trace is not None:
        code = trace.tb_frame.f_code
        yield code.co_filename, trace.tb_lineno, code.co_name
        trace = trace.tb_next
