"""Tells the user about an error that nobody foresaw, and writes a report about it to a file.

The report says where the error happened: types of errors, files, lines and functions. It has no
values, no texts of errors and no arguments, so it contains no keys, addresses or messages. Users
can send it to the maintainers.

A report may be made anywhere: also in gevent's hub, where nothing may wait, and when the process
has no descriptors or no memory left. So making it starts no process and reads no source file, and
its length has a limit. Each cause is reported once. If it occurs again, it is only counted.
"""

import os
import sys
import time
from collections.abc import Iterator
from types import TracebackType

from nym.cli.banner import VERSION
from nym.cli.build import commit
from nym.cli.options import nym_folder
from nym.errors import NymError
from nym.files import make_folder, write_file
from nym.net.descriptors import advice, is_lack

MOST = 20  # reports that are kept in the folder
# Causes that are told apart. Later ones share one entry, so that a client that runs for months with
# ever new errors takes neither memory nor disk without a limit.
MOST_CAUSES = 100
_LONGEST_CHAIN = 10  # errors in one report: the error, its cause, the cause of that, ...
_MOST_FRAMES = 100  # of each error, those closest to it; a recursion may have a thousand

# One for the whole process. The key is the chain of errors, each with its type and its place.
_causes: dict[tuple[str, ...], "_Cause"] = {}


class _Cause:
    """The sentence for the user about one cause, and how often the cause has occurred."""

    def __init__(self) -> None:
        self.sentence = ""
        self.times = 0


def describe(error: BaseException) -> str:
    """A sentence for the user; "" if it would only repeat what was said before.

    For a new cause, it writes a report, and the sentence names its file. For a known cause, the
    sentence says how often it has occurred, but only after the 2nd, 4th, 8th, ... time, so that an
    error that occurs every second doesn't fill the log.
    """
    try:
        return _describe(error)
    except MemoryError:
        return f"an error that should not happen ({type(error).__name__}), and no memory is left"


def _describe(error: BaseException) -> str:
    if is_lack(error):
        return advice(error)  # no error in the program: a limit of the system, which can be raised
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
        return str(error)  # its text is written for users
    what = f"an error that should not happen ({type(error).__name__})"
    try:
        path = nym_folder() / f"crash-{time.strftime('%Y%m%d-%H%M%S')}-{os.urandom(2).hex()}.txt"
        make_folder(path.parent)
        write_file(path, "\n".join(_report(error)).encode())
        for old in sorted(path.parent.glob("crash-*.txt"))[:-MOST]:
            old.unlink(missing_ok=True)
    except (OSError, NymError) as failure:
        return f"{what} at {_place(error)}, and no report could be written: {failure}"
    return f"{what}; please send this report, which has no secrets, to the maintainers: {path}"


def _report(error: BaseException) -> Iterator[str]:
    machine = os.uname()
    yield f"{VERSION}, commit {commit()}"
    yield f"Python {sys.version.split()[0]}, {machine.sysname} {machine.release} {machine.machine}"
    # Only the command's name. Its arguments may be addresses or messages.
    yield f"command: {next(iter(sys.argv[1:]), '')}"
    for link in _chain(error):
        yield ""
        yield _name(link)
        for file, line, function in list(_frames(link.__traceback__))[-_MOST_FRAMES:]:
            yield f"  {file}:{line} {function}"
    yield ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, its cause, the cause of that, and so on; it stops if they form a circle."""
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
