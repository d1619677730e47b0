"""How many descriptors this process may have: each open file, and each connection, takes one."""

import resource

# For the client's own work: connections to nodes, its files. Of few, an eighth.
RESERVE = 64


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
