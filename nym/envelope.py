"""Envelopes: what is inside a packet when sealing is on (docs/protocol/envelope.md).

An envelope contains cover, a fragment of a message, an acknowledgement, or a note about the
sender's provider. Each is padded to the same length and encrypted for its recipient with
libsodium's sealed box. The provider that keeps it sees 975 bytes, in which nothing tells one kind
from another.

Rules: bytes in, values out. Callers choose the identifiers. The only randomness used here is the
ephemeral key of a sealed box. Reading makes the same checks as writing, and what was read must
encode to exactly the same bytes: there is one form for each content. Nothing that a stranger sends
makes `open` raise an error.
"""

import hmac
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from struct import Struct
from typing import NamedTuple

from nym import sphinx
from nym._boxes import OVERHEAD, seal, unseal
from nym.errors import GroupElementError, LengthError, MessageTooLongError
from nym.identity import Identity
from nym.wire.pieces import Message
from nym.wire.sizes import ADDRESS_LENGTH, KEY_LENGTH, LONGEST_MESSAGE, LONGEST_SEALED

VERSION = 1
ID_LENGTH = 16

SECRET_LENGTH = 16
_COVER, _ANONYMOUS, _RELIABLE, _ACKNOWLEDGEMENT, _NOTE = range(1, 6)
_FRAGMENT = Struct(f">{ID_LENGTH}sHHH")  # message, index, count, length
_PROVIDER = Struct(f">Q{KEY_LENGTH}s")  # when it was written, provider
# Before a message that can be answered: when its address ends, provider, secret.
_REPLY_ADDRESS = Struct(f">Q{KEY_LENGTH}s{SECRET_LENGTH}s")
_RUN = Struct(f">{ID_LENGTH}sHH")  # message, first, last
_HEAD_LENGTH = 2  # version, kind
_AUTHENTICATOR_LENGTH = 16
_PLAINTEXT_LENGTH: int = LONGEST_MESSAGE - OVERHEAD
_BODY_LENGTH = _PLAINTEXT_LENGTH - _HEAD_LENGTH
_AUTHENTICATED_LENGTH = _BODY_LENGTH - _AUTHENTICATOR_LENGTH  # of sender and body

ANONYMOUS_CAPACITY = _BODY_LENGTH - _FRAGMENT.size
RELIABLE_CAPACITY = _AUTHENTICATED_LENGTH - ADDRESS_LENGTH - _FRAGMENT.size
REPLY_HEAD_LENGTH = _REPLY_ADDRESS.size
MOST_RUNS = (_AUTHENTICATED_LENGTH - ADDRESS_LENGTH - 1) // _RUN.size
_PEERS = 256  # whose pair keys are kept in memory; computing one again takes a scalar product


class Cover(NamedTuple):
    """A loop: cover that a client sends to itself and recognises by its `id`, 16 bytes."""

    id: bytes


@dataclass(frozen=True, slots=True)  # a tuple has methods called index and count
class Fragment:
    """Number `index`, from 0, of the `count` fragments of a message. No `sender`: anonymous.

    `reply` is there if one end of the message is a reply address (docs/protocol/replies.md).
    """

    message_id: bytes
    index: int
    count: int
    data: bytes
    sender: bytes | None = None
    reply: "Reply | None" = None

    @property
    def is_acknowledged(self) -> bool:
        """Whether the sender waits for an acknowledgement."""
        return self.reply.is_acknowledged if self.reply else self.sender is not None


class Reply(NamedTuple):
    """What is said with each fragment of a message to or from a reply address.

    `is_answerable`: the sender is a reply address, and the message begins with a ReplyHead.
    """

    is_acknowledged: bool
    is_answerable: bool


