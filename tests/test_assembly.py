"""Assembly: every message comes out whole and once, whatever strangers send, also after a restart.

The tests add fragments to an assembly over a real journal, and look at what reaches the inbox.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nym.client.assembly import MOST_EXPIRED, PATIENCE, Assembly
from nym.envelope import (
    ANONYMOUS_CAPACITY,
    RELIABLE_CAPACITY,
    Fragment,
    fragment,
    fragment_count,
)
from nym.store import seen, shares
from nym.store.inbox import REVIEW, Inbox
from nym.store.journal import Journal
from nym.store.shares import Standing
from nym.wire.answers import Received
from tests.harness import contents

ALICE, BOB = b"a" * 32, b"b" * 32


def pieces(number: int, message_id: bytes, sender: bytes | None = ALICE) -> list[Fragment]:
    """All fragments of a message; its content depends on its id and its sender."""
    length = number * RELIABLE_CAPACITY - 10
    message = Random(message_id + (sender or b"")).randbytes(length)
    count = fragment_count(length, reliable=sender is not None)
    return [fragment(message, message_id, index, sender) for index in range(count)]


def whole(fragments: list[Fragment]) -> bytes:
    return b"".join(piece.data for piece in fragments)


class Receiving:
    """An assembly, its inbox, and the folder with their database, which survives `restart`."""

    def __init__(self, journal: Journal, folder: Path) -> None:
        self._folder = folder
        self.contacts: set[bytes] = set()
        self.clock = 0.0
        self._begin(journal, 0.0)

    def _begin(self, journal: Journal, now: float) -> None:
        self.journal = journal
        self.inbox = Inbox(journal, self.contacts, lambda: self.clock)
        self.assembly = Assembly(journal, self.inbox, now, self.contacts)

    def restart(self, now: float = 0.0) -> None:
        """Stop the client, and start it again over the same folder."""
        self.journal.close()
        self._begin(Journal(self._folder, bytes(32)), now)

    def add(self, *fragments: Fragment, now: float = 0.0) -> list[tuple[int, int] | None]:
        """Add fragments; for each, return the (first, last) of the run around it that is there."""
        runs = [self.assembly.add(piece, now) for piece in fragments]
        for piece, run in zip(fragments, runs, strict=True):
            assert run is None or run.message_id == piece.message_id
        return [run and (run.first, run.last) for run in runs]

    def take(self) -> list[bytes]:
        """Fetch all complete messages."""
        taken = self.came()
        self.inbox.handed_over(taken)
        return contents(taken)

    def came(self) -> list[Received]:
        """All complete messages with their senders; they stay in the inbox."""
        self.inbox.settle()
        return self.inbox.take()

    def on_disk(self, kind: str) -> list[str]:
        """The names of this kind's entries in the database, in the order of their positions."""
        self.journal.flush()
        rows = self.journal._database._connection.execute(
            "SELECT id FROM entry WHERE kind = ? ORDER BY position", (kind,)
        )
        return [entry_id.decode() for (entry_id,) in rows]


@pytest.fixture
def receiving(journal: Journal, tmp_path: Path) -> Iterator[Receiving]:
    receiving = Receiving(journal, tmp_path)
    yield receiving
    receiving.journal.close()


@contextmanager
def fresh() -> Iterator[Receiving]:
    """A new assembly: hypothesis runs a test many times, but a fixture is made once per test."""
    with TemporaryDirectory() as name:
        receiving = Receiving(Journal(Path(name), bytes(32)), Path(name))
        try:
            yield receiving
        finally:
            receiving.journal.close()


ONE, TWO, THREE, FOUR = (bytes([i]) * 16 for i in range(1, 5))

messages = st.lists(
    st.tuples(st.integers(1, 6), st.sampled_from([ONE, TWO]), st.sampled_from([None, ALICE, BOB])),
    min_size=1,
    max_size=5,
    unique_by=lambda message: message[1:],
)


