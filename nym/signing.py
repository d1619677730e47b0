"""A long-lived identity of a node or a directory: an Ed25519 key that signs what it says.

It is apart from the keys of packets, which rotate. The file is PKCS#8 (RFC 8410), which openssl
reads and writes. As in nym.identity, the private key never becomes Python bytes.
"""

import time
from collections.abc import Callable
from pathlib import Path

from nym._secrets import (
    Secret,
    exchange_key,
    exchange_public_key,
    random_seed,
    sign,
    signing_public_key,
)
from nym.errors import IdentityError
from nym.files import exists, is_folder, make_folder, os_errors_as
from nym.identity import check_owners, keep_from_others, read_pem, write_pem
from nym.wire.keys import encode_base58

IDENTITY_FILE = "identity.pem"  # in the folder of a node
_LABEL = "PRIVATE KEY"
# The DER of RFC 8410 before the seed: version 0, the algorithm 1.3.101.112, and two lengths.
_HEAD = bytes.fromhex("302e020100300506032b657004220420")


class Stamps:
    """Times for signatures. Each is later than the one before, even if the clock is set back.

    Whoever verifies takes no signature that is older than another one.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._last = 0

    def next(self) -> int:
        """The time now, in milliseconds since 1970."""
        self._last = max(self._last + 1, int(1000 * self._clock()))
        return self._last


class Signer:
    """A key for signatures. Two signers with the same seed are the same identity."""

    def __init__(self, seed: Secret) -> None:
        self._seed = seed
        self.public_key = signing_public_key(seed)

    def __repr__(self) -> str:
        return f"Signer({self.address})"

    @property
    def address(self) -> str:
        """The public key as people see it, in base58."""
        return encode_base58(self.public_key)

    def sign(self, message: bytes) -> bytes:
        """The signature of a message, 64 bytes."""
        return sign(self._seed, message)

    def exchange_keys(self) -> tuple[Secret, bytes]:
        """(private, public) of the same identity for key exchanges: the keys of X25519."""
        return exchange_key(self._seed), exchange_public_key(self.public_key)

    def save(self, path: Path) -> None:
        """Write the file, and replace one that is there. Raises IdentityError."""
        with os_errors_as(IdentityError, f"the identity can't be written to {path}"):
            make_folder(path.parent)
            write_pem(path, _LABEL, self._seed, _HEAD)


def generate_signer() -> Signer:
    """A new identity, from the system's random number generator."""
    return Signer(random_seed())


def make_identity(path: Path) -> bool:
    """Write a new identity, unless the file is there already. Returns whether it did so.

    Raises IdentityError.
    """
    with os_errors_as(IdentityError, f"{path} can't be used"):
        is_new = not exists(path)
    if is_new:
        generate_signer().save(path)
    return is_new


def load_signer(path: Path) -> Signer:
    """The identity in a file. Access for others to its folder is removed first (nym.identity).

    Raises IdentityError if it is missing or damaged, or can't be closed to others.
    """
    missing = (
        "put it back from a backup, or make a new one with: openssl genpkey -algorithm ed25519; "
        "a new one has to be told to all who list the old one"
    )
    with os_errors_as(IdentityError, f"{path} can't be read"):
        if is_folder(path.parent):
            check_owners(path.parent)
    seed = read_pem(path, _LABEL, missing, _HEAD)
    keep_from_others(path.parent)
    return Signer(seed)
