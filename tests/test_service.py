"""The service: which requests of applications it accepts, and in which manner messages travel."""

from pathlib import Path

import pytest

from nym.contacts import CurrentContacts
from nym.errors import (
    BadRecipientError,
    IncompleteDataError,
    MessageTooLongError,
    RequestError,
    StoreError,
)
from nym.service import Service
from nym.store.inbox import Inbox
from nym.store.journal import Journal
from nym.store.outbox import Manner, Outbox
from nym.wire.answers import MessageProgress, Sent
from nym.wire.requests import Progress, Send
from nym.wire.sizes import LONGEST_MESSAGE, LONGEST_SEALED
from tests.harness import OTHER, OWN, Addresses, Unconnected, undelivered

PLAIN, SEALED, RELIABLE = Manner


def service(journal: Journal, configured: Manner = SEALED) -> Service:
    outbox, inbox = Outbox(journal), Inbox(journal)
    view, contacts = Unconnected(outbox, inbox), CurrentContacts(Path("/nowhere"))
    return Service(
        OWN,
        outbox,
        inbox,
        view,
        undelivered(outbox),
        configured,
        contacts,
        Addresses(journal, count=0).replies,
    )


@pytest.mark.parametrize(
    ("is_plain", "is_reliable", "by_configuration"),
    [
        (None, None, (PLAIN, SEALED, RELIABLE)),
        (True, None, (PLAIN, PLAIN, PLAIN)),
        (True, False, (PLAIN, PLAIN, PLAIN)),
        (False, None, (SEALED, SEALED, RELIABLE)),
        (False, False, (SEALED, SEALED, SEALED)),
        (None, False, (PLAIN, SEALED, SEALED)),
        (None, True, (RELIABLE, RELIABLE, RELIABLE)),
        (False, True, (RELIABLE, RELIABLE, RELIABLE)),
    ],
)
def test_a_message_travels_as_it_asks_and_else_as_configured(
    journal: Journal,
    is_plain: bool | None,
    is_reliable: bool | None,
    by_configuration: tuple[Manner, ...],
) -> None:
    for configured, expected in zip(Manner, by_configuration, strict=True):
        serving = service(journal, configured)
        (sent,) = serving.send([Send(OTHER, b"hello", is_plain, is_reliable)])
        assert isinstance(sent, Sent)
        ((outgoing, _),) = serving.outbox.arrivals()
        assert (outgoing.id, outgoing.manner) == (sent.id, expected)


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (Send(OTHER, b"", is_plain=True, is_reliable=True), IncompleteDataError),
        (Send(OTHER, bytes(LONGEST_MESSAGE + 1), is_plain=True), MessageTooLongError),
        (Send(OTHER, bytes(LONGEST_SEALED + 1)), MessageTooLongError),
        (Send(bytes(32), b"hello"), BadRecipientError),
    ],
)
def test_what_cannot_be_sent_is_refused_alone(
    journal: Journal, request_: Send, error: type[RequestError]
) -> None:
    serving = service(journal)
    good = Send(OTHER, b"good")
    first, refused, last = serving.send([good, request_, good])
    assert isinstance(first, Sent)
    assert isinstance(refused, error)
    assert isinstance(last, Sent)
    assert first.id != last.id
    with pytest.raises(error):
        serving.answer(request_)
    assert len(serving.outbox) == 2


def test_the_longest_messages_are_accepted(journal: Journal) -> None:
    serving = service(journal)
    serving.answer(Send(OTHER, bytes(LONGEST_SEALED)))
    serving.answer(Send(OWN, bytes(LONGEST_MESSAGE), is_plain=True))
    assert len(serving.outbox) == 2


def test_what_the_disk_does_not_take_is_refused(journal: Journal) -> None:
    serving = service(journal)
    journal.flush()
    journal._database._connection.execute("PRAGMA max_page_count = 1")
    outcomes = serving.send([Send(OTHER, bytes(5000)), Send(bytes(32), b""), Send(OTHER, b"")])
    kinds = [type(outcome) for outcome in outcomes]
    assert kinds == [StoreError, BadRecipientError, StoreError]


def test_progress_is_that_of_the_queue_until_a_message_is_over(journal: Journal) -> None:
    serving = service(journal)
    (sent,) = serving.send([Send(OTHER, b"hello")])
    assert isinstance(sent, Sent)
    ask = Progress(sent.id)
    assert serving.answer(ask) == MessageProgress(
        sent.id, "waiting", 1, 1, "network", "no network is known yet"
    )
    serving.outbox.give_up(sent.id)
    assert serving.answer(ask) == MessageProgress(sent.id, "failed")
    assert serving.answer(Progress("ab")) == MessageProgress("ab", "done")
