"""A client's key pair, and the two PEM files that it lives in (docs/protocol/client.md, "Files").

The private key is a scalar modulo l, little-endian, not clamped; the public key is its product
with the base point, and is the client's address.
"""

import base64
import contextlib
import hmac
import logging
import os
import pwd
from pathlib import Path
from typing import NamedTuple

import pysodium

from nym import sphinx
from nym.errors import IdentityError, ScalarError
from nym.files import close_to_others, make_folder, os_errors_as, read_text, write_file
from nym.wire.base64 import decode as decode_base64
from nym.wire.keys import encode_base58
from nym.wire.sizes import KEY_LENGTH

PRIVATE_FILE = "private.pem"
PUBLIC_FILE = "public.pem"
_PRIVATE_LABEL = "DUMMY KEY BASED ON X25519 PRIVATE KEY"
_PUBLIC_LABEL = "DUMMY KEY BASED ON X25519 PUBLIC KEY"
_LONGEST_FILE = 4096

log = logging.getLogger(__name__)


class Identity(NamedTuple):
    """A key pair, 32 bytes each."""

    private_key: bytes
    public_key: bytes

    def __repr__(self) -> str:
        return f"Identity({self.address})"

    @property
    def address(self) -> str:
        """The public key as people see it, in base58."""
        return encode_base58(self.public_key)


def generate_identity() -> Identity:
    """A new pair, from the system's generator."""
    # ristretto255's scalars are the integers modulo the same l, and never zero.
    private_key = pysodium.crypto_core_ristretto255_scalar_random()
    return Identity(private_key, sphinx.public_key(private_key))


def save_identity(identity: Identity, folder: Path) -> None:
    """Write both files, over those that are there. Raises IdentityError."""
    with os_errors_as(IdentityError, f"keys can't be written to {folder}"):
        make_folder(folder)
        # Whenever this is interrupted, no two keys are there that don't belong together: a public
        # key that is missing is made anew.
        (folder / PUBLIC_FILE).unlink(missing_ok=True)
        write_file(folder / PRIVATE_FILE, encode_pem(_PRIVATE_LABEL, identity.private_key))
        write_file(folder / PUBLIC_FILE, encode_pem(_PUBLIC_LABEL, identity.public_key))


def load_identity(folder: Path) -> Identity:
    """The pair in `folder`; a public key that is missing is made anew from the private one.

    The folder is closed to others. Raises IdentityError where the pair is missing, damaged, or no
    pair, or where others keep access to it.
    """
    private_key = _read(folder / PRIVATE_FILE, _PRIVATE_LABEL)
    _keep_from_others(folder)
    try:
        public_key = sphinx.public_key(private_key)
    except ScalarError as error:
        raise IdentityError(f"{folder / PRIVATE_FILE} holds no private key: {error}") from error
    with os_errors_as(IdentityError, f"{folder / PUBLIC_FILE} can't be made anew"):
        if not (folder / PUBLIC_FILE).exists():
            _make_public_file(folder, public_key)
    if not hmac.compare_digest(public_key, _read(folder / PUBLIC_FILE, _PUBLIC_LABEL)):
        if not hmac.compare_digest(private_key, _read(folder / PRIVATE_FILE, _PRIVATE_LABEL)):
            return load_identity(folder)  # both were replaced meanwhile
        raise IdentityError(
            f"the keys in {folder} don't belong together; if {PRIVATE_FILE} is the right one, "
            f"delete {PUBLIC_FILE}: it is then made anew"
        )
    return Identity(private_key, public_key)


def _make_public_file(folder: Path, public_key: bytes) -> None:
    # Whoever gives the folder new keys just now is not to find the old one in the place of its own.
    with contextlib.suppress(FileExistsError):
        content = encode_pem(_PUBLIC_LABEL, public_key)
        write_file(folder / PUBLIC_FILE, content, replaces=False)
        log.warning("%s was missing and has been made anew", folder / PUBLIC_FILE)


def has_identity(folder: Path) -> bool:
    """Whether there is a key to be lost in `folder`. Raises IdentityError."""
    with os_errors_as(IdentityError, f"{folder} can't be read"):
        return (folder / PRIVATE_FILE).exists() or (folder / PUBLIC_FILE).exists()


def encode_pem(label: str, content: bytes) -> bytes:
    """RFC 7468, of one line, with the line ends of the published client."""
    body = base64.b64encode(content).decode("ascii")
    return f"-----BEGIN {label}-----\r\n{body}\r\n-----END {label}-----\r\n".encode("ascii")


def decode_pem(label: str, text: str) -> bytes:
    """The content of a file with one such block. Raises ValueError."""
    stripped = (line.strip(" \t\r") for line in text.split("\n"))
    lines = [line for line in stripped if line]
    if len(lines) < 2 or lines[0] != f"-----BEGIN {label}-----":
        raise ValueError(f"it doesn't begin with -----BEGIN {label}-----")
    if lines[-1] != f"-----END {label}-----":
        raise ValueError(f"it doesn't end with -----END {label}-----")
    try:
        return decode_base64("".join(lines[1:-1]))
    except ValueError as error:
        raise ValueError(f"it isn't base64: {error}") from error


def _read(path: Path, label: str) -> bytes:
    try:
        key = decode_pem(label, read_text(path, _LONGEST_FILE))
    except FileNotFoundError as error:
        raise IdentityError(
            f"there is no {path}; make the client with: nym-client init --id {path.parent.name}"
        ) from error
    except OSError as error:
        raise IdentityError(f"{path} can't be read as a key: {error.strerror}") from error
    except ValueError as error:
        raise IdentityError(f"{path} can't be read as a key: {error}") from error
    if len(key) != KEY_LENGTH:
        raise IdentityError(f"{path} holds {len(key)} bytes; a key has {KEY_LENGTH}")
    return key


def _keep_from_others(folder: Path) -> None:
    """Raises IdentityError where others can read or exchange the keys, and can't be kept from it.

    The published client leaves its folder and its keys readable by everyone.
    """
    with os_errors_as(IdentityError, f"others may use {folder}, and can't be kept from it"):
        for path in (folder, folder / PRIVATE_FILE):
            owner = path.stat().st_uid
            if os.geteuid() not in (0, owner) and owner != 0:
                raise IdentityError(
                    f"{path} belongs to another user ({_user(owner)}), who can read and exchange "
                    "the keys: run the client as that user, or let this one own it"
                )
        if was_open := close_to_others(folder):
            log.warning(
                "these could be read by others, and are closed to them now: %s", ", ".join(was_open)
            )


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
