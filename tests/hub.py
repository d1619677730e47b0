"""Measures for how long one piece of work holds up gevent's event loop.

Packets leave at random times. If long work delayed them, observers could see from the delays what
an application does (docs/architecture.md, "Habits"). What counts is this thread's processor time
between two switches of greenlets, so the result doesn't depend on what else the machine does. It is
compared with a yardstick, work of known size, because machines differ.
"""

import base64
import gc
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import greenlet

YARDSTICK = 1 << 20  # bytes, which are encoded in base64
# The longest hold that passes, as a multiple of the yardstick. The client promises 5 ms, on a
# machine where the yardstick takes 2.3 ms.
MOST = 4


class Hub:
    """Watches inside the block. `longest` is the longest hold, in seconds, and `where` its stack.

    The greenlet that enters the block is the test, so its own work doesn't count.
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

    def __exit__(self, *_: object) -> None:
        greenlet.settrace(self._before)

    def _switched(self, event: str, greenlets: Any) -> None:
        held = time.thread_time() - self._since
        if held > self.longest and greenlets[0] is not self._own:
            self.longest = held
            stack = traceback.extract_stack(greenlets[0].gr_frame)
            self.where = " < ".join(f"{f.filename.split('/')[-1]}:{f.lineno}" for f in stack[-8:])
        self._since = time.thread_time()


def yardstick() -> float:
    """Seconds that the yardstick takes at this moment: the median of five runs."""
    data = bytes(YARDSTICK)
    times = []
    for _ in range(5):
        began = time.thread_time()
        base64.b64encode(data)
        times.append(time.thread_time() - began)
    return sorted(times)[2]


@contextmanager
def nobody_is_held_up() -> Iterator[None]:
    """Fail if any piece of the work inside the block holds up the event loop for too long."""
    # As the client does after its start (cli/run). Without it, a garbage collection would look
    # through all that the tests have loaded, and that would be the longest hold.
    gc.collect()
    gc.freeze()
    try:
        unit = yardstick()
        with Hub() as hub:
            yield
        # The slower of two yardsticks: the machine may have become slower in between.
        assert hub.longest < MOST * max(unit, yardstick()), (
            f"the event loop was held up for {hub.longest:.4f} s at {hub.where}"
        )
    finally:
        gc.unfreeze()
