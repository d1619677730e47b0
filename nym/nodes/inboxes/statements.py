"""What is done to inboxes in a database, each inside a transaction that does more such things.

One that raises a RemoteError leaves everything as it was, so the transaction can go on with the
others.

Times are in seconds, of a clock that the caller reads.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from nym.config.nodes import InboxSettings
from nym.errors import InboxFullError, NoInboxError, OverloadError, RemoteFormatError
from nym.nodes.inboxes import FULL, NO_INBOX, UNPROVEN, Numbered, too_many
from nym.nodes.inboxes.engine import Execute

AT_ONCE = 500  # messages, and clients, that go in one transaction when they are too old
# Seconds between two notes that a client was there. So most pulls of empty inboxes write nothing.
GRAIN = 21_600


class Stored(NamedTuple):
    """A client's row."""

    address: bytes
    messages: int
    seen: int


class Seen(NamedTuple):
    """What the database has of an address; `stored` is None if it isn't registered."""

    address: bytes
    stored: Stored | None
    is_proven: bool


class Aged(NamedTuple):
    """What was too old: how many messages of which client, and which clients."""

    messages: dict[bytes, int]
    clients: list[bytes]
    is_all: bool


class Taken(NamedTuple):
    """What a pull returns, and how many messages it has deleted."""

    messages: list[Numbered]
    deleted: int


def clients(execute: Execute) -> list[Stored]:
    """Return all clients, in the order in which they came."""
    rows = execute("SELECT address, messages, seen FROM client ORDER BY number")
    return [Stored(*row) for row in rows]


def proven(execute: Execute) -> set[bytes]:
    """Return all addresses that were ever proven."""
    return {address for (address,) in execute("SELECT address FROM proven")}


def look(execute: Execute, addresses: Iterable[bytes]) -> list[Seen]:
    """Return what there is of these addresses."""
    seen = []
    for address in addresses:
        rows = execute(
            "SELECT address, messages, seen FROM client WHERE address = :client", client=address
        )
        stored = Stored(*rows[0]) if rows else None
        seen.append(Seen(address, stored, was_proven(execute, address)))
    return seen


def was_proven(execute: Execute, address: bytes) -> bool:
    """Return whether this address was ever proven."""
    return bool(execute("SELECT 1 FROM proven WHERE address = :address", address=address))


def notes(execute: Execute) -> dict[str, bytes]:
    """Return all notes by their names: readings of clocks, and what its writers say."""
    return {name: bytes(value) for name, value in execute("SELECT name, value FROM note")}


def write_notes(execute: Execute, values: Mapping[str, bytes]) -> None:
    """Write notes, each in the place of the one with the same name."""
    for name, value in values.items():
        execute(
            "INSERT INTO note (name, value) VALUES (:name, :value) "
            "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            name=name,
            value=value,
        )


def forget_note(execute: Execute, name: str) -> None:
    """Delete a note."""
    execute("DELETE FROM note WHERE name = :name", name=name)


def open_inbox(
    execute: Execute, client: bytes, settings: InboxSettings, now: int, *, is_proven: bool
) -> None:
    """See Inboxes.open."""
    if not is_proven and was_proven(execute, client):
        raise RemoteFormatError(UNPROVEN)
    if found := _find(execute, client):
        _see(execute, found, now)
    else:
        _add(execute, client, settings.clients, now)
    if is_proven:
        execute(
            "INSERT INTO proven (address) VALUES (:client) ON CONFLICT (address) DO NOTHING",
            client=client,
        )


def put(execute: Execute, client: bytes, message: bytes, settings: InboxSettings, now: int) -> None:
    """See Inboxes.keep."""
    rows = execute(
        "UPDATE client SET messages = messages + 1, size = size + :size "
        "WHERE address = :client AND messages < :most AND size + :size <= :most_size "
        "RETURNING number",
        client=client,
        size=len(message),
        most=settings.messages,
        most_size=settings.size,
    )
    if rows:
        _insert(execute, rows[0][0], message, now)
    elif _find(execute, client):
        raise InboxFullError(FULL)
    else:
        # Drop cover, mostly. It has to take as long as a message: the node that brought it sees
        # when it is answered, and so does whoever watches.
        number = _insert(execute, 0, message, now)
        execute("DELETE FROM message WHERE number = :number", number=number)
        raise NoInboxError(NO_INBOX)


