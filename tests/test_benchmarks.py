"""The benchmarks run, and have the rows that they should have; their figures are not judged."""

from collections.abc import Callable

import pytest

from benchmarks import hkdf, measure, sphinx, store
from benchmarks.measure import Row

pytestmark = pytest.mark.no_cover


@pytest.mark.parametrize(
    ("run", "what"),
    [
        (hkdf.run, list(hkdf.WAYS.values())),
        (
            sphinx.run,
            [*(f"create a packet, {hops} hops" for hops in range(1, 6)), "process a hop"],
        ),
        (
            store.run,
            ["accept and end 1 message", "accept and end 100 messages", "seal a fragment"],
        ),
    ],
)
def test_benchmarks(
    monkeypatch: pytest.MonkeyPatch, run: Callable[[], list[Row]], what: list[str]
) -> None:
    monkeypatch.setattr(measure, "ROUNDS", 3)
    monkeypatch.setattr(measure, "ROUND_TIME", 0.001)
    rows = run()
    assert [row.what for row in rows] == what
    for row in rows:
        # No upper bound: three short rounds on a busy machine show nothing about speed.
        assert min(row.us, row.yardstick_us, row.ratio) > 0
