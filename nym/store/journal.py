"""What must last, in one SQLite file of the client's folder: entries of a kind, an id and a body.

Changes are gathered while the ones before them are written, and written as one transaction: a
thousand messages that come together cost one fsync, and no greenlet waits for a disk that it
doesn't depend on. Bodies are sealed (docs/reliability.md, "At rest"). The file is locked as long as
it is open: a second client on the folder is refused.

A change is either asked for, and refused when the disk has no room (`write`), or follows from
something that has happened already, and is tried until it succeeds (`put`, `drop`).
"""

import logging
import os
import sqlite3
import time
from collections.abc import Iterable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple, cast

import gevent
import pysodium
from gevent.event import AsyncResult
from gevent.threadpool import ThreadPool

from nym.errors import FolderInUseError, StoreError
from nym.files import FILE_MODE

JOURNAL_FILE = "client.db"
RETRY = 1.0  # seconds between attempts to write what has to be written
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


class _Round:
    """Changes that go to the disk together, and how that went, for those who wait."""

    def __init__(self) -> None:
        self.due: list[Change] = []
        self.asked: list[Change] = []
        self.outcome: AsyncResult[_Outcome] = AsyncResult()
        self.is_awaited = False

    @property
    def is_wanted(self) -> bool:
        """Whether there is a reason to write it."""
        return bool(self.due or self.asked or self.is_awaited)


class _Outcome(NamedTuple):
    """What went wrong with the changes that were due, and with those that were asked for."""

    due: sqlite3.Error | None = None
    asked: sqlite3.Error | None = None