def take(execute: Execute, client: bytes, most: int, now: int) -> Taken:
    """See Inboxes.take."""
    found = _require(execute, client)
    rows = execute(
        "DELETE FROM message WHERE number IN "
        "(SELECT number FROM message WHERE client = :client ORDER BY number LIMIT :most) "
        "RETURNING number, body",
        client=found.number,
        most=most,
    )
    if rows:
        _subtract(execute, found.number, [len(body) for _, body in rows])
    _see(execute, found, now)
    return Taken(sorted(Numbered(*row) for row in rows), len(rows))


def hand_over(
    execute: Execute, client: bytes, delivered: Sequence[int], most: int, now: int
) -> Taken:
    """See Inboxes.hand_over."""
    found = _require(execute, client)
    sizes = [
        size
        for one in delivered
        for (size,) in execute(
            "DELETE FROM message WHERE number = :one AND client = :client RETURNING length(body)",
            one=one,
            client=found.number,
        )
    ]
    if sizes:
        _subtract(execute, found.number, sizes)
    _see(execute, found, now)
    rows = execute(
        "SELECT number, body FROM message WHERE client = :client ORDER BY number LIMIT :most",
        client=found.number,
        most=most,
    )
    return Taken([Numbered(*row) for row in rows], len(sizes))


def age(execute: Execute, settings: InboxSettings, now: int) -> Aged:
    """See Inboxes.age: remove AT_ONCE messages and clients, at most."""
    silent_since = now - int(settings.client_age)
    # Numbers are in the order of arrival, so the oldest messages are found without an index.
    rows = execute(
        "DELETE FROM message WHERE kept < :before AND number IN "
        "(SELECT number FROM message ORDER BY number LIMIT :most) RETURNING client, length(body)",
        before=now - int(settings.message_age),
        most=AT_ONCE,
    )
    # A client that was silent for too long goes once its inbox is empty.
    rows += execute(
        "DELETE FROM message WHERE number IN (SELECT message.number FROM client "
        "JOIN message ON message.client = client.number WHERE seen < :before LIMIT :most) "
        "RETURNING client, length(body)",
        before=silent_since,
        most=AT_ONCE,
    )
    sizes: dict[int, list[int]] = {}
    for number, size in rows:
        sizes.setdefault(number, []).append(size)
    messages = {_subtract(execute, one, sizes[one]): len(sizes[one]) for one in sorted(sizes)}
    gone = execute(
        "DELETE FROM client WHERE seen < :before AND messages = 0 AND number IN "
        "(SELECT number FROM client WHERE seen < :before AND messages = 0 LIMIT :most) "
        "RETURNING address",
        before=silent_since,
        most=AT_ONCE,
    )
    if gone:
        execute("UPDATE total SET clients = clients - :gone", gone=len(gone))
    is_all = max(len(rows), len(gone)) < AT_ONCE
    return Aged(messages, [address for (address,) in gone], is_all)


class _Found(NamedTuple):
    number: int
    seen: int


def _insert(execute: Execute, client: int, message: bytes, now: int) -> int:
    """Add a message to the client with this number; returns the message's own."""
    ((number,),) = execute(
        "INSERT INTO message (client, kept, body) VALUES (:client, :now, :body) RETURNING number",
        client=client,
        now=now,
        body=message,
    )
    return int(number)


def _find(execute: Execute, client: bytes) -> _Found | None:
    rows = execute("SELECT number, seen FROM client WHERE address = :client", client=client)
    return _Found(*rows[0]) if rows else None


def _require(execute: Execute, client: bytes) -> _Found:
    found = _find(execute, client)
    if found is None:
        raise NoInboxError(NO_INBOX)
    return found


def _add(execute: Execute, client: bytes, most: int, now: int) -> None:
    if not execute(
        "UPDATE total SET clients = clients + 1 WHERE clients < :most RETURNING clients", most=most
    ):
        raise OverloadError(too_many(most))
    execute("INSERT INTO client (address, seen) VALUES (:client, :now)", client=client, now=now)


def _see(execute: Execute, found: _Found, now: int) -> None:
    """Note that the client is there, unless that was noted a short time ago."""
    if now - found.seen >= GRAIN:
        execute(
            "UPDATE client SET seen = :now WHERE number = :number", now=now, number=found.number
        )


def _subtract(execute: Execute, number: int, sizes: Sequence[int]) -> bytes:
    """Count messages of these sizes no longer as the client's; returns the client's address."""
    rows = execute(
        "UPDATE client SET messages = messages - :messages, size = size - :size "
        "WHERE number = :number RETURNING address",
        messages=len(sizes),
        size=sum(sizes),
        number=number,
    )
    ((address,),) = rows
    return bytes(address)