@settings(max_examples=60)
@given(messages, st.integers(1, 3), st.sampled_from([0.0, 0.3]), st.integers(0, 3), st.data())
def test_every_message_comes_out_once_and_whole_in_any_order_with_losses_and_starts_between(
    drawn: list[tuple[int, bytes, bytes | None]],
    copies: int,
    loss: float,
    starts: int,
    data: st.DataObject,
) -> None:
    random = Random(data.draw(st.integers()))
    sent = [pieces(*message) for message in drawn]
    steps: list[Fragment | None] = [
        piece for message in sent for piece in message * copies if random.random() >= loss
    ]
    steps += [None] * starts
    random.shuffle(steps)
    have: dict[tuple[bytes | None, bytes], set[int]] = {}
    with fresh() as receiving:
        for piece in steps:
            if piece is None:
                receiving.restart()
                continue
            there = have.setdefault((piece.sender, piece.message_id), set())
            there.add(piece.index)
            assert receiving.add(piece) == [run_around(piece.index, there)]
        came = receiving.came()
        complete = [m for m in sent if len(have.get((m[0].sender, m[0].message_id), ())) == len(m)]
        expected = [(m[0].sender, whole(m)) for m in complete]
        assert sorted((r.sender or b"", r.message) for r in came) == sorted(
            (sender or b"", message) for sender, message in expected
        )
        assert len(receiving.assembly) == len(have) - len(complete)
        assert receiving.assembly.given_up.total() == 0


def run_around(index: int, there: set[int]) -> tuple[int, int]:
    first = last = index
    while first - 1 in there:
        first -= 1
    while last + 1 in there:
        last += 1
    return first, last


def test_an_anonymous_message_has_no_sender_and_a_reliable_one_its_own(
    receiving: Receiving,
) -> None:
    receiving.add(*pieces(2, ONE, None), *pieces(2, ONE, ALICE), *pieces(1, ONE, BOB))
    assert [received.sender for received in receiving.came()] == [None, ALICE, BOB]


def test_an_empty_message_is_one_too(receiving: Receiving) -> None:
    assert receiving.add(Fragment(ONE, 0, 1, b"", ALICE)) == [(0, 0)]
    assert receiving.take() == [b""]


def test_a_message_of_a_thousand_fragments_comes_out_whole(receiving: Receiving) -> None:
    sent = pieces(1000, ONE)
    shuffled = Random(1).sample(sent, len(sent))
    assert receiving.add(*shuffled)[-1] == (0, 999)
    assert receiving.take() == [whole(sent)]


def test_a_fragment_that_contradicts_those_before_it_is_dropped(receiving: Receiving) -> None:
    sent, other = pieces(3, ONE), pieces(2, ONE)
    receiving.add(sent[0])
    assert receiving.add(other[1], other[0]) == [None, None]
    receiving.restart()
    assert receiving.add(other[1]) == [None]
    assert receiving.add(*sent[1:]) == [(0, 1), (0, 2)]
    assert receiving.take() == [whole(sent)]


def test_the_first_copy_of_a_fragment_counts(receiving: Receiving) -> None:
    sent, forged = pieces(2, ONE, None), Fragment(ONE, 0, 2, bytes(903))
    receiving.add(sent[0], forged, sent[1])
    assert receiving.take() == [whole(sent)]


def test_what_was_delivered_is_acknowledged_again_and_not_delivered(receiving: Receiving) -> None:
    sent = pieces(3, ONE)
    receiving.add(*sent)
    assert receiving.take() == [whole(sent)]
    for _ in range(2):
        assert receiving.add(*sent) == [(0, 2)] * 3
        assert receiving.take() == []
        assert len(receiving.assembly) == 0
        receiving.restart()


def test_what_comes_again_says_all_that_is_there_around_it(receiving: Receiving) -> None:
    sent = pieces(8, ONE)
    receiving.add(*(sent[i] for i in (1, 2, 3, 5, 6)))
    again = [(1, 3), (1, 3), (1, 3), (5, 6), (5, 6)]
    for _ in range(2):
        assert receiving.add(*(sent[i] for i in (1, 2, 3, 5, 6))) == again
        receiving.restart()
    assert receiving.add(sent[4], sent[2]) == [(1, 6), (1, 6)]


