"""The limit of file descriptors: each open file and each connection of this process takes one.

The system has a soft limit per process, which the process can raise up to its hard limit, and one
for the whole machine. What to do at either limit is said here, once, for errors and the log.
"""

import errno
import logging
import resource
import time

from nym.errors import DescriptorsError

SAY_EVERY = 600.0  # seconds between two lines of the log that say the same
# Descriptors that applications can't take, for connections to nodes and files of the client; under
# a low limit, an eighth of it.
RESERVE = 64

log = logging.getLogger(__name__)


class _Said:
    """What the log has said about the limit; one for the whole process, as the limit is."""

    until = 0.0  # the monotonic time before which the lack isn't logged again


said = _Said()


def raise_limit(wanted: int) -> None:
    """Raise this process's soft limit to `wanted`, or to its hard limit if that is lower."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def require(least: int) -> None:
    """Raise the soft limit to `least`. Raises DescriptorsError where the hard limit is lower."""
    raise_limit(least)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < least:
        raise DescriptorsError(
            f"this process may open only {soft} files and needs {least}: raise that limit with "
            "`ulimit -n` before the start, or with LimitNOFILE= in its systemd unit"
        )


def are_scarce(newest: int) -> bool:
    """Whether only the client's own reserve is left, now that the system gave out `newest`.

    The system always gives out the lowest free number. So if `newest` is close to the limit, all
    lower numbers are in use.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft != resource.RLIM_INFINITY and newest >= soft - min(RESERVE, soft // 8)


def is_lack(error: BaseException) -> bool:
    """Whether `error` says that the process or the machine is at its limit."""
    return isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)


def lack_of_descriptors(error: BaseException) -> DescriptorsError | None:
    """The error to raise in place of one that says that no descriptors are left; else None.

    It also logs which limit to raise, at most once in ten minutes: with no descriptors left, every
    part of the client fails again and again for the same reason.
    """
    if not is_lack(error):
        return None
    text = advice(error)
    if time.monotonic() >= said.until:
        said.until = time.monotonic() + SAY_EVERY
        log.error("%s", text)
    return DescriptorsError(text)


def advice(error: BaseException) -> str:
    """The sentence that names the limit which was reached, and how to raise it."""
    if isinstance(error, OSError) and error.errno == errno.ENFILE:
        return (
            "this machine has reached its limit of open files: raise that limit with sysctl "
            "fs.file-max"
        )
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (
        f"this process has reached its limit of {soft} open files and connections: raise that "
        "limit with `ulimit -n` before the start, or with LimitNOFILE= in its systemd unit"
    )
