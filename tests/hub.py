"""How long anything holds the loop: what a hub with somebody's packets in it must not see.

Counted is this thread's time on a processor between two switches of greenlets, so that a machine
that is busy with something else doesn't matter.
"""

import base64
import gc
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import greenlet

YARDSTICK = 1 << 20  # bytes in base64
MOST = 4  # times the yardstick; what is promised is 5 ms on a machine where that takes 2.3 ms


class Hub:
    """Watches while it is entered. `longest` is the longest hold, in seconds, `where` its stack.

    What the greenlet that enters it does doesn't count.
    """

    def __init__(self) -> None:
        self._own = greenlet.getcurrent()
        self.longest = 0.0
        self.where = ""
        self._since = 0.0

    def __enter__(self) -> Self:
        self._since = time.thread_time()
        self._before = greenlet.settrace(self._switched)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        greenlet.settrace(self._before)

    def _switched(self, event: str, greenlets: Any) -> None:
        held = time.thread_time() - self._since
        if held > self.longest and greenlets[0] is not self._own:
            self.longest = held
            stack = traceback.extract_stack(greenlets[0].gr_frame)
            self.where = " < ".join(f"{f.filename.split('/')[-1]}:{f.lineno}" for f in stack[-8:])
        self._since = time.thread_time()


def yardstick() -> float:
    """Seconds for some millions of bytes, as fast as this machine is just now."""
    data = bytes(YARDSTICK)
    times = []
    for _ in range(5):
        began = time.thread_time()
        base64.b64encode(data)
        times.append(time.thread_time() - began)
    return sorted(times)[2]


@contextmanager
def nobody_is_held_up() -> Iterator[None]:
    """No piece of the work inside is long."""
    # As `run` does: what a test has loaded is looked through by no collection of garbage.
    gc.collect()
    gc.freeze()
    try:
        unit = yardstick()
        with Hub() as hub:
            yield
        assert hub.longest < MOST * max(unit, yardstick()), f"{hub.longest:.4f} s: {hub.where}"
    finally:
        gc.unfreeze()
