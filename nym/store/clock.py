"""A clock that goes on across starts: a restart must not renew the lifetime of a message.

None of the system's clocks can measure lifetimes alone. People and NTP set the wall clock, and
after a start of a machine without a battery it may be years off: messages would be given up at
once, or never. The monotonic clocks start at zero with the machine. So this clock is stored from
time to time, together with the readings of the others at that moment. The next start of the client
goes on from there:

- If the machine has run since then, the boot clock tells how much time has passed. Nobody can set
  it, and it goes on while the machine sleeps.
- If the machine was restarted, the wall clock tells it, as far as it can be trusted: never
  backwards, and a day at most. A longer pause counts as a day, because a wall clock that is wrong
  looks the same. So a wrong clock can end only messages that are less than a day from their end.

Time while the client runs always counts, so every message ends at some time.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

LONGEST_PAUSE = 86_400.0  # seconds that may be counted for a restart of the machine, at most
# Seconds between notes. After a crash, the wall clock has to tell the time since the last one.
NOTE_EVERY = 600.0
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Notes(Protocol):
    """Where readings are stored: nym.store.state.State, or something like it."""

    def get(self, name: str) -> bytes | None:
        """Return what was set last, also by an earlier process."""

    def set(self, name: str, value: bytes) -> None:
        """Keep a value."""


class Kept(NamedTuple):
    """A reading of this clock, and the readings of the system's clocks at that moment."""

    reading: float
    boot: str | None  # the id of the machine's start; None if the system doesn't tell
    since_boot: float
    wall: float


def boot_id() -> str | None:
    """Return an id that is different for each start of the machine."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return None


def since_boot() -> float:
    """Return the seconds since the machine was started, including time in which it slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class LastingClock:
    """A clock in seconds, since 1970 if the wall clock was right and no pause was long.

    Its readings are stored under `name`, every `note_every` seconds.
    """

    def __init__(
        self,
        notes: Notes,
        boot: Callable[[], str | None] = boot_id,
        since_boot: Callable[[], float] = since_boot,
        wall: Callable[[], float] = time.time,
        name: str = "clock",
        note_every: float = NOTE_EVERY,
    ) -> None:
        self._notes = notes
        self._name = name
        self._note_every = note_every
        self._boot = boot()
        self._since_boot = since_boot
        self._wall = wall
        self._offset = self._start() - since_boot()  # this clock minus the boot clock
        self._note()

    def now(self) -> float:
        """Return the reading. From time to time, it is stored for the next start."""
        if self._since_boot() - self._noted_at >= self._note_every:
            self._note()
        return self.reading()

    def reading(self) -> float:
        """Return the reading, without storing it."""
        return self._offset + self._since_boot()

    def _start(self) -> float:
        noted = self._notes.get(self._name)
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
        self._notes.set(self._name, json.dumps(kept).encode())
