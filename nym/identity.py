"""A client's key pair, and the two PEM files that it lives in (docs/protocol/client.md, "Files").

The private key is a scalar modulo l, little-endian, not clamped; the public key is its product
with the base point, and is the client's address.
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
_PRIVATE_LABEL = "DUMMY KEY BASED ON X25519 PRIVATE KEY"
_PUBLIC_LABEL = "DUMMY KEY BASED ON X25519 PUBLIC KEY"
_LONGEST_FILE = 4096

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
    """A new pair, from the system's generator."""
    private_key = random_scalar()
    return Identity(private_key, sphinx.public_key(private_key))


def save_identity(identity: Identity, folder: Path) -> None:
    """Write both files, over those that are there. Raises IdentityError."""
    with os_errors_as(IdentityError, f"keys can't be written to {folder}"):
        make_folder(folder)
        # Whenever this is interrupted, no two keys are there that don't belong together: a public
        # key that is missing is made anew.
        (folder / PUBLIC_FILE).unlink(missing_ok=True)
        private = encode_pem(_PRIVATE_LABEL, identity.private_key)
        try:
            write_file(folder / PRIVATE_FILE, private)
        finally:
            wipe(private)
        write_file(folder / PUBLIC_FILE, encode_pem(_PUBLIC_LABEL, identity.public_key))


def load_identity(folder: Path) -> Identity:
    """The pair in `folder`; a public key that is missing is made anew from the private one.

    The folder is closed to others. Raises IdentityError where the pair is missing, damaged, or no
    pair, or where others keep access to it.
    """
    _check_owners(folder)
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
        if private_key != _read(folder / PRIVATE_FILE, _PRIVATE_LABEL):
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


def encode_pem(label: str, key: bytes | Secret) -> bytearray:
    """RFC 7468, of one line, with the line ends of the published client; it can be wiped."""
    head, end = f"-----BEGIN {label}-----\r\n".encode(), f"\r\n-----END {label}-----\r\n".encode()
    body = to_base64(key)
    # At once as long as it gets: where bytes grow, they leave copies behind.
    text = bytearray(len(head) + len(body) + len(end))
    text[: len(head)] = head
    text[len(head) : -len(end)] = body
    text[-len(end) :] = end
    wipe(body)
    return text


def decode_pem(label: str, text: memoryview) -> Secret:
    """The key in a file with one such block. Raises ValueError."""
    begin = re.match(rb"[ \t\r\n]*-----BEGIN %b-----[ \t\r]*\n" % label.encode(), text)
    if begin is None:
        raise ValueError(f"it doesn't begin with -----BEGIN {label}-----")
    end = re.search(rb"-----END %b-----[ \t\r\n]*\Z" % label.encode(), text)
    if end is None or end.start() < begin.end():
        raise ValueError(f"it doesn't end with -----END {label}-----")
    body = text[begin.end() : end.start()]
    if not re.fullmatch(rb"(?:[ \t\r]*[A-Za-z0-9+/=]*[ \t\r]*\n)*", body):
        raise ValueError("it isn't base64")
    return from_base64(body)


def _read(path: Path, label: str) -> Secret:
    try:
        text = read_bytes(path, _LONGEST_FILE)
        try:
            return decode_pem(label, text)
        finally:
            wipe(text)
    except FileNotFoundError as error:
        raise IdentityError(
            f"there is no {path}; make the client with: nym-client init --id {path.parent.name}"
        ) from error
    except OSError as error:
        raise IdentityError(f"{path} can't be read as a key: {error.strerror}") from error
    except ValueError as error:
        raise IdentityError(f"{path} can't be read as a key: {error}") from error


def _check_owners(folder: Path) -> None:
    """Raises IdentityError where another user owns the folder, or a file in it.

    Also for links, whose files aren't changed by `close_to_others`.
    """
    with os_errors_as(IdentityError, f"{folder} can't be used"):
        for path in (folder, *sorted(folder.iterdir())):
            with contextlib.suppress(FileNotFoundError):  # those of a running client come and go
                if (owner := is_foreign(path)) is not None:
                    raise IdentityError(
                        f"{path} belongs to another user ({user(owner)}), who can read and change "
                        f"it: run the client as that user, or give it to this one, as root, with: "
                        f"chown {user(os.geteuid())} {shlex.quote(str(path))}"
                    )


def _keep_from_others(folder: Path) -> None:
    """Raises IdentityError where others can read or exchange the keys, and can't be kept from it.

    The published client leaves its folder and its keys readable by everyone.
    """
    with os_errors_as(
        IdentityError,
        f"others may use {folder}, and can't be kept from it; its owner can, with: "
        f"chmod -R go= {shlex.quote(str(folder))}",
    ):
        if was_open := close_to_others(folder):
            log.warning(
                "these could be read by others, and are closed to them now: %s", ", ".join(was_open)
            )
        if parents := open_parents(folder):
            log.warning(
                "other users can put another folder in the place of %s, keys included: %s",
                folder,
                "; ".join(parents),
            )
