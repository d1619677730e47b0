"""How many descriptors this process may have: each open file, and each connection, takes one."""

import logging
import resource
import time

SAY_EVERY = 600.0  # seconds between two lines that say the same

# For the client's own work: connections to nodes, its files. Of few, an eighth.
RESERVE = 64

log = logging.getLogger(__name__)
_said_until = 0.0  # the limit is one of the whole process, and so is what was said of it


def raise_limit(wanted: int) -> None:
    """Let this process have so many, as far as its hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def are_scarce(newest: int) -> bool:
    """Whether the rest is needed for the client's own work, now that `newest` was given out.

    The system gives out the lowest number that is free.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft != resource.RLIM_INFINITY and newest >= soft - min(RESERVE, soft // 8)


def say_lack() -> str:
    """What to do when there are none left; that is also a line in the log, now and then."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    text = (
        f"this process has as many open files and connections as it may, {soft}: raise that limit "
        "with `ulimit -n` before the start, or with LimitNOFILE= in its systemd unit"
    )
    global _said_until
    if time.monotonic() >= _said_until:
        _said_until = time.monotonic() + SAY_EVERY
        log.error("%s", text)
    return text
