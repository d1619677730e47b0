"""How many processors this process may use."""

import os
from pathlib import Path, PurePosixPath

_GROUPS = Path("/sys/fs/cgroup")  # version 2
_OWN = Path("/proc/self/cgroup")


def usable(groups: Path = _GROUPS, own: Path = _OWN) -> int:
    """At least 1: those that it may run on, and no more than the time that its groups have.

    A quota of one and a half processors is one: a second process would have to stop again and
    again. What can't be read sets no limit.
    """
    allowed = len(os.sched_getaffinity(0))
    return max(1, min([allowed, *map(int, _quotas(groups, own))]))


def _quotas(groups: Path, own: Path) -> list[float]:
    """The limits of the control groups that this process is in, in processors."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return []
    path = next((line[len("0::/") :] for line in lines if line.startswith("0::/")), None)
    if path is None:
        return []
    inside = PurePosixPath(path)
    return [
        quota
        for group in (inside, *inside.parents)
        if (quota := _quota(groups / group / "cpu.max")) is not None
    ]


def _quota(file: Path) -> float | None:
    try:
        quota, period = file.read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None
