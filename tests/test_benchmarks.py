"""The benchmarks run, and show what they should."""

import pytest

from benchmarks import measure, sphinx


def test_sphinx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "ROUNDS", 3)
    monkeypatch.setattr(measure, "ROUND_TIME", 0.001)
    rows = sphinx.run()
    assert [row.what for row in rows] == [
        *(f"create a packet, {hops} hops" for hops in range(1, 6)),
        "process a hop",
    ]
    for row in rows:
        # No bounds: on a busy machine three short rounds say nothing.
        assert min(row.us, row.yardstick_us, row.ratio) > 0
