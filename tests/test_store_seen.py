"""The memory of messages that came: each is known for as long as promised, also after restarts.

What others send doesn't shorten the memory for a contact. A state machine compares the memory with
plain lists, over many random steps and restarts.
"""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from nym.store import seen as seen_module
from nym.store.journal import Journal
from nym.store.seen import Key, Seen

KEY = bytes(32)
ALICE, BOB, CAROL = b"a" * 32, b"b" * 32, b"c" * 32
CONTACTS = {BOB, CAROL}


def key(number: int, sender: bytes | None) -> Key:
    return Key(sender, number.to_bytes(16, "big"))


def strangers() -> Iterator[bytes]:
    """Endless made-up senders, which cost an attacker nothing."""
    random = Random(1)
    while True:
        yield random.randbytes(32)


def reopened(journal: Journal, folder: Path) -> tuple[Journal, Seen]:
    journal.close()
    again = Journal(folder, KEY)
    return again, Seen(again, CONTACTS)


class Machine(RuleBasedStateMachine):
    """Compares the memory with lists; generations are short, so that some are forgotten."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        for name, value in (("CHUNK", 4), ("GENERATION", 12), ("GENERATIONS", 3)):
            self.patch.setattr(seen_module, name, value)
        self.folder = TemporaryDirectory()
        self.journal = Journal(Path(self.folder.name), KEY)
        self.seen = Seen(self.journal, CONTACTS)
        self.came: dict[bytes | None, list[Key]] = {None: [], ALICE: [], BOB: [], CAROL: []}
        self.number = 0

    def teardown(self) -> None:
        self.journal.close()
        self.folder.cleanup()
        self.patch.undo()

    @rule(sender=st.sampled_from([None, ALICE, BOB, CAROL]), count=st.integers(1, 30))
    def add(self, sender: bytes | None, count: int) -> None:
        """Let several messages come from one sender."""
        for _ in range(count):
            self.number += 1
            self.came[sender].append(key(self.number, sender))
            self.seen.add(self.came[sender][-1])

    @rule(sender=st.sampled_from([None, ALICE, BOB, CAROL]))
    def add_and_take_back(self, sender: bytes | None) -> None:
        """Let a message come that can't be kept, so that its key is removed again."""
        self.number += 1
        one = key(self.number, sender)
        self.seen.add(one)
        assert one in self.seen
        self.seen.take_back(one)
        self.seen.take_back(one)
        assert one not in self.seen

    @rule()
    def restart(self) -> None:
        """Close the journal, and start again."""
        self.journal, self.seen = reopened(self.journal, Path(self.folder.name))

    @invariant()
    def the_latest_are_known(self) -> None:
        """The latest two generations are known; the oldest, and others, are not."""
        for sender, came in self.came.items():
            assert all(one in self.seen for one in came[-24:])
            assert not any(one in self.seen for one in came[:-36])
            assert key(0, sender) not in self.seen


TestSeen = Machine.TestCase
TestSeen.settings = settings(max_examples=30, stateful_step_count=20)


def test_the_latest_million_is_known_at_a_few_bytes_each(journal: Journal, tmp_path: Path) -> None:
    assert seen_module.GENERATION * (seen_module.GENERATIONS - 1) == 1 << 20
    seen = Seen(journal)
    random = Random(1)
    numbers = [random.getrandbits(64) for _ in range(200_000)]
    seen._strangers.add_all(numbers)
    assert all(number in seen._strangers for number in numbers[::1000])
    journal.flush()
    size = sum(path.stat().st_size for path in tmp_path.glob("client.db"))
    assert size < 16 * len(numbers)
    in_memory = sum(g.ordered.itemsize * len(g.ordered) for g in seen._strangers._generations)
    assert in_memory == 8 * len(numbers)


def test_what_a_contact_sent_is_known_whatever_strangers_send(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen_module, "GENERATION", 64)
    seen = Seen(journal, CONTACTS)
    seen.add(key(1, BOB))
    made_up = strangers()
    for number in range(64 * (seen_module.GENERATIONS + 1)):
        seen.add(key(number, None))
        seen.add(key(number, next(made_up)))
        seen.add(key(number, CAROL))
    assert key(1, BOB) in seen
    again, seen = reopened(journal, tmp_path)
    assert key(1, BOB) in seen
    assert key(0, CAROL) not in seen
    again.close()


def test_what_a_sender_sent_before_it_was_a_contact_or_is_none_any_more_is_known(
    journal: Journal, tmp_path: Path
) -> None:
    contacts: set[bytes] = set()
    seen = Seen(journal, contacts)
    seen.add(key(1, ALICE))
    contacts.add(ALICE)
    seen.add(key(2, ALICE))
    contacts.clear()
    seen.add(key(3, ALICE))
    again, seen = reopened(journal, tmp_path)
    assert all(key(number, ALICE) in seen for number in (1, 2, 3))
    assert not any(key(number, ALICE) in seen for number in (0, 4))
    again.close()


def test_what_an_earlier_version_noted_is_known_and_noted_anew(
    journal: Journal, tmp_path: Path
) -> None:
    before = [key(number, sender) for number in range(1000) for sender in (None, ALICE, BOB)]
    for one in before:
        journal.put("seen", one.name, b"")
    journal.flush()
    for _ in range(2):
        journal, seen = reopened(journal, tmp_path)
        assert all(one in seen for one in before)
        assert key(1000, None) not in seen
        journal.flush()
        (count,) = journal._database._connection.execute(
            "SELECT count(*) FROM entry WHERE kind = 'seen'"
        ).fetchone()
        assert count == 2 * -(-len(before) // seen_module.CHUNK)
    journal.close()


def test_the_disk_does_not_tell_whose_memory_it_is(journal: Journal) -> None:
    Seen(journal, CONTACTS).add(key(1, BOB))
    journal.flush()
    rows = journal._database._connection.execute("SELECT id, body FROM entry").fetchall()
    assert len(rows) == 1
    for part in rows[0]:
        assert BOB not in part
        assert BOB.hex().encode() not in part
