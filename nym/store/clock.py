"""A clock that goes on across starts: messages have a lifetime that a restart must not renew.

None of the system's clocks can measure it alone. The wall clock is set, by people and by NTP, and
after a start without a battery it may be years off: a message would be given up at once, or never.
The monotonic clocks begin anew with the machine. So what is kept is a reading of this clock beside
those of the others at that moment, and a start goes on from there:

- On a machine that ran all the time, by what its boot clock says, which nobody sets, and which
  goes on while the machine sleeps.
- After the machine was started anew by what the wall clock says, as far as that can be believed:
  never backwards, and a day at most. A longer pause counts as a day, since a wall clock that was
  wrong looks the same. However wrong it is, only what is as old as the lifetime less a day is given
  up for it; and what goes by while the client runs always counts, so everything has an end.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from nym.store.state import State

LONGEST_PAUSE = 86_400.0  # seconds that a start of the machine counts for, at most
NOTE_EVERY = 600.0  # seconds; what is lost of them when the machine crashes, the wall clock says
_STATE = "clock"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Kept(NamedTuple):
    """A reading of this clock, and those of the system's at that moment."""

    reading: float
    boot: str | None  # which start of the machine it was; None where the system doesn't tell
    since_boot: float
    wall: float


def boot_id() -> str | None:
    """Which start of the machine this is."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return None


def since_boot() -> float:
    """Seconds since the machine was started, the time in which it slept included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class LastingClock:
    """Seconds that have gone by; since 1970, if the wall clock was right and no pause was long."""

    def __init__(
        self,
        state: State,
        boot: Callable[[], str | None] = boot_id,
        since_boot: Callable[[], float] = since_boot,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._state = state
        self._boot = boot()
        self._since_boot = since_boot
        self._wall = wall
        self._offset = self._start() - since_boot()  # of this clock from the boot clock
        self._note()

    def now(self) -> float:
        """What it says; from time to time that is noted for the next start."""
        if self._since_boot() - self._noted_at >= NOTE_EVERY:
            self._note()
        return self._offset + self._since_boot()

    def _start(self) -> float:
        noted = self._state.get(_STATE)
        if noted is None:
            return self._wall()
        kept = Kept(*json.loads(noted))
        if self._boot is not None and kept.boot == self._boot:
            return kept.reading + max(0.0, self._since_boot() - kept.since_boot)
        return kept.reading + min(LONGEST_PAUSE, max(0.0, self._wall() - kept.wall))

    def _note(self) -> None:
        self._noted_at = self._since_boot()
        reading = self._offset + self._noted_at
        kept = Kept(reading, self._boot, self._noted_at, self._wall())
        self._state.set(_STATE, json.dumps(kept).encode())
