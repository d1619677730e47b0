"""Answers without an address: what applications ask for, and what has to be done from time to time.

nym/client/reply_addresses.py has the addresses of this client, nym/client/tags.py those of others.
"""

from nym.client.reply_addresses import ReplyAddresses
from nym.client.tags import Tags
from nym.errors import NoSuchTagError
from nym.net.alarm import Alarm
from nym.net.watch import run_along
from nym.store.outgoing import Ends

LOOK = 1.0  # seconds between two looks at what is due


class Replies:
    """See nym.service.Replies."""

    def __init__(self, addresses: ReplyAddresses, tags: Tags) -> None:
        self._addresses = addresses
        self._tags = tags

    def run(self, alarm: Alarm) -> None:
        """Make, register and destroy addresses, and forget tags, for ever."""
        run_along(alarm, LOOK, self._look)

    def address_for(self, correspondent: bytes) -> tuple[bytes, bytes]:
        """See nym.service.Replies."""
        one = self._addresses.give(correspondent)
        return one.address, self._addresses.head(one).encode()

    def way_to(self, tag: bytes, *, is_answerable: bool) -> tuple[Ends, bytes]:
        """See nym.service.Replies."""
        known = self._tags.find(tag)
        if known is None or not self._tags.is_valid(tag):
            raise NoSuchTagError
        own, head = b"", b""
        if one := self._addresses.get(known.own):
            own, head = one.address, self._addresses.head(one).encode()
        elif is_answerable:
            own, head = self.address_for(tag)
        elif known.own:
            # Never from the main address: the peer doesn't know that it is the same client's.
            raise NoSuchTagError(
                "this client's own address of that conversation has expired; to answer from "
                "another one, ask for that: --reply on the command line, anonymous_reply in JSON"
            )
        self._tags.answered(known)
        return Ends(own, known.peer, tag), head

    def correspondents(self) -> list[bytes]:
        """See nym.service.Replies."""
        return self._addresses.correspondents()

    def answered(self) -> list[bytes]:
        """See nym.service.Replies."""
        return self._tags.in_use()

    def _look(self) -> None:
        self._addresses.look()
        self._tags.expire()
