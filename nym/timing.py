"""Deadlines: when timed work is due. Clock readings and randomness are passed in.

Each deadline is computed from the one before, never from the time when the work was done. Otherwise
a busy machine would stretch the gaps, and anyone who watches the stream would see how busy it is.
"""

from random import Random
from typing import Protocol

# Seconds, or one gap if that is longer. After a longer standstill, the deadlines that were missed
# before are not made up for: they would be a burst of packets. A Poisson process has no memory, so
# it goes on from any moment as from any other.
LONGEST_LAG = 0.1


class Schedule(Protocol):
    """A sequence of deadlines, in seconds of a monotonic clock."""

    deadline: float

    def advance(self, now: float) -> None:
        """Move `deadline` to the next one; `now` is when the work for this one ended."""


class Tempo(Protocol):
    """By what gaps are multiplied; it is told how many deadlines were not made up for."""

    stretch: float

    def missed(self, count: float) -> None:
        """Note that so many deadlines were missed, on average."""


class Poisson:
    """A Poisson process: exponential gaps of `mean` seconds on average, in the given tempo.

    It has no memory, so the time until the next deadline says nothing about what happened before.
    """

    def __init__(self, mean: float, now: float, random: Random, tempo: Tempo | None = None) -> None:
        self._mean = mean
        self._random = random
        self._tempo = tempo
        self.deadline = now
        self.advance(now)

    def advance(self, now: float) -> None:
        """Draw the next deadline."""
        mean = self._mean * self._tempo.stretch if self._tempo else self._mean
        too_late = now - max(LONGEST_LAG, mean) - self.deadline
        if too_late > 0:
            self.deadline += too_late
            if self._tempo:
                self._tempo.missed(too_late / mean)
        self.deadline += exponential(mean, self._random)


class Fixed:
    """A deadline every `period` seconds, the first one at once. Missed ones are skipped."""

    def __init__(self, period: float, now: float) -> None:
        self._period = period
        self.deadline = now

    def advance(self, now: float) -> None:
        """Move to the next deadline on the grid that hasn't passed."""
        missed = max(0.0, now - self.deadline) // self._period
        self.deadline += self._period * (missed + 1)


class Backoff:
    """Waits between attempts, which double from `first` to `longest` seconds, with jitter.

    Each wait is drawn between half of this and all of it. Without jitter, clients that lost the
    same peer at the same time would all come back at the same time.
    """

    def __init__(self, first: float, longest: float, random: Random) -> None:
        self._first = first
        self._longest = longest
        self._random = random
        self.reset()

    def reset(self) -> None:
        """Start again with `first`, after a success."""
        self._next = self._first

    def wait(self) -> float:
        """How many seconds to wait before the next attempt."""
        wait = self._next * self._random.uniform(0.5, 1.0)
        self._next = min(self._longest, self._next * 2)
        return wait


def exponential(mean: float, random: Random) -> float:
    """A draw from the exponential distribution; 0 for a mean of 0."""
    return random.expovariate(1.0 / mean) if mean else 0.0


def duration(seconds: float) -> str:
    """A duration for people to read: 45 s, 12 min, 3 h 5 min, 2 d 4 h."""
    minutes, hours, days = (int(seconds // size) for size in (60, 3600, 86_400))
    if not minutes:
        return f"{seconds:.0f} s"
    if not hours:
        return f"{minutes} min"
    if not days:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"
