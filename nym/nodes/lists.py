"""The lists of providers' clients that a directory has.

docs/protocol/directory.md, "Lists by digest". A list comes in whole once, and then as changes. It
is kept while providers post it, and a moment longer, for clients that have just read of it. How
each list came from the one before is kept for longer, so that clients get only what has changed
since the list that they have.
"""

from collections import OrderedDict
from collections.abc import Iterable

from nym.errors import RemoteFormatError
from nym.wire.clients import EMPTY, AddressList, Changes, Digest

MOST_ADDRESSES = 8_000_000  # in all lists: 256 MB
MOST_CHANGED = 1_000_000  # addresses in all changes: 32 MB
MOST_CHANGES = 100_000
MOST_WANTED = 10_000  # lists that providers were asked for, and haven't sent yet
GRACE = 30.0  # seconds; nodes post every 5, and who reads of a list soon asks for it


class ClientLists:
    """Lists by their digests, and what leads from one to the next."""

    def __init__(self) -> None:
        # With the time when each was held last; the one for which that is longest ago comes first.
        self._held: OrderedDict[Digest, tuple[AddressList, float]] = OrderedDict()
        self._size = 0  # addresses in all of them
        self._next: OrderedDict[Digest, tuple[Changes, Digest]] = OrderedDict()
        self._changed = 0  # addresses in all changes
        # What each wanted list may be sent as the changes to.
        self._wanted: OrderedDict[Digest, AddressList] = OrderedDict()

    def find(self, digest: Digest) -> AddressList | None:
        """The list with this digest; None if it isn't here."""
        if digest == EMPTY.digest:
            return EMPTY
        held = self._held.get(digest)
        return held and held[0]

    def hold(self, clients: AddressList, now: float) -> None:
        """Keep this list from now on for GRACE seconds.

        Raises RemoteFormatError if there are too many addresses.
        """
        digest = clients.digest
        self._forget(now)
        if digest not in self._held:
            if self._size + len(clients) > MOST_ADDRESSES:
                raise RemoteFormatError(
                    f"the providers of this directory have more than {MOST_ADDRESSES} clients"
                )
            self._size += len(clients)
        self._held[digest] = clients, now
        self._held.move_to_end(digest)

    def want(self, digest: Digest, since: AddressList) -> None:
        """Wait for a list, which may come as the changes since another one."""
        self._wanted[digest] = since
        if len(self._wanted) > MOST_WANTED:
            self._wanted.popitem(last=False)

    def wanted(self, digest: Digest) -> AddressList:
        """The list whose changes lead to the wanted one. Raises RemoteFormatError if none does."""
        if (since := self._wanted.get(digest)) is None:
            raise RemoteFormatError("nobody has asked for this list of clients")
        return since

    def take(self, clients: AddressList, changes: Changes, now: float) -> None:
        """Keep a list that was wanted, which `changes` have led to. Raises RemoteFormatError."""
        self.hold(clients, now)
        self._wanted.pop(clients.digest, None)
        # Every whole list comes from the empty one. Nobody has to be told how.
        if changes.since != EMPTY.digest:
            self._drop_changes(changes.since)
            self._next[changes.since] = changes, clients.digest
            self._changed += _size(changes)
            while self._changed > MOST_CHANGED or len(self._next) > MOST_CHANGES:
                self._drop_changes(next(iter(self._next)))

    def changes(self, since: Digest, to: Digest) -> Changes | None:
        """What has changed from one list to another; None if that isn't known.

        It can be long, so callers may run this in another thread.
        """
        removed: set[bytes] = set()
        added: set[bytes] = set()
        at = since
        for _ in range(len(self._next) + 1):  # each of them at most once: lists may come back
            if at == to:
                return Changes(since, AddressList.of(removed), AddressList.of(added))
            step = self._next.get(at)
            if step is None:
                return None
            changes, at = step
            _move(changes.removed, added, removed)
            _move(changes.added, removed, added)
        return None

    def _forget(self, now: float) -> None:
        while self._held:
            digest, (clients, held) = next(iter(self._held.items()))
            if held > now - GRACE:
                break
            self._size -= len(clients)
            del self._held[digest]

    def _drop_changes(self, since: Digest) -> None:
        if step := self._next.pop(since, None):
            self._changed -= _size(step[0])


def _size(changes: Changes) -> int:
    return len(changes.removed) + len(changes.added)


def _move(addresses: Iterable[bytes], undone: set[bytes], done: set[bytes]) -> None:
    """Note a later change to each of the addresses, which may undo an earlier one."""
    for address in addresses:
        if address in undone:
            undone.discard(address)
        else:
            done.add(address)
