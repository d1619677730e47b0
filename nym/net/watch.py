"""Starts greenlets, and starts those again that die; the others go on.

Also here: `run_schedule`, `run_along` and `run_stream`, which call a part of the client at its
deadlines; `Outage`, which logs once when something stops working and once when it works again; and
`Once`, which warns once.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random

import gevent

from nym.errors import DescriptorsError, NymError, RemoteError
from nym.net.alarm import Alarm
from nym.timing import Backoff, Fixed, Poisson, Schedule, Tempo

FIRST_RESTART = 1.0  # seconds until a greenlet that died is started again; doubled each time
LONGEST_RESTART = 60.0
STEADY = 60.0  # after so many seconds of running, the wait starts at FIRST_RESTART again
# Seconds between the making of a packet and its moment. Made at its moment, it would leave when it
# is done, and whoever watches the line would see that no gap is shorter than making one takes. And
# a packet that should leave while the next one is made is late. With a fixed time between the two,
# this would happen to gaps of that length alone.
LEAST_AHEAD, MOST_AHEAD = 0.005, 0.02
# Packets that are made before others have their turn: one that should leave meanwhile is late.
MOST_TOGETHER = 8

log = logging.getLogger(__name__)


class Watch:
    """Starts greenlets, starts those again that die, and ends all of them."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._greenlets: list[gevent.Greenlet[..., None]] = []
        self._has_stopped = False

    def start(self, name: str, run: Callable[[], None]) -> None:
        """Call `run` in a greenlet of its own, and again whenever it returns or raises."""
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
                # `run` should never return. Said once: it may return again and again.
                log.log(level, "%s ended by itself; it is started again", name)
                level = logging.DEBUG
            except gevent.GreenletExit:
                # Only `stop` is meant to end it. Some other part may have killed it by mistake.
                if self._has_stopped:
                    raise
                log.warning("%s was killed; it is started again", name)
            except Exception:
                log.exception("%s died; it is started again", name)
            if time.monotonic() - started > STEADY:
                backoff.reset()
            gevent.sleep(backoff.wait())


def run_schedule(
    schedule: Schedule,
    tick: Callable[[], None],
    is_over: Callable[[], bool] = lambda: False,
) -> None:
    """Call `tick` at each deadline, to the millisecond, until `is_over`: by default, for ever."""
    while not is_over():
        # Deadlines follow from the deadline before, not from when `tick` was done: otherwise
        # `tick` would be called less often while the program is busy.
        gevent.sleep(max(0.0, schedule.deadline - time.monotonic()))
        tick()
        schedule.advance(time.monotonic())


def run_along(alarm: Alarm, period: float, tick: Callable[[], None]) -> None:
    """Call `tick` for ever: at once, and then once in each period of so many seconds.

    It is called when the alarm rings for somebody else, or else at the period's end. A turn of the
    event loop of its own would take more than most of what is done in it.
    """
    schedule = Fixed(period, time.monotonic())
    while True:
        tick()
        schedule.advance(time.monotonic())
        alarm.wait_until(schedule.deadline, leeway=period)


def run_stream(
    alarm: Alarm,
    mean: float,
    random: Random,
    tick: Callable[[float], None],
    tempo: Tempo | None = None,
    ahead: float = 0.0,
) -> None:
    """Call `tick` for ever, each time with the moment at which its packet has to leave.

    The moments are those of a Poisson process, `mean` seconds apart on average, in the given tempo.
    Each call comes between LEAST_AHEAD and MOST_AHEAD seconds before its moment, if nothing holds
    it up. Where several moments are that near, their calls come together, so that their packets
    can be made together.

    They may also come up to `ahead` seconds before their moments, together with those of another
    stream that has the same alarm, if what the packets carry is no news by then.
    """
    stream = Poisson(mean, time.monotonic(), random, tempo)
    furthest = max(MOST_AHEAD, ahead)
    while True:
        before = random.uniform(LEAST_AHEAD, MOST_AHEAD)
        alarm.wait_until(stream.deadline - before, furthest - before if ahead else 0.0)
        for _ in range(MOST_TOGETHER):
            tick(stream.deadline)
            now = time.monotonic()
            stream.advance(now)
            if stream.deadline > now + furthest:
                break


class Once:
    """Warns the first time, and then logs at DEBUG what others can bring about for ever."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._level = logging.WARNING

    def warn(self, text: str, *arguments: object) -> None:
        """Log this."""
        self._log.log(self._level, text, *arguments)
        self._level = logging.DEBUG


class Outage:
    """Logs once that something doesn't work, and once that it works again."""

    def __init__(
        self, log: logging.Logger, what: str, meanwhile: str = "trying again until it works"
    ) -> None:
        self._log = log
        self._what = what
        self._meanwhile = meanwhile
        self.reason: str | None = None  # the last failure's text while the outage lasts, for status
        self._is_said = False

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Turn a RemoteError raised inside into an outage, and don't let it go further."""
        try:
            yield
        except RemoteError as error:
            self.begins(error)
        else:
            self.ends()

    def begins(self, error: NymError) -> None:
        """Note that it failed; log it the first time."""
        self.reason = str(error)
        # nym.net.descriptors has logged a lack of descriptors already, once for all parts.
        if not self._is_said and not isinstance(error, DescriptorsError):
            self._log.warning("%s: %s; %s", self._what, error, self._meanwhile)
            self._is_said = True

    def ends(self) -> None:
        """Note that it worked; log it if the failure was logged."""
        if self._is_said:
            self._log.info("%s: works again", self._what)
        self.reason, self._is_said = None, False
