"""All addresses of this client: the main one and its reply addresses."""

from collections.abc import Iterator
from random import Random

from nym.client.registration import Registration
from nym.client.reply_addresses import ReplyAddresses
from nym.client.session import ProviderSession
from nym.client.tags import Tags
from nym.client.unpacked import Unpacked
from nym.envelope import (
    REPLY_HEAD_LENGTH,
    Content,
    Envelopes,
    Fragment,
    ReplyHead,
    Unreadable,
)
from nym.store.outgoing import Ends
from nym.topology import ProviderNode
from nym.wire.pieces import Message, split


class OwnAddresses:
    """Seals and opens with the right key, and knows at which provider each address is.

    As in Ends, `own` is a reply address, or empty for the main one.
    """

    def __init__(
        self,
        main: bytes,
        envelopes: Envelopes,
        session: ProviderSession,
        replies: ReplyAddresses,
        tags: Tags,
        random: Random,
    ) -> None:
        self._main = main
        self._envelopes = envelopes
        self._session = session
        self._replies = replies
        self._tags = tags
        self._random = random
        self._turns: Iterator[bytes] = iter(())

    def address(self, own: bytes) -> bytes:
        """The address itself."""
        return own or self._main

    def is_there(self, own: bytes) -> bool:
        """Whether it has not ended."""
        return not own or self._replies.get(own) is not None

    def provider_of(self, address: bytes) -> ProviderNode | None:
        """The provider of an own address; None for an address that isn't the client's own."""
        if address == self._main:
            return self._session.provider
        one = self._replies.get(address)
        return one.registration.node if one and one.registration else None

    def is_own(self, address: bytes) -> bool:
        """Whether it is an address of this client."""
        return address == self._main or self._replies.get(address) is not None

    def draw(self) -> bytes:
        """The end of the next loop. All get as many, so the provider can't tell the main one."""
        return self._random.choice([b"", *(one.address for one in self._replies.ready())])

    def all(self) -> list[bytes]:
        """All of them, also those at providers that the client has left."""
        others = (*self._replies.ready(), *self._replies.elsewhere())
        return [b"", *(one.address for one in others)]

    def turn(self) -> bytes:
        """The one that is pulled next: each in its turn, and the main one at its end."""
        for own in self._turns:
            if not own or self._replies.is_ready(own):
                return own
        self._turns = iter([*(one.address for one in self._replies.ready()), b""])
        return self.turn()

    def registration(self, own: bytes) -> Registration | None:
        """That of a reply address; None for the main address, whose provider can change."""
        one = self._replies.get(own)
        return one.registration if one else None

    def elsewhere(self) -> list[tuple[bytes, Registration]]:
        """Reply addresses at providers that the client has left."""
        return [
            (one.address, one.registration)
            for one in self._replies.elsewhere()
            if one.registration is not None
        ]

    def seal(self, content: Content, ends: Ends) -> bytes:
        """The envelope for the peer.

        Raises LookupError if the own address has ended, and what Envelopes.seal raises.
        """
        tag = self._tags.find(ends.tag)
        return self._of(ends.own).seal(content, ends.peer, tag.secret if tag else b"")

    def open(self, data: bytes, own: bytes) -> Content | Unreadable | None:
        """What came to one of the addresses (see Envelopes.open)."""
        if not self.is_there(own):  # it has ended while a pull was under way
            return Unreadable("the reply address has ended")
        return self._of(own).open(data)

    def ends(self, own: bytes, peer: bytes) -> Ends:
        """From an own address to a peer that has written to it, with the peer's tag, if any."""
        tag = self._tags.of(own, peer)
        # A reply address that was given to a tag hears from the address behind that tag.
        if (
            tag is None
            and (one := self._replies.get(own))
            and (given := self._tags.find(one.given))
        ):
            tag = given if given.peer == peer else None
        return Ends(own, peer, tag.name if tag else b"")

    def unpack(self, last: Fragment, own: bytes, message: Message) -> Unpacked | None:
        """What applications get of a message that came to an address; None for nothing."""
        if last.reply is None or last.sender is None:
            return Unpacked(message, last.sender)
        one = self._replies.get(own)
        given = one.given if one else None
        if not last.reply.is_answerable:
            return Unpacked(message, last.sender, None, given, own)
        head = ReplyHead.decode(message)
        if head is None:
            return None
        tag = self._tags.learn(own, last.sender, head)
        # The sender's address is not for applications: they have the tag.
        return Unpacked(
            split(message, REPLY_HEAD_LENGTH)[1], None, tag.name, given, own or last.sender
        )

    def look_ahead(self, fragment: Fragment, own: bytes) -> None:
        """Learn from the first fragment of a message where the others are acknowledged."""
        is_first = fragment.index == 0 and fragment.reply and fragment.reply.is_answerable
        if is_first and fragment.sender and (head := ReplyHead.decode(fragment.data)):
            self._tags.learn(own, fragment.sender, head)

    def _of(self, own: bytes) -> Envelopes:
        if not own:
            return self._envelopes
        if (one := self._replies.get(own)) is None:
            raise LookupError("the reply address has ended")
        return one.envelopes
