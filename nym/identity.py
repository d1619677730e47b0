"""A client's key pair, and the two PEM files that hold it (docs/protocol/client.md, "Files").

The private key is a scalar modulo l, little-endian, not clamped. The public key is its product with
the base point, and is also the client's address. The private key never becomes Python bytes, which
can't be wiped: it is read and written through buffers that are wiped afterwards.
"""

import contextlib
import hmac
import logging
import os
import re
import shlex
from pathlib import Path
from typing import NamedTuple

from nym import sphinx
from nym._secrets import Secret, from_base64, random_scalar, to_base64, wipe
from nym.errors import IdentityError, ScalarError
from nym.files import (
    close_to_others,
    exists,
    is_foreign,
    make_folder,
    open_parents,
    os_errors_as,
    read_bytes,
    user,
    write_file,
)
from nym.wire.keys import encode_base58

PRIVATE_FILE = "private.pem"
PUBLIC_FILE = "public.pem"
# The labels that the published client writes, so that its files and ours are the same.
_PRIVATE_LABEL = "DUMMY KEY BASED ON X25519 PRIVATE KEY"
_PUBLIC_LABEL = "DUMMY KEY BASED ON X25519 PUBLIC KEY"
_LONGEST_FILE = 4096  # bytes; a key takes about 130

log = logging.getLogger(__name__)


class Identity(NamedTuple):
    """A key pair, 32 bytes each."""

    private_key: Secret
    public_key: bytes

    def __repr__(self) -> str:
        return f"Identity({self.address})"

    @property
    def address(self) -> str:
        """The public key as people see it, in base58."""
        return encode_base58(self.public_key)


def generate_identity() -> Identity:
    """A new key pair, from the system's random number generator."""
    private_key = random_scalar()
    return Identity(private_key, sphinx.public_key(private_key))


def save_identity(identity: Identity, folder: Path) -> None:
    """Write both files, and replace those that are there. Raises IdentityError."""
    with os_errors_as(IdentityError, f"keys can't be written to {folder}"):
        make_folder(folder)
        # In this order, an interruption never leaves two keys that don't belong together. If it
        # comes before the last step, the public key is missing, and the next start makes it again.
        (folder / PUBLIC_FILE).unlink(missing_ok=True)
        write_pem(folder / PRIVATE_FILE, _PRIVATE_LABEL, identity.private_key)
        write_file(folder / PUBLIC_FILE, encode_pem(_PUBLIC_LABEL, identity.public_key))


def load_identity(folder: Path) -> Identity:
    """The key pair in `folder`. A missing public key is made again from the private one.

    Access for other users to the folder and its files is removed first. Raises IdentityError if the
    keys are missing or damaged, don't belong together, or can't be closed to others.
    """
    check_owners(folder)
    private_key = _read(folder / PRIVATE_FILE, _PRIVATE_LABEL)
    keep_from_others(folder)
    try:
        public_key = sphinx.public_key(private_key)
    except ScalarError as error:
        raise IdentityError(f"{folder / PRIVATE_FILE} holds no private key: {error}") from error
    with os_errors_as(IdentityError, f"{folder / PUBLIC_FILE} can't be made again"):
        if not exists(folder / PUBLIC_FILE):
            _make_public_file(folder, public_key)
    if not hmac.compare_digest(public_key, _read(folder / PUBLIC_FILE, _PUBLIC_LABEL)):
        if private_key != _read(folder / PRIVATE_FILE, _PRIVATE_LABEL):
            # Another process replaced both between the two reads, so read the new ones.
            return load_identity(folder)
        raise IdentityError(
            f"the keys in {folder} don't belong together; if {PRIVATE_FILE} is the right one, "
            f"delete {PUBLIC_FILE}, and the next start makes it again"
        )
    return Identity(private_key, public_key)


def _make_public_file(folder: Path, public_key: bytes) -> None:
    # Another process may be writing a new pair at this moment. Its public key must not be replaced
    # by the one that belongs to the old private key.
    with contextlib.suppress(FileExistsError):
        content = encode_pem(_PUBLIC_LABEL, public_key)
        write_file(folder / PUBLIC_FILE, content, replaces=False)
        log.warning("%s was missing, and was made again from the private key", folder / PUBLIC_FILE)


