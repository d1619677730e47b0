"""Outbox and inbox."""

import pytest

from nym import store
from nym.errors import BusyError
from nym.store import Inbox, Outbox, Outgoing
from tests.harness import contents

ALICE, BOB = b"a" * 32, b"b" * 32


def messages(*texts: bytes, to: bytes = ALICE) -> list[Outgoing]:
    return [Outgoing(to, text) for text in texts]


def test_first_in_first_out_but_for_what_has_no_route() -> None:
    outbox = Outbox()
    for outgoing in messages(b"1", to=BOB) + messages(b"2", b"3"):
        outbox.accept(outgoing)
    assert outbox.take(lambda waiting: waiting.recipient == ALICE) == Outgoing(ALICE, b"2")
    assert outbox.take(lambda waiting: False) is None
    assert outbox.take(lambda waiting: True) == Outgoing(BOB, b"1")
    assert outbox.take(lambda waiting: True) == Outgoing(ALICE, b"3")
    assert outbox.take(lambda waiting: True) is None


def test_what_was_given_back_comes_first() -> None:
    outbox = Outbox()
    for outgoing in messages(b"1", b"2"):
        outbox.accept(outgoing)
    first = outbox.take(lambda waiting: True)
    assert first is not None
    outbox.give_back(first)
    assert outbox.take(lambda waiting: True) == first


def test_a_full_outbox_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MOST_MESSAGES", 2)
    outbox = Outbox()
    for outgoing in messages(b"1", b"2"):
        outbox.accept(outgoing)
    with pytest.raises(BusyError, match="2 messages wait"):
        outbox.accept(Outgoing(ALICE, b"3"))
    outbox.take(lambda waiting: True)
    outbox.accept(Outgoing(ALICE, b"3"))
    assert len(outbox) == 2


def test_bytes_are_limited_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MOST_BYTES", 10)
    outbox, inbox = Outbox(), Inbox()
    outbox.accept(Outgoing(ALICE, bytes(6)))
    with pytest.raises(BusyError):
        outbox.accept(Outgoing(ALICE, bytes(5)))
    for _ in range(3):
        inbox.deliver(bytes(6))
    assert contents(inbox.take()) == [bytes(6)]
    assert inbox.lost == 2
    inbox.deliver(bytes(6))
    assert len(inbox) == 1


def test_an_inbox_keeps_order_and_what_was_not_taken() -> None:
    inbox = Inbox()
    for message in (b"1", b"2"):
        inbox.deliver(message)
    taken = inbox.take()
    inbox.deliver(b"3")
    inbox.give_back(taken)
    assert contents(inbox.take()) == [b"1", b"2", b"3"]
    assert contents(inbox.take()) == []


def nobody() -> None:
    """A subscriber that needs no waking."""


def test_what_is_offered_is_nobody_elses_until_its_subscriber_goes() -> None:
    inbox = Inbox()
    woken: list[int] = []
    first, second = inbox.subscribe(lambda: woken.append(1)), inbox.subscribe(nobody)
    inbox.deliver(b"1")
    assert woken
    offered = inbox.offer(first)
    assert contents(offered) == [b"1"]
    assert inbox.offer(first) == inbox.offer(second) == inbox.take() == []
    assert len(inbox) == 1
    inbox.unsubscribe(first)
    assert inbox.offer(second) == offered


def test_what_is_acknowledged_is_gone_for_good() -> None:
    inbox = Inbox()
    subscriber = inbox.subscribe(nobody)
    inbox.deliver(b"1")
    inbox.deliver(b"2")
    one, two = inbox.offer(subscriber)
    assert inbox.acknowledge(one.id)
    assert not inbox.acknowledge(one.id)
    assert not inbox.acknowledge("nonsense")
    inbox.unsubscribe(subscriber)
    assert inbox.take() == [two]
    assert len(inbox) == 0


def test_offers_stop_where_nothing_is_acknowledged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MOST_OFFERED", 2)
    inbox = Inbox()
    woken: list[int] = []
    subscriber = inbox.subscribe(lambda: woken.append(1))
    for message in (b"1", b"2", b"3"):
        inbox.deliver(message)
    one, _ = inbox.offer(subscriber)
    assert inbox.offer(subscriber) == []
    woken.clear()
    inbox.acknowledge(one.id)
    assert woken
    assert contents(inbox.offer(subscriber)) == [b"3"]


def test_taking_no_more_than_there_is_room_for() -> None:
    inbox = Inbox()
    for message in (bytes(10), bytes(20), bytes(30)):
        inbox.deliver(message)
    assert contents(inbox.take(30)) == [bytes(10), bytes(20)]
    assert inbox.take(30, lambda message: 1 + len(message)) == []
    assert contents(inbox.take()) == [bytes(30)]
