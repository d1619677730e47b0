"""Messages from fragments: in any order, once, and no more than there is room for."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nym.client import assembly as assembly_module
from nym.client.assembly import PATIENCE, Assembly
from nym.envelope import ANONYMOUS_CAPACITY, Fragment, Run, fragment, fragment_count
from nym.store import inbox as inbox_module
from nym.store.inbox import Inbox
from nym.store.journal import Journal
from tests.harness import contents

ALICE, BOB = b"a" * 32, b"b" * 32
FULL = ANONYMOUS_CAPACITY


class Setup:
    """An assembly, and where its messages go."""

    def __init__(self, journal: Journal, now: float = 0.0) -> None:
        self.journal = journal
        self.inbox = Inbox(journal)
        self.assembly = Assembly(journal, self.inbox, now)

    def add(self, *fragments: Fragment, now: float = 0.0) -> list[Run | None]:
        return [self.assembly.add(fragment, now) for fragment in fragments]

    def reopened(self, folder: Path, now: float = 0.0) -> "Setup":
        """What the next start finds."""
        self.journal.close()
        return Setup(Journal(folder, bytes(32)), now)


@pytest.fixture
def setup(journal: Journal) -> Setup:
    return Setup(journal)


def cut(message: bytes, sender: bytes | None = None, message_id: bytes = b"") -> list[Fragment]:
    message_id = message_id or os.urandom(16)
    count = fragment_count(len(message), reliable=sender is not None)
    return [fragment(message, message_id, i, sender) for i in range(count)]


def runs(pieces: list[Fragment], *ends: tuple[int, int]) -> list[Run]:
    return [Run(pieces[0].message_id, first, last) for first, last in ends]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 5 * FULL), min_size=1, max_size=4), st.randoms())
def test_in_any_order_each_message_comes_once_and_whole(
    journal: Journal, sizes: list[int], random: Callable[..., float]
) -> None:
    setup = Setup(journal)
    messages = [(os.urandom(size), random.choice((None, ALICE, BOB))) for size in sizes]  # type: ignore[attr-defined]
    pieces = [piece for message, sender in messages for piece in cut(message, sender)]
    pieces += random.sample(pieces, len(pieces) // 2)  # type: ignore[attr-defined]
    random.shuffle(pieces)  # type: ignore[attr-defined]
    have: dict[bytes, set[int]] = {}
    for piece in pieces:
        here = have.setdefault(piece.message_id, set())
        here.add(piece.index)
        (run,) = setup.add(piece)
        assert run is not None
        assert run.first <= piece.index <= run.last
        assert here >= set(range(run.first, run.last + 1))
        assert not here & {run.first - 1, run.last + 1}, "it could say more"
    received = [(r.message, r.sender) for r in setup.inbox.take()]
    assert sorted(received, key=repr) == sorted(messages, key=repr)
    assert len(setup.assembly) == 0


def test_the_run_around_a_fragment_is_what_is_acknowledged(setup: Setup) -> None:
    pieces = cut(bytes(6 * FULL), message_id=b"m" * 16)
    order = [pieces[i] for i in (0, 2, 4, 3, 2, 1, 5, 3)]
    assert setup.add(*order) == runs(
        pieces, (0, 0), (2, 2), (4, 4), (2, 4), (2, 4), (0, 4), (0, 5), (0, 5)
    )


def test_half_a_message_and_what_was_delivered_are_known_at_the_next_start(
    setup: Setup, tmp_path: Path
) -> None:
    half, whole = cut(bytes(3 * FULL), ALICE), cut(b"whole")
    setup.add(*half[:2], *whole)
    again = setup.reopened(tmp_path)
    assert contents(again.inbox.take()) == [b"whole"]
    assert again.add(*whole) == runs(whole, (0, 0))
    again.add(*half)
    (received,) = again.inbox.take()
    assert (received.message, received.sender) == (bytes(3 * FULL), ALICE)
    third = again.reopened(tmp_path)
    assert third.add(half[0]) == runs(half, (0, len(half) - 1))
    assert len(third.assembly) == 0


def test_what_is_done_with_is_gone_from_the_disk(setup: Setup) -> None:
    setup.add(*cut(bytes(3 * FULL)))
    setup.journal.flush()
    kinds = setup.journal._database._connection.execute("SELECT kind FROM entry").fetchall()
    assert sorted(kinds) == [("received",), ("seen",)]


def test_names_on_the_disk_tell_neither_senders_nor_messages(setup: Setup) -> None:
    pieces = cut(bytes(3 * FULL), ALICE)
    setup.add(pieces[0], *cut(b"whole", BOB))
    setup.journal.flush()
    rows = setup.journal._database._connection.execute("SELECT id, body FROM entry").fetchall()
    everything = b"".join(name.encode() + body for name, body in rows)
    for secret in (ALICE, BOB, pieces[0].message_id, b"whole"):
        assert secret not in everything
        assert secret.hex().encode() not in everything


def test_an_id_belongs_to_its_sender(setup: Setup) -> None:
    same = b"m" * 16
    first, second = cut(b"1", ALICE, same), cut(b"2", BOB, same)
    setup.add(*first, *second, *cut(b"3", None, same))
    received = {(r.message, r.sender) for r in setup.inbox.take()}
    assert received == {(b"1", ALICE), (b"2", BOB), (b"3", None)}


def test_a_fragment_that_contradicts_the_others_is_dropped(setup: Setup) -> None:
    same = b"m" * 16
    good, bad = cut(bytes(2 * FULL), None, same), cut(b"x" * (3 * FULL), None, same)
    assert setup.add(good[0], bad[1], good[1]) == [
        *runs(good, (0, 0)),
        None,
        *runs(good, (0, 1)),
    ]
    assert contents(setup.inbox.take()) == [bytes(2 * FULL)]


def test_the_least_begun_makes_room_the_longest_untouched_first(
    setup: Setup, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(assembly_module, "MOST_PARTIAL", 2)
    much, old, new = (cut(bytes(4 * FULL)) for _ in range(3))
    setup.add(old[0], now=1.0)
    setup.add(*much[:2], now=0.0)
    setup.add(new[0], now=2.0)
    assert setup.assembly.given_up == 1
    assert "too many others" in caplog.text
    setup.add(*new[1:], *much[2:])
    assert contents(setup.inbox.take()) == [bytes(4 * FULL)] * 2
    setup.add(*old[1:])
    assert len(setup.assembly) == 1


def test_bytes_are_limited_too(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly_module, "MOST_BYTES", 3 * FULL)
    first, second = cut(bytes(4 * FULL)), cut(bytes(4 * FULL))
    setup.add(*first[:2], *second[:2])
    assert (len(setup.assembly), setup.assembly.given_up) == (1, 1)
    setup.add(*second[2:])
    assert contents(setup.inbox.take()) == [bytes(4 * FULL)]


def test_of_ids_that_were_seen_the_oldest_is_forgotten(
    setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assembly_module, "MOST_SEEN", 2)
    messages = [cut(bytes([i])) for i in range(3)]
    for pieces in messages:
        setup.add(*pieces)
    setup.inbox.handed_over(setup.inbox.take())
    again = setup.reopened(tmp_path)
    for pieces in reversed(messages):
        again.add(*pieces)
    assert contents(again.inbox.take()) == [b"\0"]


def test_what_does_not_go_on_is_given_up(setup: Setup, tmp_path: Path) -> None:
    slow, dead = cut(bytes(3 * FULL)), cut(bytes(3 * FULL))
    setup.add(slow[0], dead[0], now=0.0)
    setup.add(slow[1], now=PATIENCE)
    setup.assembly.expire(PATIENCE)
    assert len(setup.assembly) == 2
    setup.assembly.expire(PATIENCE + 1)
    assert (len(setup.assembly), setup.assembly.given_up) == (1, 1)
    setup.add(slow[2])
    assert contents(setup.inbox.take()) == [bytes(3 * FULL)]
    assert len(setup.reopened(tmp_path).assembly) == 0


def test_patience_begins_anew_with_each_start(setup: Setup, tmp_path: Path) -> None:
    setup.add(cut(bytes(2 * FULL))[0], now=0.0)
    again = setup.reopened(tmp_path, now=10 * PATIENCE)
    again.assembly.expire(11 * PATIENCE)
    assert len(again.assembly) == 1


@pytest.mark.parametrize("size", [1, 3 * FULL])
def test_without_room_in_the_inbox_a_message_is_not_acknowledged_and_may_come_again(
    setup: Setup, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    pieces = cut(bytes(size), ALICE)
    monkeypatch.setattr(inbox_module, "MOST_MESSAGES", 0)
    assert setup.add(*pieces)[-1] is None
    assert setup.inbox.lost == 0
    assert setup.add(*cut(b"anonymous")) == [None]
    assert setup.inbox.lost == 1
    monkeypatch.undo()
    assert setup.add(pieces[-1]) == runs(pieces, (0, len(pieces) - 1))
    assert contents(setup.inbox.take()) == [bytes(size)]
