"""How many descriptors this process may have: each open file, and each connection, takes one."""

import errno
import logging
import resource
import time

from nym.errors import DescriptorsError

SAY_EVERY = 600.0  # seconds between two lines that say the same
# For the client's own work: connections to nodes, its files. Of few, an eighth.
RESERVE = 64

log = logging.getLogger(__name__)


class _Said:
    """The limit is one of the whole process, and so is what was said of it."""

    until = 0.0  # monotonic


said = _Said()


def raise_limit(wanted: int) -> None:
    """Let this process have so many, as far as its hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def require(least: int) -> None:
    """Raises DescriptorsError where this process can't have so many."""
    raise_limit(least)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < least:
        raise DescriptorsError(
            f"this process may have only {soft} open files, and needs {least}: raise that limit "
            "with `ulimit -n` before the start, or with LimitNOFILE= in its systemd unit"
        )


def are_scarce(newest: int) -> bool:
    """Whether the rest is needed for the client's own work, now that `newest` was given out.

    The system gives out the lowest number that is free.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft != resource.RLIM_INFINITY and newest >= soft - min(RESERVE, soft // 8)


def is_lack(error: BaseException) -> bool:
    """Whether the system says that there are none left."""
    return isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)


def lack_of_descriptors(error: BaseException) -> DescriptorsError | None:
    """The error to raise where `error` says that there are none left; else None.

    The first time that is a line in the log, with the limit to raise; then for ten minutes not.
    """
    if not is_lack(error):
        return None
    text = advice(error)
    if time.monotonic() >= said.until:
        said.until = time.monotonic() + SAY_EVERY
        log.error("%s", text)
    return DescriptorsError(text)


def advice(error: BaseException) -> str:
    """What to do when there are none left."""
    if isinstance(error, OSError) and error.errno == errno.ENFILE:
        return (
            "this machine has as many open files as it may: raise the limit with sysctl fs.file-max"
        )
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (
        f"this process has as many open files and connections as it may, {soft}: raise that limit "
        "with `ulimit -n` before the start, or with LimitNOFILE= in its systemd unit"
    )
