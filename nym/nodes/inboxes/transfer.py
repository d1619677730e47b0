"""Reads all that is in inboxes, some at a time, and puts it into others: see nym.nodes.moving.

What was read has ages instead of times, because the clock of other inboxes has another reading.
"""

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from typing import NamedTuple

from nym.errors import StoreError
from nym.nodes.inboxes.engine import Execute
from nym.nodes.inboxes.stored import StoredInboxes

AT_ONCE = 500  # rows that are read or written in one transaction

_TABLES = ("message", "client", "proven")


class Client(NamedTuple):
    """A client, and for how many seconds it has been silent."""

    address: bytes
    age: int


class Proven(NamedTuple):
    """An address that was proven at some time."""

    address: bytes


class Waiting(NamedTuple):
    """A message, with its number, its client, and for how many seconds it has waited."""

    number: int
    client: bytes
    age: int
    body: bytes


class Last(NamedTuple):
    """The highest number that a message has ever had."""

    number: int


Item = Client | Proven | Waiting | Last


def read(inboxes: StoredInboxes) -> Iterator[Item]:
    """Yield everything: each client before its messages. Raises StoreError."""
    last = 0
    while rows := inboxes.run(partial(_clients, last)):
        last = rows[-1][0]
        yield from (client for _, client in rows)
    address = b""
    while proven := inboxes.run(partial(_proven, address)):
        address = proven[-1].address
        yield from proven
    last = 0
    while messages := inboxes.run(partial(_messages, last)):
        last = messages[-1].number
        yield from messages
    yield Last(inboxes.run(lambda execute, _: inboxes.engine.last_number(execute)))


def write(inboxes: StoredInboxes, items: Iterable[Item]) -> None:
    """Put everything into inboxes that are empty, or nothing. Raises StoreError."""
    if inboxes.run(_has_any):
        raise StoreError(f"{inboxes.name} has clients already, and only an empty one is filled")
    try:
        left = iter(items)
        while some := list(islice(left, AT_ONCE)):
            inboxes.run(partial(_add, inboxes, some))
    except BaseException:
        # In a folder, they go with it; in another database, nobody else would remove them.
        inboxes.run(_clear)
        raise
    inboxes.refresh()


def _has_any(execute: Execute, _: int) -> bool:
    return any(execute(f"SELECT 1 FROM {table} LIMIT 1") for table in _TABLES)  # noqa: S608


def _clear(execute: Execute, _: int) -> None:
    for table in _TABLES:
        execute(f"DELETE FROM {table}")  # noqa: S608
    execute("UPDATE total SET clients = 0")


def _clients(after: int, execute: Execute, now: int) -> list[tuple[int, Client]]:
    rows = execute(
        "SELECT number, address, seen FROM client WHERE number > :after ORDER BY number "
        "LIMIT :most",
        after=after,
        most=AT_ONCE,
    )
    return [(number, Client(address, max(0, now - seen))) for number, address, seen in rows]


def _proven(after: bytes, execute: Execute, _: int) -> list[Proven]:
    rows = execute(
        "SELECT address FROM proven WHERE address > :after ORDER BY address LIMIT :most",
        after=after,
        most=AT_ONCE,
    )
    return [Proven(address) for (address,) in rows]


def _messages(after: int, execute: Execute, now: int) -> list[Waiting]:
    rows = execute(
        "SELECT message.number, address, kept, body FROM message "
        "JOIN client ON message.client = client.number WHERE message.number > :after "
        "ORDER BY message.number LIMIT :most",
        after=after,
        most=AT_ONCE,
    )
    return [
        Waiting(number, client, max(0, now - kept), body) for number, client, kept, body in rows
    ]


def _add(inboxes: StoredInboxes, items: list[Item], execute: Execute, now: int) -> None:
    for item in items:
        match item:
            case Client(address, age):
                execute(
                    "INSERT INTO client (address, seen) VALUES (:address, :seen)",
                    address=address,
                    seen=now - age,
                )
                execute("UPDATE total SET clients = clients + 1")
            case Proven(address):
                execute("INSERT INTO proven (address) VALUES (:address)", address=address)
            case Waiting(number, client, age, body):
                execute(
                    "INSERT INTO message (number, client, kept, body) "
                    "SELECT :number, client.number, :kept, :body FROM client "
                    "WHERE address = :client",
                    number=number,
                    kept=now - age,
                    body=body,
                    client=client,
                )
                execute(
                    "UPDATE client SET messages = messages + 1, size = size + :size "
                    "WHERE address = :client",
                    size=len(body),
                    client=client,
                )
            case Last(number):
                inboxes.engine.skip_numbers(execute, number)