class ReplyHead(NamedTuple):
    """How to answer: until when, at which provider, and with which secret.

    `expires` is in milliseconds since 1970. The provider is named as in a ProviderNote. Only who
    knows the secret can write to the address, which the directory lists.
    """

    expires: int
    provider: bytes
    secret: bytes

    def encode(self) -> bytes:
        """The first REPLY_HEAD_LENGTH bytes of a message that can be answered."""
        return _REPLY_ADDRESS.pack(*self)

    @classmethod
    def decode(cls, message: Message) -> "ReplyHead | None":
        """What such a message begins with; None if it is too short."""
        head = message[:REPLY_HEAD_LENGTH]
        return cls(*_REPLY_ADDRESS.unpack(head)) if len(head) == REPLY_HEAD_LENGTH else None


class Run(NamedTuple):
    """A range of fragments of one message, from `first` to `last`, inclusive."""

    message_id: bytes
    first: int
    last: int


class Acknowledgement(NamedTuple):
    """The fragments that `sender` has safely on its disk."""

    runs: tuple[Run, ...]
    sender: bytes


class ProviderNote(NamedTuple):
    """At which provider `sender` gets its messages: its identity, or its key if it has none.

    `created` is in milliseconds since 1970. Older notes than the newest one don't count.
    """

    provider: bytes
    created: int
    sender: bytes


class Unreadable(NamedTuple):
    """An envelope for this client with invalid or forged content. `reason` is for a log."""

    reason: str


_REPLIES = {  # the kinds of fragments to and from reply addresses
    6: Reply(is_acknowledged=False, is_answerable=False),
    7: Reply(is_acknowledged=True, is_answerable=False),
    8: Reply(is_acknowledged=False, is_answerable=True),
    9: Reply(is_acknowledged=True, is_answerable=True),
}
_KIND_OF = {reply: kind for kind, reply in _REPLIES.items()}
_AUTHENTICATED = (_RELIABLE, _ACKNOWLEDGEMENT, _NOTE, *_REPLIES)

Content = Cover | Fragment | Acknowledgement | ProviderNote


def fragment_count(length: int, *, reliable: bool) -> int:
    """How many fragments a message of `length` bytes has. An empty message has one, too.

    Those to and from reply addresses are like `reliable` ones. Raises MessageTooLongError.
    """
    if length > LONGEST_SEALED:
        raise MessageTooLongError(length, LONGEST_SEALED)
    return _count(length, RELIABLE_CAPACITY if reliable else ANONYMOUS_CAPACITY)


def fragment(
    message: Message,
    message_id: bytes,
    index: int,
    sender: bytes | None = None,
    reply: Reply | None = None,
) -> Fragment:
    """Number `index` of the message's fragments ("Fragments"). Raises MessageTooLongError."""
    count = fragment_count(len(message), reliable=sender is not None)
    capacity = _capacity(sender)
    data = message[index * capacity : (index + 1) * capacity]
    return Fragment(message_id, index, count, data, sender, reply)


