"""How fast the client sends: as the settings say, or more slowly if this machine can't keep up.

A stream of packets that runs late can't keep the distribution of its gaps: each packet leaves when
the one before is done, and the time between them shows what the machine does. So all gaps become
longer instead, by the same factor. It grows only when packets were missed, never because the client
is busy with something else: packets go first, so what applications do doesn't make them fewer.
"""

import logging
import time

import gevent

from nym.net.load import Load
from nym.wire.reports import TempoReport

PERIOD = 5.0  # seconds between two looks
LONGEST_LOOK = 7.5  # seconds; a longer one was a standstill, which says nothing about the work
MOST_MISSED = 0.02  # of the packets; fewer may be missed in a moment
SLOWER = 1.25  # than what fits, so that there is time to spare
# Shares of the time. Below the first, there may be as many more packets as fit. Between them, all
# is well. Above the second, more are tried, in small steps: something else may take the time.
BUSY, VERY_BUSY = 0.8, 0.9
FASTER = 0.98
# A client that is held up by something else must not fall silent because of that.
LONGEST_STRETCH = 20.0
LASTING = 3  # looks in a row, until it is said: a start or a short effort is nothing to act on
STEADY = 0.1  # a figure that changes by less than this share of it
_ADVICE = "longer delays under [traffic] ask for less"

log = logging.getLogger(__name__)


class Tempo:
    """By what the gaps are multiplied. `asked` is packets per second, of all streams together."""

    def __init__(self, asked: float) -> None:
        self.stretch = 1.0
        self._asked = asked
        self._missed = 0.0  # packets, since the last look
        self._lasted = 0  # looks
        self._is_said = False

    def missed(self, count: float) -> None:
        """See nym.timing.Tempo."""
        self._missed += count

    def run(self) -> None:
        """Look at what was missed, and at the event loop, for ever."""
        while True:
            self.adapt(*self._look())

    def _look(self) -> tuple[float, float]:
        """Seconds, and how busy the event loop was in them: 0 while nothing is slower than asked.

        How busy it is only says whether more packets fit. A look at each of its turns takes a tenth
        of what an idle client takes.
        """
        if self.stretch > 1:
            with Load() as load:
                gevent.sleep(PERIOD)
                return load.look()
        began = time.monotonic()
        gevent.sleep(PERIOD)
        return time.monotonic() - began, 0.0

    def adapt(self, seconds: float, busy: float) -> None:
        """Take over what was missed in so many seconds, in which the loop was so `busy`: 0 to 1."""
        before, due = self.stretch, seconds * self._asked / self.stretch
        share, self._missed = min(1.0, self._missed / due), 0.0
        if seconds > LONGEST_LOOK:
            return
        if share > MOST_MISSED:
            change = SLOWER / (1 - min(share, 0.5))
        elif busy > VERY_BUSY:
            change = FASTER
        else:
            change = min(1.0, busy / BUSY)
        self.stretch = min(LONGEST_STRETCH, max(1.0, before * change))
        self._say(before)

    def report(self) -> TempoReport | None:
        """What is asked for and what is possible; None if that has been the same lately."""
        if self._lasted < LASTING:
            return None
        return TempoReport(
            asked=round(self._asked, 1), possible=round(self._asked / self.stretch, 1)
        )

    def _say(self, before: float) -> None:
        self._lasted = self._lasted + 1 if self.stretch > 1 else 0
        report = self.report()
        # Not before the figure can be relied on: it follows step by step.
        if report and not self._is_said and abs(self.stretch / before - 1) < STEADY:
            log.warning("%s", describe(report))
            self._is_said = True
        elif self._is_said and not report:
            log.info("this machine keeps up with the settings again")
            self._is_said = False


def describe(report: TempoReport) -> str:
    """The report as a sentence, with advice."""
    return (
        f"this machine sends {report['possible']:g} packets a second, and the settings ask for "
        f"{report['asked']:g}: {_ADVICE}"
    )
