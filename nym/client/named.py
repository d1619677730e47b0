"""Which provider has been named for a recipient (docs/protocol/provider.md, "Named providers").

What was learnt last counts: a name that an application or a contact gives, or a note of the
recipient (nym/client/notes.py). A name that is given again isn't new: ADDRESS@PROVIDER says nothing
about where the recipient has gone since somebody wrote it down.
"""

import time
from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from nym.envelope import ProviderNote
from nym.store.journal import Journal
from nym.store.outgoing import new_id

MOST = 10_000  # recipients; first those go that nobody here has named, then those named long ago

_KIND = "named"
_ENTRY = Struct(">d32s32s32sQ")
_NEVER = bytes(32)


class _Named(NamedTuple):
    """The provider that counts, since when, the one that was named last, and the newest note."""

    since: float
    provider: bytes
    said: bytes
    noted: int
    entry: str  # its id on disk, which doesn't show whose it is


class NamedProviders:
    """The named providers, which outlast the process. Times are seconds since 1970."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._named: dict[bytes, _Named] = {}
        entries = [(_ENTRY.unpack(body), entry) for entry, body in journal.take_short(_KIND)]
        for (since, address, provider, said, noted), entry in sorted(entries):
            self._named[address] = _Named(since, provider, said, noted, entry)

    def provider_of(self, address: bytes) -> bytes | None:
        """The name of the recipient's provider; None if nobody has named one."""
        named = self._named.get(address)
        return named and named.provider

    def said(self, address: bytes) -> bytes | None:
        """The name that an application or a contact gave last, whatever notes say; or None."""
        named = self._named.get(address)
        return named.said if named and named.said != _NEVER else None

    def is_said(self, address: bytes) -> bool:
        """Whether an application or a contact has ever named the recipient's provider."""
        return self.said(address) is not None

    def name(self, address: bytes, provider: bytes) -> None:
        """Note that somebody here wrote to ADDRESS@PROVIDER."""
        before = self._named.get(address)
        if before is None or before.said != provider:
            self._keep(address, provider, provider, before.noted if before else 0)

    def learn(self, note: ProviderNote) -> None:
        """Note where the sender of a note says that it is. An older note changes nothing."""
        before = self._named.get(note.sender)
        if before is None or note.created > before.noted:
            said = before.said if before else _NEVER
            self._keep(note.sender, note.provider, said, note.created)

    def _keep(self, address: bytes, provider: bytes, said: bytes, noted: int) -> None:
        before = self._named.pop(address, None)
        while len(self._named) >= MOST:
            self._journal.drop(_KIND, self._named.pop(next(self._least())).entry)
        entry = before.entry if before else new_id()
        named = _Named(time.time(), provider, said, noted, entry)
        self._named[address] = named
        body = _ENTRY.pack(named.since, address, provider, said, noted)
        self._journal.put(_KIND, entry, body)

    def _least(self) -> Iterator[bytes]:
        """Those that may be forgotten, first those that strangers can make up."""
        yield from (address for address, named in self._named.items() if named.said == _NEVER)
        yield from self._named
