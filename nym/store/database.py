"""One SQLite file in the client's folder: entries of a kind, an id and a body.

The only user of SQLite. Bodies are sealed (docs/reliability.md, "At rest"). The file is locked as
long as it is open: a second client on the folder is refused. A damaged file is set aside, and what
can be read of it goes into a fresh one.
"""

import logging
import os
import sqlite3
import time
from collections.abc import Iterable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import pysodium

from nym.errors import FolderInUseError, StoreError
from nym.files import FILE_MODE

FILE = "client.db"
_FORMAT = 1
_NONCE_LENGTH = pysodium.crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_COMPANIONS = ("", "-wal", "-shm", "-journal")

log = logging.getLogger(__name__)


class Change(NamedTuple):
    """A new body for the entry, or its end."""

    kind: str
    id: str
    body: bytes | None


class Database:
    """The entries of one client, under a key that is made from its private key.

    `entries` are those that were there: (id, body) by kind, oldest first. Raises StoreError where
    the file can't be used, FolderInUseError where another process uses it.
    """

    def __init__(self, folder: Path, private_key: bytes) -> None:
        self.path = folder / FILE
        self.entries: dict[str, list[tuple[str, bytes]]] = {}
        self._key = blake2b(key=private_key, person=b"nym client.db", digest_size=32).digest()
        self._connection = self._open()

    def transact(self, changes: Iterable[Change]) -> StoreError | None:
        """Make all changes, on disk, or none; returns what went wrong.

        It may run in another thread, whose pool would print what is raised in it.
        """
        try:
            with self._connection:
                for change in changes:
                    self._apply(change)
        except sqlite3.Error as error:
            return StoreError(f"{self.path} can't be written: {error}")
        return None

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _apply(self, change: Change) -> None:
        key = (change.kind, change.id)
        if change.body is None:
            self._connection.execute("DELETE FROM entry WHERE kind = ? AND id = ?", key)
        else:
            self._connection.execute(
                "INSERT INTO entry (kind, id, body) VALUES (?, ?, ?) "
                "ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
                (*key, self._seal(change)),
            )

    def _open(self) -> sqlite3.Connection:
        connection = self._connect()
        try:
            self._load(connection)
        except _DamageError as damage:
            connection.close()
            return self._begin_anew(str(damage))
        return connection

    def _connect(self) -> sqlite3.Connection:
        try:
            with suppress(FileExistsError):
                os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE))
            return sqlite3.connect(self.path, timeout=0, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"{self.path} can't be opened: {error}") from error

    def _load(self, connection: sqlite3.Connection) -> None:
        """Lock it, and read all entries. Raises _DamageError; what could be read is there then."""
        try:
            self._prepare(connection)
            rows = connection.execute("SELECT kind, id, body FROM entry ORDER BY position")
            unreadable = sum(not self._keep(*row) for row in rows)
            (check,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without its extension
            if code == sqlite3.SQLITE_BUSY:
                raise FolderInUseError(self.path.parent) from error
            if code in _DAMAGE:
                raise _DamageError(error) from error
            raise StoreError(f"{self.path} can't be used: {error}") from error
        if unreadable:
            raise _DamageError(f"{unreadable} entries are not of this client, or were changed")
        if check != "ok":
            raise _DamageError(check)

    def _keep(self, kind: str, entry_id: str, sealed: bytes) -> bool:
        try:
            body = self._unseal(kind, entry_id, sealed)
        except (ValueError, TypeError):
            return False
        self.entries.setdefault(kind, []).append((entry_id, body))
        return True

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > _FORMAT:
            raise StoreError(f"{self.path} was made by a newer version of the program")
        connection.execute("BEGIN EXCLUSIVE")  # the lock, from now on
        connection.execute(
            "CREATE TABLE IF NOT EXISTS entry (position INTEGER PRIMARY KEY, kind TEXT NOT NULL, "
            "id TEXT NOT NULL, body BLOB NOT NULL, UNIQUE (kind, id))"
        )
        connection.execute(f"PRAGMA user_version = {_FORMAT}")
        connection.commit()

    def _set_aside(self) -> Path:
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        aside = self.path.with_name(f"{FILE}.damaged-{stamp}-{os.urandom(2).hex()}")
        try:
            for ending in _COMPANIONS:
                with suppress(FileNotFoundError):
                    Path(f"{self.path}{ending}").rename(f"{aside}{ending}")
        except OSError as error:
            raise StoreError(f"{self.path} is damaged, and can't be set aside: {error}") from error
        return aside

    def _begin_anew(self, damage: str) -> sqlite3.Connection:
        log.error(
            "%s is damaged (%s): it is kept as %s, and a fresh one is begun with the %d entries "
            "that could be read",
            self.path,
            damage,
            self._set_aside().name,
            sum(map(len, self.entries.values())),
        )
        self._connection = self._connect()
        try:
            self._prepare(self._connection)
        except sqlite3.Error as error:
            raise StoreError(f"{self.path} can't be begun: {error}") from error
        failure = self.transact(
            Change(kind, entry_id, body)
            for kind, entries in self.entries.items()
            for entry_id, body in entries
        )
        if failure:
            raise failure
        return self._connection

    # At rest: XChaCha20-Poly1305 with random nonces, 24 bytes, which never repeat. What an entry is
    # authenticates it, so that entries can't be exchanged for each other.

    def _seal(self, change: Change) -> bytes:
        nonce = os.urandom(_NONCE_LENGTH)
        what = f"{change.kind} {change.id}".encode()
        sealed: bytes = pysodium.crypto_aead_xchacha20poly1305_ietf_encrypt(
            change.body, what, nonce, self._key
        )
        return nonce + sealed

    def _unseal(self, kind: str, entry_id: str, body: bytes) -> bytes:
        nonce, sealed = body[:_NONCE_LENGTH], body[_NONCE_LENGTH:]
        what = f"{kind} {entry_id}".encode()
        opened: bytes = pysodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
            sealed, what, nonce, self._key
        )
        return opened


class _DamageError(Exception):
    """The file isn't what was written."""
