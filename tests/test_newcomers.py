"""One source can't take all places of a provider, and no source keeps out those that come later."""

import pytest

from nym.errors import OverloadError
from nym.nodes import newcomers as newcomers_module
from nym.nodes.newcomers import HALF_LIFE, Newcomers


class Places:
    """A provider with some places, to which sources bring new clients."""

    def __init__(self, places: int) -> None:
        self.left = places
        self.time = 0.0
        self._newcomers = Newcomers(lambda: self.time)

    def bring(self, ip: str) -> bool:
        try:
            self._newcomers.admit(ip, self.left)
        except OverloadError:
            return False
        self.left -= 1
        return True

    def flood(self, ip: str) -> int:
        count = 0
        while self.bring(ip):
            count += 1
        return count


def test_each_source_gets_half_of_what_is_left() -> None:
    places = Places(1000)
    assert places.flood("192.0.2.1") == 500
    assert places.flood("2001:db8::1") == 250
    assert places.flood("2001:db8::2") == 0  # the same site
    assert places.bring("192.0.2.2")
    assert not places.bring("192.0.2.1")


def test_what_was_brought_counts_less_with_time() -> None:
    places = Places(1000)
    places.flood("192.0.2.1")
    places.time += HALF_LIFE
    assert places.flood("192.0.2.1") == 125  # 500 count as 250, and 500 were left


def test_the_last_place_is_for_somebody_new_and_then_there_is_none() -> None:
    places = Places(1)
    assert places.bring("192.0.2.1")
    assert not places.bring("192.0.2.2")


def test_only_the_latest_sources_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newcomers_module, "MOST_SOURCES", 2)
    places = Places(1000)
    for number in range(5):
        places.bring(f"192.0.2.{number}")
    assert len(places._newcomers._brought) == 2
