"""What is in memory of inboxes in a database: which clients there are, and how much waits for each.

It answers what is asked many times a second, or many times for each list of clients. With 100,000
clients it takes some 20 MB. Messages are never in it.
"""

from collections.abc import Iterable

from nym.nodes.inboxes.statements import GRAIN, Aged, Seen, Stored


class _Client:
    __slots__ = ("messages", "seen")

    def __init__(self, messages: int, seen: int) -> None:
        self.messages = messages
        self.seen = seen


class Register:
    """The clients of a provider, as they are in the database."""

    def __init__(self, clients: Iterable[Stored] = (), proven: Iterable[bytes] = ()) -> None:
        self.proven = set(proven)
        self.messages = 0
        self._clients: dict[bytes, _Client] = {}
        for address, messages, seen in clients:
            self._clients[address] = _Client(messages, seen)
            self.messages += messages

    def __len__(self) -> int:
        return len(self._clients)

    def __contains__(self, client: bytes) -> bool:
        return client in self._clients

    def addresses(self) -> list[bytes]:
        """The clients' addresses, the latest last."""
        return list(self._clients)

    def has_nothing(self, client: bytes, now: int) -> bool:
        """Whether a pull of this client would read and change nothing."""
        found = self._clients.get(client)
        return found is not None and found.messages == 0 and now - found.seen < GRAIN

    def came(self, client: bytes, now: int, *, is_proven: bool) -> None:
        """Note that a client has registered."""
        self._clients.setdefault(client, _Client(0, now)).seen = now
        if is_proven:
            self.proven.add(client)

    def pulled(self, client: bytes, now: int, deleted: int) -> None:
        """Note a pull, which has deleted so many messages."""
        self.add(client, -deleted)
        if client in self._clients:
            self._clients[client].seen = now

    def add(self, client: bytes, messages: int) -> None:
        """Count more messages for a client, or fewer."""
        if client in self._clients:
            self._clients[client].messages += messages
            self.messages += messages

    def forget(self, aged: Aged) -> None:
        """Count no longer what was too old."""
        for client, messages in aged.messages.items():
            self.add(client, -messages)
        for client in aged.clients:
            self._clients.pop(client, None)

    def update(self, changed: Iterable[Seen]) -> None:
        """Take over what the database has of some clients."""
        for address, stored, is_proven in changed:
            before = self._clients.get(address)
            self.messages -= before.messages if before else 0
            if stored is not None:
                # One that is there keeps its place in the order.
                self._clients[address] = _Client(stored.messages, stored.seen)
                self.messages += stored.messages
            elif before is not None:
                del self._clients[address]
            if is_proven:
                self.proven.add(address)