class Envelopes:
    """Seals what is sent from one address, and opens what it receives.

    `secret` belongs to a reply address: it opens only what was sealed by somebody who knows it, and
    acknowledgements.
    """

    def __init__(self, identity: Identity, secret: bytes = b"") -> None:
        self._private_key = identity.private_key
        self._address = identity.public_key
        self._secret = secret
        # A scalar product is the slowest step, so it is computed once per peer, not per envelope.
        self._pair_key = lru_cache(_PEERS)(self._derive_pair_key)

    def seal(self, content: Content, recipient: bytes, secret: bytes = b"") -> bytes:
        """The envelope, 975 bytes, that only `recipient` can open.

        `secret` is that of the recipient, if it is a reply address. Raises GroupElementError or
        LengthError if `recipient` can't be anyone's address, ValueError if no recipient would
        accept the content, or if it names a sender other than this address.
        """
        _check(content)
        if not isinstance(content, Cover) and content.sender not in (None, self._address):
            raise ValueError("a client can't authenticate what another one sends")
        if len(recipient) != ADDRESS_LENGTH:
            raise LengthError(f"an address has {ADDRESS_LENGTH} bytes, not {len(recipient)}")
        _check_key(recipient)
        return seal(self._write(content, recipient, secret), recipient)

    def open(self, data: bytes) -> Content | Unreadable | None:
        """The content; None if this is no envelope, or is sealed for another client ("Opening")."""
        plaintext = self._unseal(data)
        if plaintext is None:
            return None
        try:
            return self._read(plaintext)
        except ValueError as error:
            return Unreadable(str(error))

    def _unseal(self, data: bytes) -> bytes | None:
        if len(data) != LONGEST_MESSAGE:
            return None
        return unseal(data, self._private_key, self._address)

    def _write(self, content: Content, recipient: bytes, secret: bytes) -> bytes:
        kind, body = _encode(content)
        head = bytes([VERSION, kind])
        if kind in _AUTHENTICATED:
            body = body.ljust(_AUTHENTICATED_LENGTH, b"\0")
            key = self._pair_key(recipient, secret if kind in _REPLIES else b"")
            head += _authenticator(key, recipient, head + body)
        return (head + body).ljust(_PLAINTEXT_LENGTH, b"\0")

    def _read(self, plaintext: bytes) -> Content:
        head, body = plaintext[:_HEAD_LENGTH], plaintext[_HEAD_LENGTH:]
        version, kind = head
        if version != VERSION:
            raise ValueError(f"version {version} is not known")
        # The directory lists reply addresses, but whoever doesn't know the secret can't fill them.
        if self._secret and kind not in (_COVER, _ACKNOWLEDGEMENT, *_REPLIES):
            raise ValueError(f"kind {kind} is not for a reply address")
        if kind in _AUTHENTICATED:
            given, body = body[:_AUTHENTICATOR_LENGTH], body[_AUTHENTICATOR_LENGTH:]
            secret = self._secret if kind in _REPLIES else b""
            key = self._pair_key(body[:ADDRESS_LENGTH], secret)
            expected = _authenticator(key, self._address, head + body)
            # In constant time: the time of a comparison that stops early would help to forge.
            if not hmac.compare_digest(given, expected):
                raise ValueError("the authenticator is wrong")
        content = _decode(kind, body)
        _check(content)
        # Each content has exactly one plaintext, so any other form of it is refused.
        if _encode(content)[1].ljust(len(body), b"\0") != body:
            raise ValueError("a length is wrong, or the padding isn't zero")
        return content

    def _derive_pair_key(self, peer: bytes, secret: bytes) -> bytes:
        # Other encodings of the same key have the same products, so they would authenticate, too.
        # Then a contact could appear under another address, which isn't in the contacts.
        _check_key(peer)
        product = sphinx.multiply(self._private_key, peer)
        return blake2b(
            product + secret, digest_size=KEY_LENGTH, person=b"nym-envelope-key"
        ).digest()


def seal_for_nobody(cover: Cover, recipient: bytes) -> bytes:
    """Cover in an envelope for an address that was drawn, and that nobody has.

    That it can be an address isn't checked: for an address that is used once, this would take
    longer than all the rest.
    """
    _check(cover)
    kind, body = _encode(cover)
    return seal((bytes([VERSION, kind]) + body).ljust(_PLAINTEXT_LENGTH, b"\0"), recipient)


def _authenticator(key: bytes, recipient: bytes, text: bytes) -> bytes:
    # Both directions use the same key, so the input has to say who speaks to whom. It contains the
    # recipient here, and the sender at its fixed place in the text. The text always has the same
    # length, so no two inputs can be confused.
    return blake2b(
        recipient + text, digest_size=_AUTHENTICATOR_LENGTH, key=key, person=b"nym-envelope-mac"
    ).digest()


def _check_key(address: bytes) -> None:
    if not sphinx.is_public_key(address):
        raise GroupElementError("no client can have this address")