def test_a_complete_message_leaves_nothing_on_disk_but_that_it_was_seen(
    receiving: Receiving,
) -> None:
    sent = pieces(3, ONE)
    receiving.add(*sent[:2])
    assert len(receiving.on_disk("fragment")) == 2
    receiving.add(sent[2])
    assert receiving.on_disk("fragment") == []
    assert len(receiving.on_disk("seen")) == 1
    assert len(receiving.on_disk("received")) == 1


def test_whenever_it_is_killed_a_message_comes_out_once(
    receiving: Receiving, tmp_path: Path
) -> None:
    sent = pieces(3, ONE)
    for number in range(len(sent) + 1):
        folder = tmp_path / str(number)
        folder.mkdir()
        for path in tmp_path.glob("client.db*"):
            shutil.copy(path, folder)  # what a killed process leaves: what is on disk by now
        killed = Receiving(Journal(folder, bytes(32)), folder)
        killed.add(*sent)
        assert killed.take() == [whole(sent)]
        killed.journal.close()
        receiving.journal.flush()
        receiving.add(*sent[number : number + 1])


def test_the_disk_tells_neither_senders_nor_ids_nor_messages(receiving: Receiving) -> None:
    begun = [pieces(3, ONE, sender)[0] for sender in (None, ALICE)]
    ended = [pieces(1, TWO, sender)[0] for sender in (None, BOB)]
    receiving.add(*begun, *ended)
    receiving.journal.flush()
    connection = receiving.journal._database._connection
    rows = connection.execute("SELECT kind, id, body FROM entry").fetchall()
    kinds = sorted(kind.decode() for kind, _, _ in rows)
    assert kinds == ["fragment"] * 2 + ["received"] * 2 + ["seen"] * 2
    everything = b" ".join(name + b" " + body for _, name, body in rows)
    data = (piece.data[:32] for piece in begun + ended)
    for secret in (ALICE, BOB, ONE, TWO, *data):
        assert secret not in everything
        assert secret.hex().encode() not in everything


def test_one_senders_names_have_nothing_in_common(receiving: Receiving) -> None:
    for message_id in (ONE, TWO, THREE):
        receiving.add(pieces(2, message_id)[0])
    names = [name.split()[0] for name in receiving.on_disk("fragment")]
    assert [len(name) for name in names] == [32, 32, 32]
    assert len({name[:8] for name in names}) == 3
    assert len({name[-8:] for name in names}) == 3


# Limits on what strangers can occupy.


def test_where_there_is_no_room_the_message_goes_of_which_nothing_came_for_longest(
    receiving: Receiving, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shares, "MOST_MESSAGES", 3)
    one, two, three, four = (pieces(4, name, None) for name in (ONE, TWO, THREE, FOUR))
    receiving.add(*two[:3], one[0], three[0], one[1])
    assert receiving.add(four[0]) == [(0, 0)]
    assert (len(receiving.assembly), receiving.assembly.given_up.total()) == (3, 1)
    said = "from anonymous senders are given up, because there is no room for more; 1 so far"
    assert said in caplog.text
    receiving.restart()
    receiving.add(*one[2:], *two[3:], *three[1:], *four[1:])
    assert receiving.take() == [whole(one), whole(three), whole(four)]


def test_after_a_start_the_order_is_that_in_which_messages_were_begun(
    receiving: Receiving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "MOST_MESSAGES", 2)
    one, two, three = (pieces(3, name, None) for name in (ONE, TWO, THREE))
    receiving.add(one[0], two[0], two[1])
    receiving.restart()
    receiving.add(three[0], two[2])
    assert receiving.take() == [whole(two)]
    assert receiving.assembly.given_up.total() == 1


