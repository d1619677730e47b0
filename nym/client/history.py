"""What a client has counted over time: the last minutes by the second, a day by the minute.

It is in memory only, and as long as the client runs. A sample is taken each second, whether or not
anybody looks: what is done for a page must not show in the stream.
"""

import math
import time
from array import array
from collections.abc import Callable

from nym.net.alarm import Alarm
from nym.net.watch import run_along
from nym.wire.reports import HISTORY, HistoryReport, HistorySample, HistorySeries

SECOND, MINUTE = 1, 60
MOST_SECONDS, MOST_MINUTES = 900, 24 * 60  # samples


class History:
    """Takes samples; `look` returns the numbers of this moment."""

    def __init__(self, look: Callable[[], HistorySample]) -> None:
        self._look = look
        self._seconds = _Series(SECOND, MOST_SECONDS)
        self._minutes = _Series(MINUTE, MOST_MINUTES)
        self._count = 0  # samples so far

    def run(self, alarm: Alarm) -> None:
        """Take a sample each second, for ever."""
        run_along(alarm, SECOND, self.tick)

    def tick(self) -> None:
        """Take a sample."""
        sample, now = self._look(), time.time()
        self._seconds.add(now, sample)
        if self._count % MINUTE == 0:
            self._minutes.add(now, sample)
        self._count += 1

    def report(self) -> HistoryReport:
        """All that is kept, the finer series first."""
        return HistoryReport([self._seconds.report(), self._minutes.report()])


class _Series:
    """The last `most` samples: for each number a column, and one for the time."""

    def __init__(self, step: int, most: int) -> None:
        self._step, self._most = step, most
        self._columns = {name: array("d") for name in HISTORY}

    def add(self, now: float, sample: HistorySample) -> None:
        for column, value in zip(self._columns.values(), (now, *sample), strict=True):
            column.append(math.nan if value is None else value)
            # Not at each sample: all of the column moves then.
            if len(column) >= 2 * self._most:
                del column[: -self._most]

    def report(self) -> HistorySeries:
        return HistorySeries(
            self._step, {name: column[-self._most :] for name, column in self._columns.items()}
        )
