"""When timed things happen. The clock's readings and the randomness are passed in.

The next deadline follows from the one before, never from when the work was done: otherwise a busy
machine would stretch the gaps, and whoever watches the stream would see the load.
"""

from random import Random
from typing import Protocol

# After a standstill (a stopped process) the missed deadlines are not made up for in one burst.
LONGEST_LAG = 5.0


class Schedule(Protocol):
    """A sequence of deadlines, in seconds of a monotonic clock."""

    deadline: float

    def advance(self, now: float) -> None:
        """Move `deadline` to the next one; `now` is when the work for this one ended."""


class Poisson:
    """Exponential gaps around `mean` seconds: a Poisson process, which has no memory."""

    def __init__(self, mean: float, now: float, random: Random) -> None:
        self._mean = mean
        self._random = random
        self.deadline = now
        self.advance(now)

    def advance(self, now: float) -> None:
        """Draw the next deadline."""
        self.deadline = max(self.deadline, now - LONGEST_LAG) + exponential(
            self._mean, self._random
        )


class Fixed:
    """Every `period` seconds, the first at once. Deadlines missed meanwhile are left out."""

    def __init__(self, period: float, now: float) -> None:
        self._period = period
        self.deadline = now

    def advance(self, now: float) -> None:
        """The next deadline on the grid that is not over."""
        missed = max(0.0, now - self.deadline) // self._period
        self.deadline += self._period * (missed + 1)


class Backoff:
    """Waits between attempts: doubling from `first` to `longest` seconds, each with jitter.

    The jitter, half of the wait to all of it, keeps clients that lost the same peer at the same
    time from coming back at the same time.
    """

    def __init__(self, first: float, longest: float, random: Random) -> None:
        self._first = first
        self._longest = longest
        self._random = random
        self.reset()

    def reset(self) -> None:
        """Begin anew, after a success."""
        self._next = self._first

    def wait(self) -> float:
        """Seconds to wait before the next attempt."""
        wait = self._next * self._random.uniform(0.5, 1.0)
        self._next = min(self._longest, self._next * 2)
        return wait


def exponential(mean: float, random: Random) -> float:
    """A draw from the exponential distribution; 0 for a mean of 0."""
    return random.expovariate(1.0 / mean) if mean else 0.0


def duration(seconds: float) -> str:
    """How long it is, as people read it: 45 s, 12 min, 3 h 5 min, 2 d 4 h."""
    minutes, hours, days = (int(seconds // size) for size in (60, 3600, 86_400))
    if not minutes:
        return f"{seconds:.0f} s"
    if not hours:
        return f"{minutes} min"
    if not days:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"