class Journal:
    """The entries of one client, under a key that is made from its private key.

    Raises StoreError where the file can't be used, FolderInUseError where another process uses it.
    A damaged file is set aside, and what can be read of it goes into a fresh one.
    """

    def __init__(self, folder: Path, private_key: bytes) -> None:
        self._path = folder / JOURNAL_FILE
        self._key = blake2b(key=private_key, person=b"nym client.db", digest_size=32).digest()
        self._loaded: dict[str, list[tuple[str, bytes]]] = {}
        self._connection = self._open()
        self._next = _Round()
        self._thread = ThreadPool(1)  # of its own: slow lookups of names can't hold it up
        self._writer: gevent.Greenlet[[], None] | None = None
        self._is_failing = False

    def take(self, kind: str) -> list[tuple[str, bytes]]:
        """(id, body) of the entries that were there at the start, oldest first; once."""
        return self._loaded.pop(kind, [])

    def write(self, changes: Iterable[Change]) -> None:
        """Write all of these, or none: wait until they are on disk. Raises StoreError."""
        self._next.asked.extend(changes)
        self._check(self._wait().asked)

    def put(self, kind: str, entry_id: str, body: bytes) -> None:
        """Write this entry soon."""
        self._next.due.append(Change(kind, entry_id, body))
        self._wake()

    def drop(self, kind: str, entry_id: str) -> None:
        """Remove this entry soon."""
        self._next.due.append(Change(kind, entry_id, None))
        self._wake()

    def flush(self) -> None:
        """Wait until what was put and dropped so far is on disk.

        Raises StoreError if that fails now; it is tried again all the same.
        """
        if self._is_writing():
            self._check(self._wait().due)

    def close(self) -> None:
        """Write what is left, and let go of the file."""
        try:
            self.flush()
        except StoreError as error:
            log.error("%s; the last %d changes are lost", error, len(self._next.due))  # noqa: TRY400
        if self._writer:
            self._writer.kill()
        self._thread.kill()
        self._connection.close()

    def _wait(self) -> _Outcome:
        this = self._next
        this.is_awaited = True
        self._wake()
        return cast(_Outcome, this.outcome.get())

    def _wake(self) -> None:
        if not self._is_writing():
            self._writer = gevent.spawn(self._write_rounds)

    def _is_writing(self) -> bool:
        return self._writer is not None and not self._writer.dead

    def _write_rounds(self) -> None:
        while self._next.is_wanted:
            this, self._next = self._next, _Round()
            outcome = self._thread.apply(self._commit, (this.due, this.asked))
            self._say(outcome.due or outcome.asked)
            if outcome.due:
                self._next.due = this.due + self._next.due
            this.outcome.set(outcome)
            if outcome.due:
                gevent.sleep(RETRY)

    def _say(self, error: sqlite3.Error | None) -> None:
        if error and not self._is_failing:
            log.error("%s can't be written: %s; trying again until it works", self._path, error)
        elif self._is_failing and not error:
            log.info("%s can be written again", self._path)
        self._is_failing = error is not None

    def _check(self, error: sqlite3.Error | None) -> None:
        if error:
            raise StoreError(f"{self._path} can't be written: {error}")

    # In a thread: the pool prints what is raised in it, so failures are returned.

    def _commit(self, due: list[Change], asked: list[Change]) -> _Outcome:
        together = self._transact([*due, *asked])
        if together is None or not (due and asked):
            return _Outcome(together, together)
        # What was asked for may be what doesn't fit.
        return _Outcome(self._transact(due), together)

    def _transact(self, changes: list[Change]) -> sqlite3.Error | None:
        try:
            with self._connection:
                for change in changes:
                    self._apply(change)
        except sqlite3.Error as error:
            return error
        return None

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

    # The beginning.

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
                os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE))
            return sqlite3.connect(self._path, timeout=0, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"{self._path} can't be opened: {error}") from error

    def _load(self, connection: sqlite3.Connection) -> None:
        """Lock it, and read all entries into memory. Raises _DamageError, with what there is."""
        try:
            self._prepare(connection)
        except sqlite3.DatabaseError as error:
            if _code(error) == sqlite3.SQLITE_BUSY:
                raise FolderInUseError(self._path.parent) from error
            if _code(error) not in _DAMAGE:
                raise StoreError(f"{self._path} can't be used: {error}") from error
            raise _DamageError(error) from error
        damage: object = None
        try:
            for kind, entry_id, body in connection.execute(
                "SELECT kind, id, body FROM entry ORDER BY position"
            ):
                try:
                    opened = self._unseal(kind, entry_id, body)
                except (ValueError, TypeError):
                    damage = damage or "entries are not of this client, or were changed"
                else:
                    self._loaded.setdefault(kind, []).append((entry_id, opened))
            (check,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.DatabaseError as error:
            raise _DamageError(error) from error
        if damage or check != "ok":
            raise _DamageError(damage or check)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > _FORMAT:
            raise StoreError(f"{self._path} was made by a newer version of the program")
        connection.execute("BEGIN EXCLUSIVE")  # the lock, from now on
        connection.execute(
            "CREATE TABLE IF NOT EXISTS entry (position INTEGER PRIMARY KEY, kind TEXT NOT NULL, "
            "id TEXT NOT NULL, body BLOB NOT NULL, UNIQUE (kind, id))"
        )
        connection.execute(f"PRAGMA user_version = {_FORMAT}")
        connection.commit()

    def _set_aside(self) -> Path:
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        aside = self._path.with_name(f"{JOURNAL_FILE}.damaged-{stamp}-{os.urandom(2).hex()}")
        try:
            for ending in _COMPANIONS:
                with suppress(FileNotFoundError):
                    Path(f"{self._path}{ending}").rename(f"{aside}{ending}")
        except OSError as error:
            raise StoreError(f"{self._path} is damaged, and can't be set aside: {error}") from error
        return aside

    def _begin_anew(self, damage: str) -> sqlite3.Connection:
        log.error(
            "%s is damaged (%s): it is kept as %s, and a fresh one is begun with the %d entries "
            "that could be read",
            self._path,
            damage,
            self._set_aside().name,
            sum(map(len, self._loaded.values())),
        )
        self._connection = self._connect()
        try:
            self._prepare(self._connection)
        except sqlite3.Error as error:
            raise StoreError(f"{self._path} can't be begun: {error}") from error
        self._check(
            self._transact(
                [
                    Change(kind, entry_id, body)
                    for kind, entries in self._loaded.items()
                    for entry_id, body in entries
                ]
            )
        )
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


def _code(error: sqlite3.Error) -> int:
    return error.sqlite_errorcode & 0xFF if hasattr(error, "sqlite_errorcode") else 0
