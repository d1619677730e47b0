"""Greenlets that are looked after: one that dies is logged and started again, alone.

Also the two ways in which the client's parts run: at a schedule's deadlines, and once per outage
in the log.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random

import gevent

from nym.errors import DescriptorsError, NymError, RemoteError
from nym.timing import Backoff, Schedule

FIRST_RESTART = 1.0
LONGEST_RESTART = 60.0
STEADY = 60.0  # seconds of running after which a death is the first one again

log = logging.getLogger(__name__)


class Watch:
    """Starts greenlets, restarts those that die, and ends all of them."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._greenlets: list[gevent.Greenlet[..., None]] = []
        self._has_stopped = False

    def start(self, name: str, run: Callable[[], None]) -> None:
        """Run `run` in a greenlet of its own, again and again."""
        greenlet = gevent.spawn(self._keep_running, name, run)
        greenlet.name = name
        self._greenlets.append(greenlet)

    def stop(self) -> None:
        """End all greenlets, and wait until they have ended."""
        self._has_stopped = True
        gevent.killall(self._greenlets)
        self._greenlets.clear()

    def _keep_running(self, name: str, run: Callable[[], None]) -> None:
        backoff = Backoff(FIRST_RESTART, LONGEST_RESTART, self._random)
        level = logging.ERROR
        while True:
            started = time.monotonic()
            try:
                run()
                log.log(level, "%s ended by itself; it is started again", name)
                level = logging.DEBUG
            except gevent.GreenletExit:
                if self._has_stopped:
                    raise
                log.warning("%s was killed; it is started again", name)
            except Exception:
                log.exception("%s died; it is started again", name)
            if time.monotonic() - started > STEADY:
                backoff.reset()
            gevent.sleep(backoff.wait())


def run_schedule(schedule: Schedule, tick: Callable[[], None]) -> None:
    """Call `tick` at each deadline, for ever."""
    while True:
        gevent.sleep(max(0.0, schedule.deadline - time.monotonic()))
        tick()
        schedule.advance(time.monotonic())


class Outage:
    """Says once that something doesn't work, and once that it works again."""

    def __init__(
        self, log: logging.Logger, what: str, meanwhile: str = "trying again until it works"
    ) -> None:
        self._log = log
        self._what = what
        self._meanwhile = meanwhile
        self.reason: str | None = None  # while it lasts, what went wrong last
        self._is_said = False

    @contextmanager
    def noted(self) -> Iterator[None]:
        """A peer's failure inside becomes an outage, and goes no further."""
        try:
            yield
        except RemoteError as error:
            self.begins(error)
        else:
            self.ends()

    def begins(self, error: NymError) -> None:
        """It failed; the first time, that is said."""
        self.reason = str(error)
        # Of descriptors that was said already, once for the whole process.
        if not self._is_said and not isinstance(error, DescriptorsError):
            self._log.warning("%s: %s; %s", self._what, error, self._meanwhile)
            self._is_said = True

    def ends(self) -> None:
        """It worked."""
        if self._is_said:
            self._log.info("%s: works again", self._what)
        self.reason, self._is_said = None, False
