"""The benchmarks run, and have the rows that they should have; their figures are not judged."""

import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from benchmarks import hkdf, measure, sphinx, store
from benchmarks.measure import Row
from tests.harness import PATIENCE, beside

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


SHORT_FLOOD = """
import json
from benchmarks import overload
overload.ROUNDS, overload.SECONDS, overload.HALF_OPEN = 1, 0.5, 300
print(json.dumps([row._asdict() for row in overload.run()]))
"""


def test_a_mixnode_goes_on_under_a_flood() -> None:
    # In a process of its own, because it measures with threads, which are greenlets here.
    command = [sys.executable, "-c", SHORT_FLOOD]
    rows = json.loads(beside(subprocess.check_output, command, timeout=PATIENCE))
    assert len(rows) == 5
    # Packets of each flood were forwarded, and all of the source that took no part in it: for
    # each, the benchmark waits.
    for row in rows:
        assert 0 < row["us"] < 10**7, row