def _encode(content: Content) -> tuple[int, bytes]:
    """(kind, body). The body is what follows the authenticator, or the kind if there is none."""
    match content:
        case Cover(loop_id):
            return _COVER, loop_id
        case Fragment(message_id, index, count, data, sender, reply):
            body = _FRAGMENT.pack(message_id, index, count, len(data)) + data
            if sender is None:
                return _ANONYMOUS, body
            return _KIND_OF[reply] if reply else _RELIABLE, sender + body
        case Acknowledgement(runs, sender):
            packed = b"".join(_RUN.pack(*run) for run in runs)
            return _ACKNOWLEDGEMENT, sender + bytes([len(runs)]) + packed
        case ProviderNote(provider, created, sender):
            return _NOTE, sender + _PROVIDER.pack(created, provider)


def _decode(kind: int, body: bytes) -> Content:
    """The inverse of `_encode`. It ignores what follows, so the caller compares."""
    if kind == _COVER:
        return Cover(body[:ID_LENGTH])
    if kind == _ANONYMOUS:
        return _decode_fragment(body, None)
    sender, body = body[:ADDRESS_LENGTH], body[ADDRESS_LENGTH:]
    if kind == _RELIABLE or kind in _REPLIES:
        return _decode_fragment(body, sender, _REPLIES.get(kind))
    if kind == _ACKNOWLEDGEMENT:
        packed = body[1 : 1 + min(body[0], MOST_RUNS) * _RUN.size]
        return Acknowledgement(tuple(Run(*run) for run in _RUN.iter_unpack(packed)), sender)
    if kind == _NOTE:
        created, provider = _PROVIDER.unpack_from(body)
        return ProviderNote(provider, created, sender)
    raise ValueError(f"kind {kind} is not known")


def _decode_fragment(body: bytes, sender: bytes | None, reply: Reply | None = None) -> Fragment:
    message_id, index, count, length = _FRAGMENT.unpack_from(body)
    data = body[_FRAGMENT.size : _FRAGMENT.size + length]
    return Fragment(message_id, index, count, data, sender, reply)


def _check(content: Content) -> None:
    """Raises ValueError for content that must not be sealed, and not be accepted."""
    match content:
        case Cover(loop_id):
            _check_id(loop_id)
        case Fragment():
            _check_fragment(content)
        case Acknowledgement(runs):
            if not 1 <= len(runs) <= MOST_RUNS:
                raise ValueError(f"an acknowledgement has 1 to {MOST_RUNS} runs, not {len(runs)}")
            for run in runs:
                _check_id(run.message_id)
                if not 0 <= run.first <= run.last < _count(LONGEST_SEALED, RELIABLE_CAPACITY):
                    raise ValueError(f"there is no run of fragments {run.first} to {run.last}")


def _check_fragment(piece: Fragment) -> None:
    _check_id(piece.message_id)
    if piece.reply and piece.sender is None:
        raise ValueError("a message to or from a reply address has a sender")
    capacity = _capacity(piece.sender)
    if not 0 <= piece.index < piece.count <= _count(LONGEST_SEALED, capacity):
        raise ValueError(f"no message has fragment {piece.index} of {piece.count}")
    # The last fragment shows how long the message is. That length must need exactly `count`
    # fragments, or there would be two ways to cut the same message.
    end = piece.index * capacity + len(piece.data)
    if piece.index < piece.count - 1:
        if len(piece.data) != capacity:
            raise ValueError("a fragment before the last one is not full")
    elif end > LONGEST_SEALED or _count(end, capacity) != piece.count:
        raise ValueError(f"{len(piece.data)} bytes can't be the last of {piece.count} fragments")


def _check_id(value: bytes) -> None:
    if len(value) != ID_LENGTH:
        raise ValueError(f"an identifier has {ID_LENGTH} bytes, not {len(value)}")


def _capacity(sender: bytes | None) -> int:
    return ANONYMOUS_CAPACITY if sender is None else RELIABLE_CAPACITY


def _count(length: int, capacity: int) -> int:
    return max(1, -(-length // capacity))
