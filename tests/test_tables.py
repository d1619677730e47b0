"""Tables of tags that several processes fill at the same time: each tag is new for one of them."""

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nym import _tables
from nym.errors import StoreError
from nym.nodes import replays as replays_module
from nym.nodes.replays import Replays, make_first
from tests.harness import SmallDisk

PROCESSES = 4
CHILD = """
import random, sys
from pathlib import Path
from nym.nodes.replays import Replays
replays = Replays(Path(sys.argv[1]), is_alone=False)
numbers = list(range(int(sys.argv[2])))
if sys.argv[3] != "in order":
    random.shuffle(numbers)
print("ready", flush=True)
sys.stdin.readline()
for number in numbers:
    if replays.is_new(number.to_bytes(16, "big")):
        print(number)
print("done", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_first(tmp_path)
    return tmp_path


def shared(folder: Path) -> Replays:
    return Replays(folder, is_alone=False)


def tag(number: int) -> bytes:
    return number.to_bytes(16, "big")


def table(places: int = 64) -> memoryview:
    return memoryview(bytearray((8 + places) * 4)).cast("I")


# One table.


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**64 - 1), max_size=48, unique=True))
def test_a_table_knows_what_was_added_and_counts_it(hashes: list[int]) -> None:
    numbers = table()
    for one in hashes:
        # Hashes with the same upper half may meet: then they count as one.
        is_known = _tables.has(numbers, one)
        assert _tables.add(numbers, one) is not is_known
        assert _tables.has(numbers, one)
        assert _tables.add(numbers, one) is False
    assert numbers[7] == sum(number != 0 for number in numbers[8:])


def test_a_table_that_is_shut_knows_what_it_has_and_takes_nothing_more() -> None:
    numbers = table()
    assert _tables.add(numbers, 5 << 32) is True
    _tables.shut(numbers)
    assert _tables.add(numbers, 5 << 32) is False
    assert _tables.add(numbers, 6 << 32) is None
    assert not _tables.has(numbers, 6 << 32)
    assert numbers[7] == 1


# Several views of one folder.


@settings(max_examples=30, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 400)), max_size=1000))
def test_a_tag_is_new_once_whoever_notes_it_and_whoever_begins_another_table(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replays_module, "SIZES", (1 << 6, 1 << 7, 1 << 8, 1 << 9, 1 << 10))
        folder = tmp_path_factory.mktemp("tags")
        make_first(folder)
        patch.setattr(replays_module, "_SAMPLE", 64)
        views, seen = [shared(folder) for _ in range(3)], set[int]()
        for view, number in steps:
            assert views[view].is_new(tag(number)) == (number not in seen)
            seen.add(number)
        late = shared(folder)
        assert not any(late.is_new(tag(number)) for number in seen)
        for replays in [*views, late]:
            replays.close()


def test_a_table_that_is_there_but_not_used_yet_is_not_passed_over(folder: Path) -> None:
    # Whoever begins a table may be killed before it shuts the one before.
    one = shared(folder)
    replays_module._in_file(folder / "2.tags", 2, replays_module.SIZES[1], one._salt).close()
    other = shared(folder)  # knows of it
    assert other.is_new(tag(1))
    assert not one.is_new(tag(1))
    assert one.is_new(tag(2))
    assert not other.is_new(tag(2))


def test_all_know_when_another_key_is_needed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays_module, "SIZES", (1 << 13, 1 << 14))
    one, other = shared(folder), shared(folder)
    numbers = iter(range(1 << 20))
    while not one.is_full:
        assert one.is_new(tag(next(numbers)))
    assert not other.is_full
    other.look()
    assert other.is_full
    with pytest.raises(StoreError, match="until this node has a new key"):
        all(other.is_new(tag(number)) for number in numbers)
    for replays in (one, other):
        assert not replays.is_new(tag(0))
        with pytest.raises(StoreError):
            replays.is_new(tag(1 << 21))


def test_a_full_disk_asks_for_another_key_in_time(
    disk: SmallDisk, caplog: pytest.LogCaptureFixture
) -> None:
    folder = disk.folder / "replays"
    folder.mkdir()
    make_first(folder)
    disk.fill()
    one, other = shared(folder), shared(folder)
    numbers = iter(range(1 << 20))
    while not one.is_full:
        assert one.is_new(tag(next(numbers)))
    assert "No space left on device; this node needs another key soon" in caplog.text
    assert other.is_new(tag(next(numbers)))  # there is some room left
    with pytest.raises(StoreError, match="until this node has a new key"):
        all(one.is_new(tag(number)) for number in numbers)
    assert not other.is_new(tag(0))


def test_a_key_that_has_ended_takes_nothing_more(folder: Path) -> None:
    one, other = shared(folder), shared(folder)
    numbers = iter(range(1 << 20))
    while len(one._tables) == 1:
        one.is_new(tag(next(numbers)))
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    with pytest.raises(StoreError):
        other.is_new(tag(next(numbers)))


# Several processes.


@pytest.fixture
def children() -> Iterator[list["subprocess.Popen[str]"]]:
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def begin(
    children: list["subprocess.Popen[str]"], folder: Path, count: int, order: str
) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder), str(count), order],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    children.append(process)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def go(process: "subprocess.Popen[str]") -> None:
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


def noted(process: "subprocess.Popen[str]") -> list[int]:
    assert process.stdout
    return [int(line) for line in iter(process.stdout.readline, "done\n")]


@pytest.mark.no_cover
@pytest.mark.parametrize("order", ["in order", "shuffled"])
def test_each_tag_is_new_for_exactly_one_process(
    folder: Path, children: list["subprocess.Popen[str]"], order: str
) -> None:
    count = 20_000  # which needs two tables
    for _ in range(PROCESSES):
        begin(children, folder, count, order)
    for process in children:
        go(process)
    found = Counter(number for process in children for number in noted(process))
    assert found == Counter(range(count))
    assert len(list(folder.glob("*.tags"))) == 2
    late = shared(folder)
    assert not any(late.is_new(tag(number)) for number in random.sample(range(count), 1000))
    assert late.is_new(os.urandom(16))
    late.close()


@pytest.mark.no_cover
def test_a_kill_leaves_each_tag_to_one_process_or_to_none(
    folder: Path, children: list["subprocess.Popen[str]"]
) -> None:
    count = 20_000
    killed, *others = [begin(children, folder, count, "in order") for _ in range(3)]
    for process in children:
        go(process)
    killed.send_signal(signal.SIGKILL)
    said, _, _ = killed.communicate()[0].rpartition("\n")  # the last line may be cut
    found = Counter(int(line) for line in said.splitlines() if line != "done")
    found.update(number for process in others for number in noted(process))
    assert max(found.values()) == 1
    late = shared(folder)
    assert not any(late.is_new(tag(number)) for number in range(count))
    late.close()
