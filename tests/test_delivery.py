"""One message: every fragment leaves as often as it has to, and a restart forgets none.

First come messages that nobody acknowledges, then reliable ones, then both ends of a reliable
message over a simulated network. Clock readings are arguments, so days pass at once.
"""

import heapq
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import count, pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nym.client.acknowledgements import Acknowledgements
from nym.client.assembly import Assembly
from nym.client.delivery import Delivery, Piece, Stage, Way
from nym.client.reliable import LONGEST_WAIT, MOST_ROUNDS, WINDOW, Recipient, Reliable
from nym.client.unacknowledged import ACCEPTABLE_LOSS, MOST_COPIES, Unacknowledged, copies
from nym.envelope import ANONYMOUS_CAPACITY, RELIABLE_CAPACITY, Acknowledgement, Fragment, Run
from nym.store.inbox import Inbox
from nym.store.journal import Journal
from nym.store.outbox import Ends, Manner, Outgoing, new_id
from nym.wire.sizes import LONGEST_SEALED

ALICE, BOB = b"a" * 32, b"b" * 32
FIRST_WAIT = 10.0
CAPACITY = {Manner.SEALED: ANONYMOUS_CAPACITY, Manner.RELIABLE: RELIABLE_CAPACITY}


def outgoing(fragments: int, manner: Manner) -> Outgoing:
    """A message to Bob that has this many fragments, all different."""
    message = Random(1).randbytes(fragments * CAPACITY[manner] - 1)
    return Outgoing(new_id(), BOB, message, manner)


class Numbered:
    """A delivery whose pieces have numbers, which tests can compare more easily.

    For a reliable message, the number is that of the fragment. For others, the numbers continue
    from one copy to the next.
    """

    def __init__(self, delivery: Delivery, way: Way | None = None) -> None:
        self.delivery = delivery
        self.way = way or Way(0.0)
        self.count = delivery.count
        self._pieces: dict[int, Piece] = {}

    def next(self, now: float) -> int | None:
        piece = self.delivery.next(now, self.way)
        if piece is None:
            return None
        copy = 0 if isinstance(self.delivery, Reliable) else piece.copy
        number = copy * self.count + piece.fragment
        self._pieces[number] = piece
        return number

    def content(self, number: int) -> Fragment | bytes:
        return self.delivery.content(Piece(*divmod(number, self.count)))

    def taken(self, number: int, now: float) -> bytes | None:
        # This also makes the delivery ask the way whether earlier pieces were carried. (They were.)
        self.delivery.is_done(self.way)
        return self.delivery.taken(self._pieces[number], now)

    def refused(self, number: int) -> None:
        self.delivery.refused(self._pieces[number])

    def acknowledge(self, *runs: Run, now: float = 0.0) -> bytes | None:
        assert isinstance(self.delivery, Reliable)
        return self.delivery.acknowledge(runs, now)

    @property
    def is_done(self) -> bool:
        return self.delivery.is_done(self.way)


# Messages that nobody acknowledges.


def unacknowledged(
    fragments: int, loss: float = 0.0, progress: bytes = b"", message: Outgoing | None = None
) -> Numbered:
    message = message or outgoing(fragments, Manner.SEALED)
    return Numbered(Unacknowledged(message, progress, ALICE), Way(loss))


def all_left(delivery: Numbered, now: float = 0.0) -> list[int]:
    """The numbers of all pieces that leave now; no mixnode has taken them yet."""
    return list(iter(lambda: delivery.next(now), None))


@pytest.mark.parametrize("fragments", [1, 3, 100])
@pytest.mark.parametrize("loss", [0.0, 0.01, 0.9])
def test_every_fragment_leaves_in_as_many_copies_as_it_takes_one_copy_after_another(
    fragments: int, loss: float
) -> None:
    message = outgoing(fragments, Manner.SEALED)
    delivery = unacknowledged(fragments, loss, message=message)
    pieces = [delivery.content(index) for index in all_left(delivery)]
    enough = copies(loss, fragments)
    assert len(pieces) == enough * fragments
    assert pieces == pieces[:fragments] * enough
    assert b"".join(p.data for p in pieces[:fragments] if isinstance(p, Fragment)) == (
        message.message
    )
    heads = [(p.message_id.hex(), p.index, p.count, p.sender) for p in pieces[:fragments]]  # type: ignore[union-attr]
    assert heads == [(message.id, i, fragments, None) for i in range(fragments)]


