"""What reads bytes that others wrote, each as a target for fuzzing.

A target gives a value, or raises one of its `errors`. Whatever else it raises is a fault. Where a
form has exactly one text, it also asserts that its value is written as it was read.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple


class Target(NamedTuple):
    """What reads, the errors that it may raise, and inputs to begin with.

    Inputs have up to `longest` bytes.
    """

    read: Callable[[bytes], object]
    errors: type[Exception] | tuple[type[Exception], ...]
    seeds: Callable[[], Sequence[bytes]]
    longest: int = 4096

    def try_on(self, data: bytes) -> bool:
        """Whether the input is read. Raises what the target must not raise."""
        try:
            self.read(data)
        except self.errors:
            return False
        return True


def all_targets() -> dict[str, Target]:
    """Every target, by name. Its modules are loaded only now, so that they can be instrumented."""
    from tests.fuzz.targets import (
        applications,
        directories,
        files,
        packets,
        providers,
        proxies,
    )

    found: dict[str, Target] = {}
    for module in (packets, providers, directories, proxies, applications, files):
        found |= module.TARGETS
    return found