def test_what_goes_on_or_is_complete_needs_no_place_of_anothers(
    receiving: Receiving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "MOST_MESSAGES", 2)
    one, two, three = (
        pieces(count, name, None) for count, name in ((3, ONE), (3, TWO), (1, THREE))
    )
    receiving.add(one[0], two[0], one[1], two[1], *three)
    assert receiving.assembly.given_up.total() == 0
    assert receiving.take() == [whole(three)]
    receiving.add(one[2], two[2])
    assert receiving.take() == [whole(one), whole(two)]


def test_all_pieces_together_have_their_limit_too_also_after_a_start(
    receiving: Receiving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "MOST_BYTES", 5 * ANONYMOUS_CAPACITY)
    one, two, three = (pieces(4, name, None) for name in (ONE, TWO, THREE))
    receiving.add(*two[:2], *one[:3])
    receiving.restart()
    assert receiving.assembly.given_up.total() == 0
    assert receiving.add(three[0]) == [(0, 0)]
    assert (len(receiving.assembly), receiving.assembly.given_up.total()) == (2, 1)
    receiving.add(one[3])
    assert receiving.take() == [whole(one)]


def test_a_message_that_grows_gives_up_others_and_never_itself(
    receiving: Receiving, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = pieces(7, ONE, None), pieces(4, TWO, None)
    with monkeypatch.context() as limits:
        limits.setattr(shares, "MOST_BYTES", 5 * ANONYMOUS_CAPACITY)
        receiving.add(one[0], *two[:3], one[1])
        receiving.add(*one[2:6])
        assert (len(receiving.assembly), receiving.assembly.given_up.total()) == (1, 1)
    receiving.add(one[6])
    assert receiving.take() == [whole(one)]


def test_what_was_completed_or_given_up_has_its_room_back(
    receiving: Receiving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "MOST_BYTES", 3 * ANONYMOUS_CAPACITY)
    for number in range(5):
        receiving.add(*pieces(3, bytes([number]) * 16, None))
        receiving.take()
    for number in range(5, 10):
        receiving.add(*pieces(4, bytes([number]) * 16, None)[:3], now=1.0)
        receiving.assembly.expire(2.0 + PATIENCE)
    assert receiving.assembly.given_up.total() == 5
    receiving.add(*pieces(4, ONE, None)[:3])
    assert receiving.assembly.given_up.total() == 5


@pytest.mark.parametrize(
    ("limit", "value", "half"),
    [("MOST_MESSAGES", 4, 2), ("MOST_BYTES", 8 * RELIABLE_CAPACITY, 4)],
)
def test_a_sender_has_half_of_the_room_and_pushes_out_only_its_own_from_then_on(
    receiving: Receiving, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, half: int
) -> None:
    monkeypatch.setattr(shares, limit, value)
    alices = [pieces(3, bytes([number]) * 16, ALICE) for number in range(10)]
    bobs = pieces(3, ONE, BOB)
    receiving.add(bobs[0])
    for message in alices:
        receiving.add(message[0])
    assert len(receiving.assembly) == 1 + half
    receiving.add(*bobs[1:])
    assert receiving.take() == [whole(bobs)]


@pytest.mark.parametrize("flooding", [None, ALICE, BOB])
def test_what_is_sent_in_one_standing_takes_no_room_of_another(
    receiving: Receiving, monkeypatch: pytest.MonkeyPatch, flooding: bytes | None
) -> None:
    monkeypatch.setattr(shares, "MOST_MESSAGES", 4)
    receiving.contacts.add(BOB)
    others = [pieces(3, ONE, sender) for sender in (None, ALICE, BOB) if sender != flooding]
    receiving.add(*(piece for message in others for piece in message[:2]))
    for number in range(20):
        receiving.add(pieces(3, bytes([number]) * 16, flooding)[0])
        receiving.add(*pieces(1, bytes([number]) * 15 + b"1", flooding))
    assert receiving.assembly.given_up.total() > 10
    assert len(receiving.inbox) in (2, 4)
    receiving.add(*(message[2] for message in others))
    came = receiving.take()
    assert all(whole(message) in came for message in others)


MADE_UP = (Random(number).randbytes(32) for number in count())


def begun(number: int, sender: bytes | None, index: int = 0) -> Fragment:
    """A fragment of a message that is never completed, such as a flood consists of."""
    message_id = number.to_bytes(16, "big")
    size = ANONYMOUS_CAPACITY if sender is None else RELIABLE_CAPACITY
    return Fragment(message_id, index, 1000, bytes(size), sender)


@pytest.mark.no_cover  # ten thousand packets
@pytest.mark.parametrize("is_proven", [True, False])
@pytest.mark.parametrize("first", [1000, shares.MOST_MESSAGES])
def test_a_flood_between_an_honest_messages_packets_does_not_keep_it_from_being_complete(
    receiving: Receiving,
    caplog: pytest.LogCaptureFixture,
    first: int,
    *,
    is_proven: bool,
) -> None:
    numbers = count()

    def flood(messages: int) -> None:
        for number in islice(numbers, messages):
            sender = next(MADE_UP) if is_proven else None
            receiving.add(*(begun(number, sender, index) for index in range(2)))

    flood(first)
    honest = [
        pieces(4, b"honest" + number.to_bytes(10, "big"), ALICE if is_proven else None)
        for number in range(50)
    ]
    for message in honest:
        for piece in message:
            receiving.add(piece)
            flood(1)
    assert receiving.take() == [whole(message) for message in honest]
    assert len(caplog.records) <= 1


@pytest.mark.no_cover  # hours of packets
def test_twenty_packets_a_second_for_hours_keep_no_message_from_being_complete(
    receiving: Receiving, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # A twentieth of the real room and of the rate in the test's name, so that the test is quick.
    # Only the ratio matters: how many messages are begun between two packets of an honest one.
    monkeypatch.setattr(shares, "MOST_MESSAGES", 500)
    numbers, started = count(), list[object]()
    honest = [(ONE, 500, 30.0), (TWO, 100, 100.0), (THREE, 4, 400.0)]  # packets, seconds between
    due = [
        (7.0 + index * gap, piece)
        for name, packets, gap in honest
        for index, piece in enumerate(pieces(packets, name, None))
    ]
    due.sort(key=lambda item: item[0])
    for now, piece in due:
        while len(started) < now:
            started.append(receiving.add(begun(next(numbers), None), now=now))
        receiving.add(piece, now=now)
        receiving.assembly.expire(now)
    assert due[-1][0] > 3 * 3600.0
    assert len(started) > 10_000
    taken = receiving.take()
    assert sorted(map(len, taken)) == sorted(
        sum(len(piece.data) for piece in pieces(packets, name, None)) for name, packets, _ in honest
    )
    assert len(caplog.records) == 1


def test_what_is_begun_and_never_goes_on_is_bounded_in_memory_and_on_disk(
    receiving: Receiving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "MOST_MESSAGES", 1000)
    for number in range(3 * shares.MOST_MESSAGES):
        receiving.add(begun(number, None))
        if number % 100 == 0:
            receiving.journal.flush()
    assert len(receiving.assembly) == shares.MOST_MESSAGES
    assert len(receiving.on_disk("fragment")) == shares.MOST_MESSAGES
    size = sum(path.stat().st_size for path in tmp_path.glob("client.db*"))
    assert size < 2 * shares.MOST_MESSAGES * ANONYMOUS_CAPACITY


@pytest.mark.parametrize("sender", [ALICE, BOB])
def test_what_a_sender_proved_comes_once_whatever_others_sent_since(
    receiving: Receiving, monkeypatch: pytest.MonkeyPatch, sender: bytes
) -> None:
    monkeypatch.setattr(seen, "GENERATION", 64)
    receiving.contacts.add(BOB)
    pay = Fragment(ONE, 0, 1, b"pay 100", sender)
    receiving.add(pay)
    for number in range(64 * (seen.GENERATIONS + 1)):
        for other in (None, next(MADE_UP)) if sender == BOB else (None,):
            receiving.add(Fragment(number.to_bytes(16, "big"), 0, 1, b"", other))
    assert b"pay 100" in receiving.take()
    for _ in range(2):
        assert receiving.add(pay) == [(0, 0)]
        assert receiving.take() == []
        receiving.restart()


def test_a_message_of_which_nothing_new_comes_is_given_up(
    receiving: Receiving, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = pieces(3, ONE), pieces(3, TWO)
    receiving.add(one[0], two[0], now=0.0)
    receiving.add(one[0], two[1], now=10.0)
    receiving.assembly.expire(PATIENCE)
    assert len(receiving.assembly) == 2
    receiving.assembly.expire(PATIENCE + 1)
    assert (len(receiving.assembly), receiving.assembly.given_up.total()) == (1, 1)
    said = "from strangers are given up, because nothing more of them arrived; 1 so far"
    assert said in caplog.text
    assert len(receiving.on_disk("fragment")) == 2
    receiving.assembly.expire(PATIENCE + 11)
    assert (len(receiving.assembly), receiving.assembly.given_up.total()) == (0, 2)
    assert receiving.on_disk("fragment") == []
    receiving.add(*one)
    assert receiving.take() == [whole(one)]


def test_of_many_that_expire_together_some_are_given_up_at_a_time(receiving: Receiving) -> None:
    for number in range(MOST_EXPIRED + 1):
        receiving.add(begun(number, None))
    receiving.assembly.expire(1.0 + PATIENCE)
    assert len(receiving.assembly) == 1
    receiving.assembly.expire(1.0 + PATIENCE)
    assert len(receiving.assembly) == 0


def test_after_a_start_patience_begins_anew(receiving: Receiving) -> None:
    receiving.add(pieces(3, ONE)[0], now=0.0)
    receiving.restart(now=100.0)
    receiving.assembly.expire(100.0 + PATIENCE)
    assert len(receiving.assembly) == 1
    receiving.assembly.expire(101.0 + PATIENCE)
    assert len(receiving.assembly) == 0


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("sender", [None, ALICE])
@pytest.mark.parametrize("is_restarted", [True, False])
def test_while_the_inbox_is_full_a_message_is_not_complete(
    receiving: Receiving,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    sender: bytes | None,
    *,
    is_restarted: bool,
) -> None:
    sent = pieces(number, ONE, sender)
    everything = (0, len(sent) - 1)
    with monkeypatch.context() as limits:
        receiving.add(*sent[:-1])
        limits.setattr(shares, "MOST_MESSAGES", 0)
        assert receiving.add(sent[-1], sent[-1]) == [None, None]
        # A reliable message comes again, because its last fragment was not acknowledged. An
        # anonymous one is lost. Both are counted as refused.
        standing = Standing.ANONYMOUS if sender is None else Standing.STRANGER
        assert receiving.inbox.refusals.counts == {standing: 2}
        assert receiving.on_disk("seen") == []
    if is_restarted:
        receiving.restart()
    assert receiving.take() == []
    receiving.clock += REVIEW
    assert receiving.add(sent[-1], sent[-1]) == [everything] * 2
    assert receiving.take() == [whole(sent)]


@pytest.mark.parametrize("step", range(3))
def test_whatever_is_raised_while_it_is_completed_a_message_comes_out_once(
    receiving: Receiving, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    first, last = pieces(2, ONE)
    receiving.add(first)
    steps = count()

    def failing(change: Callable[..., None]) -> Callable[..., None]:
        def changed(*arguments: Any) -> None:
            if next(steps) == step:
                raise MemoryError
            change(*arguments)

        return changed

    for name in ("put", "drop", "drop_parts"):
        monkeypatch.setattr(receiving.journal, name, failing(getattr(receiving.journal, name)))
    with pytest.raises(MemoryError):
        receiving.add(last)
    monkeypatch.undo()
    assert receiving.add(last, first) == [(0, 1)] * 2
    receiving.inbox.settle()
    receiving.restart()
    assert receiving.add(last, first) == [(0, 1)] * 2
    assert receiving.take() == [whole([first, last])]