@pytest.mark.parametrize("loss", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("message", [b"", b"hello", bytes(975)])
def test_a_plain_message_is_one_packet_the_bytes_themselves_whatever_is_lost(
    message: bytes, loss: float
) -> None:
    delivery = unacknowledged(1, loss, message=Outgoing(new_id(), BOB, message, Manner.PLAIN))
    (index,) = all_left(delivery)
    assert delivery.content(index) == message
    assert not delivery.is_done
    delivery.refused(index)
    assert all_left(delivery) == [index]
    assert delivery.taken(index, 0.0) is None
    assert delivery.is_done
    assert all_left(delivery) == []


def test_an_empty_message_is_one_fragment() -> None:
    delivery = unacknowledged(1, message=Outgoing(new_id(), BOB, b"", Manner.SEALED))
    (content,) = (delivery.content(index) for index in all_left(delivery))
    assert isinstance(content, Fragment)
    assert (content.index, content.count, content.data) == (0, 1, b"")


def test_what_was_refused_goes_before_what_is_new() -> None:
    delivery = unacknowledged(4)
    first, second = delivery.next(0.0), delivery.next(0.0)
    assert first is not None
    assert second is not None
    delivery.refused(second)
    delivery.refused(first)
    left = [delivery.content(index) for index in all_left(delivery)]
    assert [piece.index for piece in left if isinstance(piece, Fragment)] == [1, 0, 2, 3]


def test_nothing_is_done_before_the_last_fragment_was_taken() -> None:
    delivery = unacknowledged(2, 0.01)
    assert not delivery.is_done
    *others, last = all_left(delivery)
    for index in others:
        assert not delivery.is_done
        delivery.taken(index, 0.0)
    delivery.refused(last)
    assert not delivery.is_done
    assert delivery.next(0.0) == last
    delivery.taken(last, 0.0)
    assert delivery.is_done


def test_copies_are_counted_by_what_is_known_when_one_has_left() -> None:
    delivery = Numbered(Unacknowledged(outgoing(3, Manner.SEALED), b"", ALICE), Way(None))
    for index in all_left(delivery):
        delivery.taken(index, 0.0)
    assert not delivery.is_done
    assert delivery.next(0.0) is None
    delivery.way = Way(0.9)
    again = [delivery.next(0.0) for _ in range(4)]
    assert again == [3, 4, 5, 6]
    delivery.way = Way(0.0)
    assert all_left(delivery) == [7, 8]
    for index in range(3, 9):
        assert not delivery.is_done
        delivery.taken(index, 0.0)
    assert delivery.is_done


def test_a_plain_message_waits_for_no_knowledge() -> None:
    message = Outgoing(new_id(), BOB, b"plain", Manner.PLAIN)
    delivery = Numbered(Unacknowledged(message, b"", ALICE), Way(None))
    (index,) = all_left(delivery)
    delivery.taken(index, 0.0)
    assert delivery.is_done


def test_progress_is_noted_every_64_fragments() -> None:
    delivery = unacknowledged(190)
    notes = [delivery.taken(index, 0.0) for index in all_left(delivery)]
    assert [i for i, note in enumerate(notes, 1) if note is not None] == [64, 128]


def test_a_start_goes_on_where_progress_was_noted() -> None:
    message = outgoing(100, Manner.SEALED)
    delivery = unacknowledged(100, message=message)
    progress = b""
    for _ in range(70):
        index = delivery.next(0.0)
        assert index is not None
        progress = delivery.taken(index, 0.0) or progress
    again = unacknowledged(100, 0.0, progress, message)
    assert not again.is_done
    left = [again.content(index) for index in all_left(again)]
    # It begins with the last of the 64: when the progress was noted, that one was not yet known to
    # have been carried.
    assert left == [delivery.content(index) for index in range(63, 100)]


@pytest.mark.parametrize("is_refused", [True, False])
def test_what_was_refused_or_under_way_for_long_is_sent_again_after_a_start(
    *, is_refused: bool
) -> None:
    delivery = unacknowledged(100)
    first, second, *others = all_left(delivery)
    assert delivery.taken(first, 0.0) is None
    if is_refused:
        delivery.refused(second)
    progress = [delivery.taken(index, 0.0) for index in others][62]
    assert progress is not None
    assert all_left(unacknowledged(100, 0.0, progress)) == list(range(second, 100))


@pytest.mark.parametrize(("fragments", "ends"), [(64, 64), (70, 70), (100, 100), (20, 80)])
def test_a_start_ends_the_copy_that_was_begun_though_nothing_is_lost_by_then(
    fragments: int, ends: int
) -> None:
    delivery = unacknowledged(fragments, 0.9)
    progress = b""
    while not progress:
        index = delivery.next(0.0)
        assert index is not None
        progress = delivery.taken(index, 0.0) or b""
    again = unacknowledged(fragments, 0.0, progress)
    left = all_left(again)
    assert left == list(range(63, ends))
    for index in left:
        assert not again.is_done
        again.taken(index, 0.0)
    assert again.is_done


def taken_in_any_order(
    delivery: Numbered, random: Random, steps: float
) -> tuple[Counter[int], bytes]:
    """Let pieces be taken or refused in any order, for at most this many steps.

    Returns (how often each fragment was taken, the progress that was noted last).
    """
    under_way: list[int] = []
    taken, progress = Counter[int](), b""
    while steps > 0 and not delivery.is_done:
        steps -= 1
        index = delivery.next(0.0) if random.random() < 0.6 else None
        if index is not None:
            under_way.append(index)
        elif under_way:
            index = under_way.pop(random.randrange(len(under_way)))
            if random.random() < 0.2:
                delivery.refused(index)
                continue
            piece = delivery.content(index)
            assert isinstance(piece, Fragment)
            taken[piece.index] += 1
            progress = delivery.taken(index, 0.0) or progress
    return taken, progress


losses = st.sampled_from([0.0, 0.001, 0.1, 0.9])
at_starts = st.lists(losses, min_size=1) | st.tuples(losses, st.integers(1, 5)).map(
    lambda drawn: [drawn[0]] * drawn[1]
)


@given(st.integers(1, 150), at_starts, st.integers().map(Random))
def test_nothing_is_missing_whatever_is_slow_refused_or_cut_off_by_a_start(
    fragments: int, at_starts: list[float], random: Random
) -> None:
    message = outgoing(fragments, Manner.SEALED)
    taken, progress = Counter[int](), b""
    for starts_left, loss in zip(reversed(range(len(at_starts))), at_starts, strict=True):
        delivery = unacknowledged(fragments, loss, progress, message)
        steps = 4 * fragments if starts_left else math.inf
        more, note = taken_in_any_order(delivery, random, steps)
        taken, progress = taken + more, note or progress
        if delivery.is_done:
            break
    assert delivery.is_done
    assert set(taken) == set(range(fragments))
    if len(set(at_starts)) == 1:
        assert min(taken.values()) >= copies(loss, fragments)


def arrival(loss: float, number: int, fragments: int) -> float:
    """The probability that all fragments arrive if `number` copies of each are sent."""
    lost = loss**number
    return 0.0 if lost >= 1 else math.exp(fragments * math.log1p(-lost))


@given(st.floats(0, 1), st.integers(1, 18580))
def test_copies_are_enough_where_four_are_and_no_more_than_it_takes(
    loss: float, fragments: int
) -> None:
    number = copies(loss, fragments)
    assert number in range(1, MOST_COPIES + 1)
    if arrival(loss, MOST_COPIES, fragments) >= 1 - ACCEPTABLE_LOSS:
        assert arrival(loss, number, fragments) >= 1 - ACCEPTABLE_LOSS - 1e-9
    if number > 1:
        assert arrival(loss, number - 1, fragments) < 1 - ACCEPTABLE_LOSS + 1e-6


@pytest.mark.parametrize(
    ("loss", "fragments", "expected"),
    [(0, 18580, 1), (0.001, 1, 1), (0.001, 2, 2), (0.03, 1, 2), (0.1, 1, 3), (0.1, 10, 4)],
)
def test_copies_as_one_would_reckon_them(loss: float, fragments: int, expected: int) -> None:
    assert copies(loss, fragments) == expected


@pytest.mark.parametrize("loss", [0.5, 1.0])
def test_there_are_never_more_than_four_copies(loss: float) -> None:
    assert copies(loss, 1000) == 4


# Reliable messages.


class Sending:
    """A reliable message from Alice to Bob; the time is an argument."""

    def __init__(
        self, fragments: int, first_wait: float = FIRST_WAIT, recipient: Recipient | None = None
    ) -> None:
        self.recipient = recipient or Recipient()
        self.message = outgoing(fragments, Manner.RELIABLE)
        self.first_wait = first_wait
        self.delivery = self.started(b"")

    def started(self, progress: bytes) -> Numbered:
        """The delivery that a start of the client makes from this progress."""
        return Numbered(Reliable(self.message, progress, self.recipient, ALICE, self.first_wait))

    def run(self, first: int, last: int) -> Run:
        return Run(bytes.fromhex(self.message.id), first, last)

    def acknowledge(self, first: int, last: int, now: float = 0.0) -> bytes | None:
        return self.delivery.acknowledge(self.run(first, last), now=now)

    def send(self, now: float = 0.0) -> list[int]:
        """The fragments that leave now, which mixnodes take at once."""
        left = all_left(self.delivery, now)
        for index in left:
            assert self.delivery.taken(index, now) is None
        return left

    def times(self, until: float, *, is_heard: bool = False) -> list[float]:
        """When a message of one fragment leaves; `is_heard`: Bob acknowledges others meanwhile."""
        times = []
        for quarter in range(int(4 * until)):
            now = quarter / 4
            if is_heard:
                self.recipient.heard = now
            if self.send(now):
                times.append(now)
        return times


def gaps(times: list[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(times)]


def test_the_fragments_are_the_message_and_say_whose_it_is() -> None:
    sending = Sending(3)
    contents = [sending.delivery.content(index) for index in sending.send()]
    pieces = [content for content in contents if isinstance(content, Fragment)]
    assert b"".join(piece.data for piece in pieces) == sending.message.message
    heads = [(p.message_id.hex(), p.index, p.count, p.sender) for p in pieces]
    assert heads == [(sending.message.id, i, 3, ALICE) for i in range(3)]


def test_no_more_than_a_window_waits_for_acknowledgement() -> None:
    sending = Sending(2 * WINDOW)
    assert sending.send() == list(range(WINDOW))
    assert WINDOW == 64
    sending.acknowledge(10, 19)
    assert sending.send() == list(range(WINDOW, WINDOW + 10))


def test_what_is_under_way_or_refused_counts_for_the_window() -> None:
    sending = Sending(2 * WINDOW)
    under_way = all_left(sending.delivery)
    assert len(under_way) == WINDOW
    sending.delivery.refused(0)
    sending.delivery.refused(1)
    assert all_left(sending.delivery) == [0, 1]


def test_nothing_is_sent_again_before_the_first_wait_is_over() -> None:
    sending = Sending(3)
    assert sending.send(5.0) == [0, 1, 2]
    assert sending.send(5.0 + FIRST_WAIT - 0.01) == []
    assert sending.send(5.0 + FIRST_WAIT) == [0, 1, 2]


def test_what_waited_longest_goes_again_first_and_before_what_is_new() -> None:
    sending = Sending(5)
    for now in (0.0, 1.0, 2.0):
        index = sending.delivery.next(now)
        assert index == int(now)
        sending.delivery.taken(index, 2.0 - now)
    assert [sending.delivery.next(FIRST_WAIT + 1.0) for _ in range(4)] == [2, 1, 3, 4]


def test_while_the_recipient_is_silent_waits_double_up_to_the_longest() -> None:
    times = Sending(1, first_wait=1.0).times(900.0)
    waits = gaps(times)
    assert waits[:4] == [1, 2, 4, 8]
    for shorter, longer in pairwise(waits[:8]):
        assert 1.8 * shorter <= longer <= 2 * shorter
    assert set(waits[8:]) == {LONGEST_WAIT}
    assert max(waits) == LONGEST_WAIT


def test_while_the_recipient_is_heard_a_wait_is_at_most_eight_first_ones() -> None:
    times = Sending(1, first_wait=1.0).times(200.0, is_heard=True)
    assert gaps(times) == [1, 2, 4, *[8] * 24]


def test_waits_double_from_the_moment_on_when_the_recipient_fell_silent() -> None:
    sending = Sending(1, first_wait=1.0)
    sending.times(40.0, is_heard=True)
    waits = gaps(sending.times(400.0)[1:])
    assert waits[-1] == LONGEST_WAIT
    assert 8 < waits[0] <= 32


def test_a_new_message_to_somebody_silent_is_not_kept_waiting_by_the_silence_before_it() -> None:
    recipient = Recipient()
    recipient.heard = -1000.0
    times = Sending(1, first_wait=1.0, recipient=recipient).times(8.0)
    assert gaps(times) == [1, 2, 4]


def test_a_new_fragment_in_a_long_silence_waits_as_long_as_that() -> None:
    sending = Sending(WINDOW + 1, first_wait=1.0)
    assert sending.send(0.0) == list(range(WINDOW))
    sending.acknowledge(0, 0)
    assert sending.delivery.next(20.0) == 1
    for index in (1, *all_left(sending.delivery, 20.0)):
        sending.delivery.taken(index, 20.0)
    assert sending.send(39.0) == []
    assert WINDOW in sending.send(40.0)


def test_where_an_acknowledgement_takes_longer_than_the_longest_wait_it_is_waited_for() -> None:
    times = Sending(1, first_wait=300.0).times(1000.0)
    assert gaps(times) == [300, 300, 300]


def test_what_was_refused_goes_again_at_once_and_as_if_it_had_not_been_sent() -> None:
    sending = Sending(WINDOW)
    for index in all_left(sending.delivery):
        if index == 5:
            sending.delivery.refused(index)
        else:
            sending.delivery.taken(index, 0.0)
    assert sending.send(0.0) == [5]
    assert len(sending.send(FIRST_WAIT)) == WINDOW
    assert sending.delivery.next(3 * FIRST_WAIT) == 0
    sending.delivery.refused(0)
    assert sending.delivery.next(3 * FIRST_WAIT) == 0


def test_what_is_under_way_is_not_sent_a_second_time() -> None:
    sending = Sending(2)
    assert all_left(sending.delivery) == [0, 1]
    assert all_left(sending.delivery, 1e6) == []
    sending.delivery.taken(0, 0.0)
    assert all_left(sending.delivery, FIRST_WAIT) == [0]


@pytest.mark.parametrize(
    ("runs", "left"),
    [
        ([(0, 19)], []),
        ([(0, 0)], list(range(1, 20))),
        ([(19, 19)], list(range(19))),
        ([(3, 7), (5, 9), (3, 7)], [*range(3), *range(10, 20)]),
        ([(15, 19622)], list(range(15))),
        ([(20, 19622)], list(range(20))),
        ([(0, 19622)], []),
        ([(1, 6), (8, 15), (17, 18)], [0, 7, 16, 19]),
    ],
)
@pytest.mark.parametrize("when", ["never sent", "under way", "taken"])
def test_what_is_acknowledged_is_not_sent_again(
    runs: list[tuple[int, int]], left: list[int], when: str
) -> None:
    sending = Sending(20)
    under_way = [] if when == "never sent" else all_left(sending.delivery)
    if when == "taken":
        for index in under_way:
            sending.delivery.taken(index, 0.0)
    for first, last in runs:
        sending.acknowledge(first, last)
    if when == "under way":
        for index in under_way[::2]:
            sending.delivery.taken(index, 0.0)
        for index in under_way[1::2]:
            sending.delivery.refused(index)
    assert sorted(all_left(sending.delivery, 1e6)) == left
    assert sending.delivery.is_done == (not left)


def test_only_what_is_new_counts_as_progress() -> None:
    sending = Sending(20)
    assert sending.acknowledge(0, 9) is not None
    for first, last in ((0, 9), (3, 4), (20, 30)):
        assert sending.acknowledge(first, last) is None
    assert sending.acknowledge(9, 10) is not None


runs = st.tuples(st.integers(0, 210), st.integers(0, 210)).map(sorted)


@given(st.integers(1, 200), st.lists(runs, max_size=20), st.integers(0, 80))
def test_after_a_start_just_what_is_missing_is_sent(
    fragments: int, acknowledged: list[list[int]], sent: int
) -> None:
    sending = Sending(fragments)
    for _ in range(sent):
        sending.delivery.next(0.0)
    progress, have, is_whole = b"", set[int](), False
    for first, last in acknowledged:
        progress = sending.acknowledge(first, last) or progress
        is_whole |= first == 0 and last >= fragments - 1
        have |= set(range(first, min(last + 1, fragments)))
        if len(have) == fragments and not is_whole:
            have.clear()
            # All fragments, but never the whole: a pause begins, and then another round. What is
            # acknowledged during the pause doesn't count.
            break
    assert sending.delivery.is_done == is_whole
    if not is_whole:
        again = sending.started(progress)
        missing = [index for index in range(fragments) if index not in have]
        assert all_left(again) == missing[:WINDOW]
        assert not again.is_done
        again.acknowledge(sending.run(0, fragments))
        assert again.is_done


def test_where_the_recipient_gave_up_what_it_had_acknowledged_everything_is_sent_again() -> None:
    sending = Sending(20)
    sending.send()
    sending.acknowledge(0, 14)
    progress = sending.acknowledge(10, 19)
    assert not sending.delivery.is_done
    assert all_left(sending.delivery, FIRST_WAIT - 0.1) == []
    assert sending.acknowledge(0, 14, now=FIRST_WAIT - 0.1) is None
    for delivery in (sending.delivery, sending.started(progress or b"")):
        assert delivery.delivery.left == 0
        assert all_left(delivery, FIRST_WAIT) == list(range(20))
        delivery.acknowledge(sending.run(0, 19), now=FIRST_WAIT)
        assert delivery.is_done


def test_rounds_have_growing_pauses_and_an_end_also_over_starts() -> None:
    sending = Sending(3)
    now = 0.0
    pauses = []
    for _ in range(MOST_ROUNDS + 1):
        assert sending.send(now) == [0, 1, 2]
        sending.acknowledge(0, 1, now=now)
        progress = sending.acknowledge(1, 2, now=now) or b""
        if sending.delivery.delivery.has_failed:
            break
        began = now
        while not all_left(sending.delivery, now):
            now += FIRST_WAIT
        pauses.append((now - began) / FIRST_WAIT)
        sending.delivery = sending.started(progress)
    assert pauses == [1, 4, 16, 64, 256, 1024, 4096]
    assert sending.delivery.delivery.has_failed
    assert all_left(sending.delivery, now + 1e9) == []
    again = sending.started(progress)
    assert again.delivery.has_failed
    assert again.delivery.stage(now, again.way) is Stage.WHOLE


def test_a_whole_that_is_acknowledged_during_a_pause_ends_it() -> None:
    sending = Sending(3)
    sending.send()
    sending.acknowledge(0, 1)
    sending.acknowledge(2, 2)
    assert sending.acknowledge(0, 2, now=1.0) == b""
    assert sending.delivery.is_done


DAY = 86_400.0


def hostile(
    say: Callable[[float, list[int]], Iterable[tuple[int, int]]], days: float, fragments: int = 100
) -> int:
    """How many packets a hostile recipient can cause in so many days, at two packets per second.

    `say` gets the time and the fragments that came, and returns the runs that it acknowledges.
    """
    sending = Sending(fragments, first_wait=11.6)
    step, now, sent = 30.0, 0.0, 0
    delivery = sending.delivery.delivery
    assert isinstance(delivery, Reliable)
    while now < days * DAY and not delivery.has_failed and not delivery.is_done(Way(0.0)):
        now += step
        came = list[int]()
        while len(came) < 2 * step and (piece := delivery.next(now, Way(0.0))):
            delivery.taken(piece, now)
            came.append(piece.fragment)
        sent += len(came)
        runs = [sending.run(*ends) for ends in say(now, came)]
        if delivery.acknowledge(runs, now) is not None:
            sending.recipient.hear(now)
    return sent


def test_a_recipient_that_acknowledges_parts_and_never_the_whole_gets_each_eight_times() -> None:
    assert hostile(lambda now, came: [(i, i) for i in came], 7) == 100 * (1 + MOST_ROUNDS)


@pytest.mark.no_cover  # a week of packets
def test_a_recipient_that_has_the_whole_sent_again_at_the_worst_times_is_bounded() -> None:
    rounds = 1 + MOST_ROUNDS
    said = 0

    def say(now: float, came: list[int]) -> Iterable[tuple[int, int]]:
        nonlocal said
        if now // (7 * DAY / rounds) > said:
            said += 1
            yield 0, 0
            yield 1, 1

    # Each round has the intervals of a fragment begin anew, and none is as long as a week.
    assert 200 * 2 < hostile(say, 7, 2) < 400 * 2


@pytest.mark.no_cover  # hours of packets
@pytest.mark.parametrize("every", [60.0, 900.0, 3600.0])
def test_a_recipient_that_acknowledges_one_after_another_gets_a_bounded_number_of_packets(
    every: float,
) -> None:
    said: list[int] = []

    def say(now: float, came: list[int]) -> Iterable[tuple[int, int]]:
        if now // every > len(said):
            said.append(len(said) % 199)
            yield said[-1], said[-1]

    assert hostile(say, 1, 200) < 60 * 200


def test_a_recipient_that_repeats_what_it_said_counts_as_silent() -> None:
    silent = hostile(lambda now, came: [], 1, 20)
    assert hostile(lambda now, came: [(0, 10)] * 43, 1, 20) < silent < 20 * 60


def test_a_recipient_that_returns_gets_what_it_missed_at_once() -> None:
    sending = Sending(20, first_wait=11.6)
    now = 0.0
    while now < 2 * DAY:
        sending.send(now)
        now += 60.0
    sending.send(now)
    assert sending.send(now + 200.0) == []
    sending.acknowledge(0, 0, now=now + 200.0)
    sending.recipient.hear(now + 200.0)
    assert sending.send(now + 200.0) == list(range(1, 20))


@pytest.mark.parametrize("pause", [DAY, 365 * DAY])
def test_a_time_in_which_no_answer_could_come_is_not_the_recipients_silence(pause: float) -> None:
    sending = Sending(1, first_wait=1.0)
    assert sending.send(0.0) == [0]
    # Since `pause`, answers can come again; before, the process was stopped, for example.
    sending.delivery.way = Way(0.0, open_since=pause)
    begins = int(pause)
    times = [float(now) for now in range(begins, begins + 16) if sending.send(now)]
    assert gaps([0.0, *times])[1:] == [2, 4, 8]


def test_what_a_long_messages_recipient_says_costs_no_time_that_others_notice() -> None:
    message = Outgoing(new_id(), BOB, bytes(LONGEST_SEALED), Manner.RELIABLE)
    delivery = Reliable(message, b"", Recipient(), ALICE, FIRST_WAIT)
    delivery.next(0.0, Way(0.0))
    # As many runs as fit into an envelope, each of nearly the whole message.
    spread = [Run(bytes(16), i, delivery.count - 2 - i) for i in range(1, 44)]
    # A busy machine can only make the work slower, so the quickest of five times counts.
    quickest = math.inf
    for _ in range(5):
        began = time.perf_counter()
        delivery.acknowledge(spread, 0.0)
        delivery.next(0.0, Way(0.0))
        delivery.stage(0.0, Way(0.0))
        quickest = min(quickest, time.perf_counter() - began)
        delivery = Reliable(message, b"", Recipient(), ALICE, FIRST_WAIT)
        delivery.next(0.0, Way(0.0))
    assert quickest < 0.005


def test_the_longest_message_has_its_progress_too() -> None:
    message = Outgoing(new_id(), BOB, bytes(LONGEST_SEALED), Manner.RELIABLE)
    delivery = Reliable(message, b"", Recipient(), ALICE, FIRST_WAIT)
    progress = delivery.acknowledge([Run(bytes(16), 0, delivery.count - 2)], 0.0)
    assert progress is not None
    again = Reliable(message, progress, Recipient(), ALICE, FIRST_WAIT)
    assert all_left(Numbered(again)) == [delivery.count - 1]
    ends = [again.content(Piece(0, index)) for index in (0, again.count - 1)]
    assert b"".join(end.data for end in ends if isinstance(end, Fragment)) == bytes(
        RELIABLE_CAPACITY + LONGEST_SEALED % RELIABLE_CAPACITY
    )


# Both ends of a reliable message, and a network between them.


class Network:
    """Alice and Bob, who each send a packet every half second; some are lost between them.

    Events are kept in a heap and happen in simulated time.
    """

    def __init__(self, sending: Sending, journal: Journal, loss: float) -> None:
        self.sending = sending
        self.inbox = Inbox(journal)
        self.sent = self.answered = 0
        self.now = 0.0
        self.progress = b""
        self._assembly = Assembly(journal, self.inbox, 0.0)
        self._acknowledgements = Acknowledgements(BOB, 1.0)
        self._loss = loss
        self._random = Random(1)
        self._numbers = count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._tick_alice()
        self._tick_bob()

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Let events happen until the whole message is acknowledged, or `until()` is true."""
        while not self.sending.delivery.is_done and not until():
            self.now, _, event = heapq.heappop(self._events)
            event()

    def restart(self) -> None:
        """Restart Alice's client, which goes on from the progress that it noted."""
        self.sending.recipient = Recipient()
        self.sending.delivery = self.sending.started(self.progress)

    def _after(self, seconds: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._numbers), event))

    def _carry(self, event: Callable[[], None]) -> None:
        if self._random.random() >= self._loss:
            self._after(self._random.expovariate(0.5), event)

    def _tick_alice(self) -> None:
        self._after(0.5, self._tick_alice)
        delivery = self.sending.delivery
        index = delivery.next(self.now)
        if index is None:
            return
        if self._random.random() < 0.05:
            self._after(1.0, lambda: delivery.refused(index))
            return
        self.sent += 1
        self._after(0.1, lambda: self._taken(delivery, index))
        self._carry(lambda: self._receive(delivery.content(index)))

    def _taken(self, delivery: Numbered, index: int) -> None:
        assert delivery.taken(index, self.now) is None

    def _receive(self, piece: Fragment | bytes) -> None:
        assert isinstance(piece, Fragment)
        run = self._assembly.add(piece, self.now)
        assert run is not None
        is_complete = run.last - run.first + 1 == piece.count
        self._acknowledgements.add(Ends(b"", ALICE), run, self.now, is_complete=is_complete)

    def _tick_bob(self) -> None:
        self._after(0.5, self._tick_bob)
        due = self._acknowledgements.next(self.now, lambda sender: True)
        if due is not None:
            self.answered += 1
            self._carry(lambda: self._hear(due[1]))

    def _hear(self, acknowledgement: Acknowledgement) -> None:
        progress = self.sending.delivery.acknowledge(*acknowledgement.runs, now=self.now)
        if progress is not None:
            self.sending.recipient.hear(self.now)
        self.progress = progress or self.progress


@pytest.mark.parametrize("loss", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("fragments", [1, 64, 65, 1000])
def test_a_message_arrives_once_and_whole_through_loss_both_ways(
    fragments: int, loss: float, journal: Journal
) -> None:
    network = Network(Sending(fragments), journal, loss)
    network.run()
    network.inbox.settle()
    (received,) = network.inbox.take()
    assert (received.message, received.sender) == (network.sending.message.message, ALICE)
    needed = fragments / (1 - loss)  # packets that are needed if no acknowledgement is lost
    assert network.sent <= 1.5 * needed + 10
    assert network.answered <= network.sent


def test_a_message_arrives_though_its_sender_is_started_anew_again_and_again(
    journal: Journal,
) -> None:
    network = Network(Sending(300), journal, 0.3)
    for minute in range(1, 5):
        network.run(until=lambda: network.now >= 60 * minute)  # noqa: B023
        network.restart()
    network.run()
    network.inbox.settle()
    (received,) = network.inbox.take()
    assert received.message == network.sending.message.message
    assert network.sent <= 1.5 * 300 / 0.7 + 4 * WINDOW
