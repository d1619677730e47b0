"""`observe` shows what others see of a running client: its line, its mixnodes and its provider.

It runs the tests of verdicts.py on that. The client only tells what leaves: nothing is sent for it.
"""

import json
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from math import inf

from nym.cli import Options
from nym.cli.control import Control, connected
from nym.cli.homes import Home, existing
from nym.cli.observed import Observed
from nym.cli.options import number
from nym.cli.output import say
from nym.cli.progress import CLEAR, is_terminal
from nym.cli.verdicts import FirstLayer, Verdict
from nym.errors import NotRunningError
from nym.wire.sightings import Observing

PERIOD = 1.0  # seconds between two tables on a terminal
LONGEST = 10**8  # seconds for --seconds


def observe(options: Options) -> int:
    """Watch until Ctrl-C, or for some seconds. Returns 1 if a test fails."""
    given = options["--seconds"]
    seconds = number("--seconds", given, 1, LONGEST) if given is not None else inf
    place = existing(options["--id"])
    first_layer = _first_layer(place)
    with connected(place, is_reader=True) as client:
        begin = client.ask(type="observe")
        seen = Observed(Observing(begin["mean_gap"], begin["pull_period"]), first_layer)
        display = _Display(place.folder.name, seen, is_json=options["--json"])
        try:
            with suppress(KeyboardInterrupt):
                _watch(client, seen, time.monotonic() + seconds, display.refresh)
            seen.first_layer = _first_layer(place)
        except NotRunningError:
            display.finish()
            raise
    return display.finish()


def _watch(client: Control, seen: Observed, until: float, refresh: Callable[[], None]) -> None:
    """Collect what the client tells, and show it every PERIOD."""
    shown = time.monotonic() + PERIOD
    while time.monotonic() < until:
        if (said := client.news(min(shown, until))) is not None:
            seen.add(said)
        if time.monotonic() >= shown:
            refresh()
            shown = time.monotonic() + PERIOD


class _Display:
    """A table, which is drawn again and again on a terminal; elsewhere, only the last one is."""

    def __init__(self, name: str, seen: Observed, *, is_json: bool) -> None:
        self._name = name
        self._seen = seen
        self._is_json = is_json
        self._is_live = is_terminal(sys.stdout) and not is_json
        self._began = time.monotonic()

    def refresh(self) -> None:
        """Show what has been seen up to now, on a terminal."""
        if self._is_live:
            self._show()

    def finish(self) -> int:
        """Show all of it; returns 1 if a test failed."""
        return 1 if any(verdict.passed is False for verdict in self._show()) else 0

    def _show(self) -> list[Verdict]:
        seconds, verdicts = time.monotonic() - self._began, self._seen.verdicts()
        if self._is_json:
            say(json.dumps(self._seen.as_json(seconds, verdicts)))
        else:
            table = "\n".join(self._seen.lines(self._name, seconds, verdicts))
            say(f"{CLEAR}{table}" if self._is_live else table)
        return verdicts


def _first_layer(place: Home) -> FirstLayer:
    """The mixnodes to which packets may go first at present. Raises NotRunningError, RefusedError.

    It asks on a connection of its own, because sightings could come before an answer.
    """
    with connected(place) as client:
        layers = client.ask(type="network")["layers"]
        avoided = client.ask(type="status")["avoided_nodes"]
    return FirstLayer(
        frozenset(node["address"] for node in layers[0]),
        frozenset(node["address"] for node in avoided),
    )