def has_identity(folder: Path) -> bool:
    """Whether `folder` has a key that a new one would overwrite. Raises IdentityError."""
    with os_errors_as(IdentityError, f"{folder} can't be read"):
        return exists(folder / PRIVATE_FILE) or exists(folder / PUBLIC_FILE)


def encode_pem(label: str, key: bytes | Secret, head: bytes = b"") -> bytearray:
    """`head` and the key as PEM (RFC 7468), in a buffer that can be wiped.

    It has one line of base64, and the line ends of the published client.
    """
    begin, end = f"-----BEGIN {label}-----\r\n".encode(), f"\r\n-----END {label}-----\r\n".encode()
    body = to_base64(key, head)
    # The buffer has its final length from the start: growing would leave copies of the key behind.
    text = bytearray(len(begin) + len(body) + len(end))
    text[: len(begin)] = begin
    text[len(begin) : -len(end)] = body
    text[-len(end) :] = end
    wipe(body)
    return text


def decode_pem(label: str, text: memoryview, head: bytes = b"") -> Secret:
    """The key behind `head` in one PEM block with this label. Raises ValueError."""
    begin = re.match(rb"[ \t\r\n]*-----BEGIN %b-----[ \t\r]*\n" % label.encode(), text)
    if begin is None:
        raise ValueError(f"it doesn't begin with -----BEGIN {label}-----")
    end = re.search(rb"-----END %b-----[ \t\r\n]*\Z" % label.encode(), text)
    if end is None or end.start() < begin.end():
        raise ValueError(f"it doesn't end with -----END {label}-----")
    # A slice of a memoryview copies nothing.
    body = text[begin.end() : end.start()]
    if not re.fullmatch(rb"(?:[ \t\r]*[A-Za-z0-9+/=]*[ \t\r]*\n)*", body):
        raise ValueError("it isn't base64")
    return from_base64(body, head)


def _read(path: Path, label: str) -> Secret:
    missing = f"create the client with: nym-client init --id {path.parent.name}"
    return read_pem(path, label, missing)


def write_pem(path: Path, label: str, key: Secret, head: bytes = b"") -> None:
    """Write a key to a file, see `encode_pem`, and leave no copy in memory. Raises OSError."""
    text = encode_pem(label, key, head)
    try:
        write_file(path, text)
    finally:
        wipe(text)


def read_pem(path: Path, label: str, if_missing: str, head: bytes = b"") -> Secret:
    """The key in a file, see `decode_pem`; `if_missing` is what to do if there is no such file.

    Raises IdentityError.
    """
    try:
        text = read_bytes(path, _LONGEST_FILE)
        try:
            return decode_pem(label, text, head)
        finally:
            wipe(text)
    except FileNotFoundError as error:
        raise IdentityError(f"there is no {path}; {if_missing}") from error
    except OSError as error:
        raise IdentityError(f"{path} can't be read as a key: {error.strerror}") from error
    except ValueError as error:
        raise IdentityError(f"{path} can't be read as a key: {error}") from error


def check_owners(folder: Path) -> None:
    """Raises IdentityError if another user owns the folder or a file in it.

    An owner can always read and change the keys. Files behind symbolic links are checked, too,
    because `close_to_others` doesn't change them.
    """
    with os_errors_as(IdentityError, f"{folder} can't be used"):
        for path in (folder, *sorted(folder.iterdir())):
            with contextlib.suppress(FileNotFoundError):  # a running client makes and deletes files
                if (owner := is_foreign(path)) is not None:
                    raise IdentityError(
                        f"{path} belongs to another user ({user(owner)}), who can read and change "
                        f"it. Run the client as that user, or let root give it to you with: "
                        f"chown {user(os.geteuid())} {shlex.quote(str(path))}"
                    )


def keep_from_others(folder: Path) -> None:
    """Remove other users' access to the folder, and warn where they can replace the folder itself.

    The published client leaves its folder and its keys readable by everyone, so closing them is the
    normal case and is logged. Raises IdentityError if they can't be closed.
    """
    with os_errors_as(
        IdentityError,
        f"other users can use {folder}, and this user can't change that; its owner can, with: "
        f"chmod -R go= {shlex.quote(str(folder))}",
    ):
        if was_open := close_to_others(folder):
            log.warning(
                "other users could read these until now, and no longer can: %s", ", ".join(was_open)
            )
        if parents := open_parents(folder):
            log.warning(
                "other users can put a folder with other keys in the place of %s: %s",
                folder,
                "; ".join(parents),
            )
