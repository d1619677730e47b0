"""Which provider has been named for a recipient (docs/protocol/provider.md, "Named providers").

What was learnt last counts. A name that is said again isn't new: a message to ADDRESS@PROVIDER says
nothing about where the recipient has gone since that was written down.
"""

import time
from struct import Struct
from typing import NamedTuple

from nym.store.journal import Journal
from nym.store.outgoing import new_id

MOST = 10_000  # recipients; the one that was named longest ago is forgotten first

_KIND = "named"
_ENTRY = Struct(">d32s32s32s")


class _Named(NamedTuple):
    """The provider that counts, the one that was named last, and since when."""

    since: float
    provider: bytes
    said: bytes
    entry: str  # its id on disk, which doesn't show whose it is


class NamedProviders:
    """The named providers, which outlast the process. Times are seconds since 1970."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._named: dict[bytes, _Named] = {}
        entries = [(_ENTRY.unpack(body), entry) for entry, body in journal.take_short(_KIND)]
        for (since, address, provider, said), entry in sorted(entries):
            self._named[address] = _Named(since, provider, said, entry)

    def provider_of(self, address: bytes) -> bytes | None:
        """The name of the recipient's provider; None if nobody has named one."""
        named = self._named.get(address)
        return named and named.provider

    def name(self, address: bytes, provider: bytes) -> None:
        """Note that somebody wrote to ADDRESS@PROVIDER."""
        before = self._named.get(address)
        if before is None or before.said != provider:
            self._note(address, provider, provider)

    def _note(self, address: bytes, provider: bytes, said: bytes) -> None:
        before = self._named.pop(address, None)
        while len(self._named) >= MOST:
            self._journal.drop(_KIND, self._named.pop(next(iter(self._named))).entry)
        named = _Named(time.time(), provider, said, before.entry if before else new_id())
        self._named[address] = named
        body = _ENTRY.pack(named.since, address, provider, said)
        self._journal.put(_KIND, named.entry, body)
