"""How many processors a process may use: those that it may run on, and quotas of its groups."""

import os
from pathlib import Path

import pytest

from nym.net.processors import usable


@pytest.fixture(autouse=True)
def _eight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


def groups(folder: Path, own: str, **quotas: str) -> tuple[Path, Path]:
    """Control groups, each with a quota: `outer` is in the root, and `inner` in that one."""
    for name, quota in quotas.items():
        path = folder / {"root": ".", "outer": "outer", "inner": "outer/inner"}[name]
        path.mkdir(parents=True, exist_ok=True)
        (path / "cpu.max").write_text(quota)
    (folder / "own").write_text(own)
    return folder, folder / "own"


@pytest.mark.parametrize(
    ("quotas", "expected"),
    [
        ({}, 8),
        ({"inner": "max 100000\n"}, 8),
        ({"inner": "300000 100000\n"}, 3),
        ({"inner": "max 100000\n", "outer": "250000 100000\n"}, 2),
        ({"inner": "400000 100000\n", "root": "200000 100000\n"}, 2),
        ({"inner": "50000 100000\n"}, 1),
        ({"inner": "9900000 100000\n"}, 8),
        ({"inner": "something else\n"}, 8),
        ({"inner": "1 0\n"}, 8),
    ],
)
def test_the_lowest_limit_counts(tmp_path: Path, quotas: dict[str, str], expected: int) -> None:
    assert usable(*groups(tmp_path, "1:name=x:/y\n0::/outer/inner\n", **quotas)) == expected


def test_what_cannot_be_read_sets_no_limit(tmp_path: Path) -> None:
    assert usable(tmp_path / "none", tmp_path / "none") == 8
    assert usable(*groups(tmp_path, "4:cpu:/docker/x\n", root="100000 100000")) == 8  # version 1
    assert usable() >= 1
