"""One reply address: a key pair for one correspondent, and where it is registered."""

import json
import os
from struct import Struct

from nym import sphinx
from nym._secrets import Secret, open_secret, seal_secret
from nym.client.registration import Registration
from nym.envelope import SECRET_LENGTH, Envelopes
from nym.identity import Identity, generate_identity
from nym.store.sqlite import PAGE

_NONCE_LENGTH, _SEALED_LENGTH = 24, 48
# SQLite moves the entries of a page around, and leaves copies where nothing is any more, which it
# never overwrites. What is behind the first page of an entry has pages of its own: these stay where
# they are, and are overwritten when the entry is erased.
_BEFORE = bytes(PAGE)
_HEAD = Struct(f">ddQB{SECRET_LENGTH}s{_NONCE_LENGTH}s{_SEALED_LENGTH}s")


class ReplyAddress:
    """An address that is registered at the time `begins`, and destroyed at `ends`.

    Both are readings of the client's lasting clock. `given` is the correspondent who was told of
    it: an address of 32 bytes, or a tag; or it is empty. `secret` is told to that correspondent,
    and nobody else can write to the address. `told` is the end that this correspondent was told,
    in milliseconds since 1970, or 0: it never changes, or steps of the client's clock would show
    in all of its conversations at once.
    """

    def __init__(
        self,
        identity: Identity,
        begins: float,
        ends: float,
        secret: bytes,
        given: bytes = b"",
        registration: Registration | None = None,
        told: int = 0,
    ) -> None:
        self.identity = identity
        self.begins = begins
        self.ends = ends
        self.secret = secret
        self.given = given
        self.registration = registration
        self.told = told
        self.envelopes = Envelopes(identity, secret)

    @classmethod
    def drawn(cls, begins: float, ends: float) -> "ReplyAddress":
        """A new address."""
        return cls(generate_identity(), begins, ends, os.urandom(SECRET_LENGTH))

    @property
    def address(self) -> bytes:
        """The public key."""
        return self.identity.public_key

    @property
    def is_registered(self) -> bool:
        """Whether its provider keeps messages for it."""
        return self.registration is not None and self.registration.is_complete

    def encode(self, key: Secret) -> bytes:
        """What the next start needs of it. The private key is sealed with `key`."""
        nonce = os.urandom(_NONCE_LENGTH)
        sealed = seal_secret(key, self.identity.private_key, b"", nonce)
        head = _HEAD.pack(
            self.begins, self.ends, self.told, len(self.given), self.secret, nonce, sealed
        )
        registration = json.dumps(self.registration.to_json()) if self.registration else ""
        return _BEFORE + head + self.given + registration.encode()

    @classmethod
    def decode(cls, body: bytes, key: Secret) -> "ReplyAddress":
        """The address that `encode` was called for. Raises ValueError."""
        body = body.removeprefix(_BEFORE)  # the first clients with reply addresses wrote none
        begins, ends, told, length, secret, nonce, sealed = _HEAD.unpack_from(body)
        private_key = open_secret(key, sealed, b"", nonce)
        identity = Identity(private_key, sphinx.public_key(private_key))
        rest = body[_HEAD.size :]
        given, registration = rest[:length], rest[length:]
        restored = (
            Registration.restored(identity, json.loads(registration)) if registration else None
        )
        return cls(identity, begins, ends, secret, given, restored, told)
