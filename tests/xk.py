"""Noise_XK_25519_ChaChaPoly_SHA256 in plain Python, for an attacker that keeps to no rule.

Only the initiator is here, and it may claim a static key whose private key it doesn't have.
"""

import hmac
from hashlib import sha256

import pysodium

from nym import sphinx
from nym._secrets import random_scalar


class Initiator:
    """A session with `remote`, in which the third message claims the static key `claimed`.

    `static` is the private key that is used with it; `ephemeral` may be that of another session.
    """

    def __init__(
        self, static: bytes, claimed: bytes, remote: bytes, prologue: bytes, ephemeral: bytes = b""
    ) -> None:
        self._static, self._claimed, self._remote = static, claimed, remote
        self._ephemeral = ephemeral or bytes(random_scalar())
        self._h = self._ck = b"Noise_XK_25519_ChaChaPoly_SHA256"
        self._key, self._n = b"", 0
        self._mix_hash(prologue)
        self._mix_hash(remote)

    def first(self) -> bytes:
        """Return -> e, es."""
        e = sphinx.public_key(self._ephemeral)
        self._mix_hash(e)
        self._mix_key(sphinx.multiply(self._ephemeral, self._remote))
        return e + self._encrypt(b"")

    def second(self, message: bytes) -> None:
        """Take <- e, ee."""
        self._re = message[:32]
        self._mix_hash(self._re)
        self._mix_key(sphinx.multiply(self._ephemeral, self._re))
        assert self._decrypt(message[32:]) == b""

    def third(self, payload: bytes) -> bytes:
        """Return -> s, se."""
        s = self._encrypt(self._claimed)
        self._mix_key(sphinx.multiply(self._static, self._re))
        sealed = s + self._encrypt(payload)
        self._receiving = self._hkdf(b"")[1]
        return sealed

    def answer(self, message: bytes) -> bytes | None:
        """Return what is in the first message after the handshake; None if it can't be opened."""
        try:
            return _open(message, b"", 0, self._receiving)
        except ValueError:
            return None

    def _mix_hash(self, data: bytes) -> None:
        self._h = sha256(self._h + data).digest()

    def _mix_key(self, material: bytes) -> None:
        self._ck, self._key = self._hkdf(material)
        self._n = 0

    def _hkdf(self, material: bytes) -> tuple[bytes, bytes]:
        key = hmac.digest(self._ck, material, "sha256")
        first = hmac.digest(key, b"\1", "sha256")
        return first, hmac.digest(key, first + b"\2", "sha256")

    def _encrypt(self, data: bytes) -> bytes:
        sealed: bytes = pysodium.crypto_aead_chacha20poly1305_ietf_encrypt(
            data, self._h, _nonce(self._n), self._key
        )
        self._n += 1
        self._mix_hash(sealed)
        return sealed

    def _decrypt(self, sealed: bytes) -> bytes:
        data = _open(sealed, self._h, self._n, self._key)
        self._n += 1
        self._mix_hash(sealed)
        return data


def _nonce(n: int) -> bytes:
    return bytes(4) + n.to_bytes(8, "little")


def _open(sealed: bytes, about: bytes, n: int, key: bytes) -> bytes:
    data: bytes = pysodium.crypto_aead_chacha20poly1305_ietf_decrypt(sealed, about, _nonce(n), key)
    return data
