"""One SQLite file in the client's folder: entries of a kind, an id and a body.

A long body is kept in pieces, each an entry of its own behind the one that it belongs to, so that
nothing takes or copies many MiB at once.
The only user of SQLite. Bodies are sealed (docs/reliability.md, "At rest"). The file is locked as
long as it is open: a second client on the folder is refused. A damaged file is set aside, and what
can be read of it goes into a fresh one.
"""

import logging
import os
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from nym._secrets import Secret, decrypt, derive, encrypt
from nym.errors import FolderError, FolderInUseError, StoreError
from nym.files import FILE_MODE
from nym.store.aside import FILE, name_aside, set_aside
from nym.store.reserve import Reserve
from nym.store.salvage import Row, readable
from nym.wire.pieces import Message, Pieces, cut, gather

# In 1 every body was in one piece, and the outbox had no times; in 2 the inbox had no seals. A file
# gets the latest format with the first change that is written to it, whatever that is: where only
# those entries brought it that older programs can't read, one of them was forgotten.
_FORMAT = 3
_PIECE = " piece"  # of the kind of pieces; their ids are the entry's, a space, and a number
_LATEST = 1000  # no version that will ever be; more is damage
_NONCE_LENGTH = 24
# Of the write-ahead log: small, so that it doesn't fill a small disk by itself.
_PAGES = 100
_PAGE = 4096

# What is wrong with the machine or with us; everything else that SQLite says of a file is damage.
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_SURROUNDINGS = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_NOMEM,
    None,
}

log = logging.getLogger(__name__)


class Change(NamedTuple):
    """A new body for the entry, or its end."""

    kind: str
    id: str
    body: Message | None


class Parts(NamedTuple):
    """The end of all entries whose ids are `name`, a space, and anything."""

    kind: str
    name: str


class Database:
    """The entries of one client, under a key that is made from its private key.

    `entries` are those that were there: (id, body) by kind, oldest first. Raises StoreError where
    the file can't be used, FolderInUseError where another process uses it.
    """

    def __init__(self, folder: Path, private_key: bytes | Secret) -> None:
        self.path = folder / FILE
        self.entries: dict[str, list[tuple[str, Message]]] = {}
        self._long: set[tuple[str, str]] = set()  # entries that have pieces, perhaps
        self._has_format = False
        self._key = derive(private_key, b"nym client.db")
        self._reserve = Reserve(folder)
        self._connection = self._open()
        if error := self.lack():
            log.error("%s; no messages are accepted or fetched before there is room", error)

    @property
    def is_short(self) -> bool:
        """Whether the disk had no room lately."""
        return not self._reserve.is_held

    def lack(self) -> StoreError | None:
        """What speaks against beginning anything new: no room on the disk."""
        try:
            self._reserve.hold()
        except OSError as error:
            return StoreError(f"{self.path.parent} has no room: {error.strerror}")
        return None

    def transact(
        self, changes: Sequence[Change | Parts], *, has_to_be: bool = False
    ) -> StoreError | None:
        """Make all changes, on disk, or none; returns what went wrong.

        The reserve is for what `has_to_be`. It may run in another thread, whose pool would print
        what is raised in it.
        """
        try:
            try:
                self._make(changes)
            except sqlite3.Error as error:
                if _code(error) != sqlite3.SQLITE_FULL:
                    raise
                if has_to_be:
                    self._reserve.give_up()
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                self._make(changes)
        except MemoryError:
            return StoreError(f"{self.path} can't be written: no memory is left")
        except (sqlite3.Error, OSError) as error:
            return StoreError(f"{self.path} can't be written: {error}")
        return None

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _make(self, changes: Sequence[Change | Parts]) -> None:
        if self._connection.in_transaction:
            self._connection.rollback()  # where even that failed last time
        with self._connection:
            for change in changes:
                self._apply(change)
            if changes and not self._has_format:
                self._connection.execute(f"PRAGMA user_version = {_FORMAT}")
        self._has_format |= bool(changes)
        for change in changes if self._long else ():
            if isinstance(change, Change) and change.body is None:
                self._long.discard((change.kind, change.id))

    def _apply(self, change: Change | Parts) -> None:
        if isinstance(change, Parts):
            self._delete_parts(*change)
            return
        kind, entry_id, body = change
        if (kind, entry_id) in self._long:
            self._delete_parts(kind + _PIECE, entry_id)
        if body is None:
            self._connection.execute(
                "DELETE FROM entry WHERE kind = ? AND id = ?", (kind, entry_id)
            )
            return
        pieces = body.pieces if isinstance(body, Pieces) else (body,)
        count = len(pieces)
        for number, piece in enumerate(pieces):
            where = (kind + _PIECE, f"{entry_id} {number}") if number else (kind, entry_id)
            self._connection.execute(
                "INSERT INTO entry (kind, id, body) VALUES (?, ?, ?) "
                "ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
                (*where, self._seal(piece, _what(kind, entry_id, number, count))),
            )
        if count > 1:
            self._long.add((kind, entry_id))

    def _delete_parts(self, kind: str, name: str) -> None:
        self._connection.execute(
            "DELETE FROM entry WHERE kind = ? AND id > ? AND id < ?", (kind, f"{name} ", f"{name}!")
        )

    def _open(self) -> sqlite3.Connection:
        connection = None
        try:
            connection = self._connect()
            self._load(connection)
        except _DamageError as error:
            if connection:
                connection.close()
            return self._begin_anew(error)
        return connection

    def _connect(self) -> sqlite3.Connection:
        try:
            try:
                os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE))
            except FileExistsError:
                if self.path.stat().st_size == 0:
                    raise _DamageError("it is empty") from None
            return sqlite3.connect(self.path, timeout=0, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise self._failure("opened", error) from error

    def _load(self, connection: sqlite3.Connection) -> None:
        """Lock it, and read all entries. Raises _DamageError; what could be read is there then."""
        try:
            self._prepare(connection)
            rows, damage = readable(connection)
            unreadable = self._keep(rows)
            if damage:
                raise damage
            (check,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        except sqlite3.Error as error:
            if _code(error) in _BUSY:
                raise FolderInUseError(self.path.parent) from error
            if _code(error) in _SURROUNDINGS:
                raise self._failure("used", error) from error
            raise _DamageError(error) from error
        if unreadable and not self.entries:
            raise _OtherKeysError
        if unreadable:
            raise _DamageError(f"{unreadable} entries are not of this client, or were changed")
        if check != b"ok":
            raise _DamageError(check.decode("utf-8", "replace"))

    def _failure(self, what: str, error: Exception) -> StoreError:
        if os.path.isdir(self.path.parent) and not os.access(self.path.parent, os.W_OK):
            return FolderError(
                f"{self.path.parent} can't be written by this user; the client has to"
            )
        return StoreError(f"{self.path} can't be {what}: {error}")

    def _keep(self, rows: Iterable[Row]) -> int:
        """Note the entries in these rows; returns how many can't be read."""
        found: dict[tuple[str, str], list[bytes]] = {}
        unreadable = 0
        for row in rows:
            try:
                kind, entry_id = row[0].decode(), row[1].decode()
            except (ValueError, AttributeError):
                unreadable += 1
                continue
            if kind.endswith(_PIECE):
                kind, entry_id = kind.removesuffix(_PIECE), entry_id.rpartition(" ")[0]
            found.setdefault((kind, entry_id), []).append(row[2])
        for (kind, entry_id), sealed in found.items():
            try:
                body = self._opened(kind, entry_id, sealed)
            except (ValueError, TypeError):
                unreadable += 1
                continue
            self.entries.setdefault(kind, []).append((entry_id, body))
        return unreadable

    def _opened(self, kind: str, entry_id: str, sealed: list[bytes]) -> Message:
        """The body that was sealed in these pieces. Raises ValueError, TypeError."""
        count = len(sealed)
        if count > 1:
            self._long.add((kind, entry_id))
        return gather(
            piece
            for number, part in enumerate(sealed)
            for piece in cut(self._unseal(part, _what(kind, entry_id, number, count)))
        )

    def _prepare(self, connection: sqlite3.Connection) -> None:
        # Nothing here writes to a file that is as it should be: the disk may be full.
        connection.text_factory = bytes  # what isn't UTF-8 is one entry's damage
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {_PAGES * _PAGE}")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if not 0 <= version <= _LATEST:
            raise _DamageError(f"no program has the format {version}")
        if version > _FORMAT:
            raise StoreError(f"{self.path} was made by a newer version of the program")
        connection.execute("BEGIN EXCLUSIVE")  # the lock, from now on
        if version == 0:
            connection.execute(
                "CREATE TABLE entry (position INTEGER PRIMARY KEY, kind TEXT NOT NULL, "
                "id TEXT NOT NULL, body BLOB NOT NULL, UNIQUE (kind, id))"
            )
            connection.execute(f"PRAGMA user_version = {_FORMAT}")
        connection.commit()
        self._has_format = version in (0, _FORMAT)

    def _begin_anew(self, reason: "_DamageError") -> sqlite3.Connection:
        aside = name_aside(FILE, reason.word)
        try:
            set_aside(self.path, aside)
        except OSError as error:
            raise StoreError(f"{self.path} {reason}, and can't be set aside: {error}") from error
        log.error(
            "%s %s: it is kept as %s, and a fresh one is begun with the %d entries that could be "
            "read",
            self.path,
            reason,
            aside,
            sum(map(len, self.entries.values())),
        )
        self._connection = self._connect()
        try:
            self._prepare(self._connection)
        except sqlite3.Error as error:
            raise StoreError(f"{self.path} can't be begun: {error}") from error
        failure = self.transact(
            [
                Change(kind, entry_id, body)
                for kind, entries in self.entries.items()
                for entry_id, body in entries
            ]
        )
        if failure:
            raise failure
        return self._connection

    # At rest: XChaCha20-Poly1305 with random nonces, 24 bytes, which never repeat. What an entry is
    # authenticates it, so that neither entries nor pieces can be exchanged or left out.

    def _seal(self, body: bytes, what: bytes) -> bytes:
        nonce = os.urandom(_NONCE_LENGTH)
        return nonce + encrypt(self._key, body, what, nonce)

    def _unseal(self, body: bytes, what: bytes) -> bytes:
        nonce, sealed = body[:_NONCE_LENGTH], body[_NONCE_LENGTH:]
        return decrypt(self._key, sealed, what, nonce)


def _what(kind: str, entry_id: str, number: int, count: int) -> bytes:
    """What a piece is: number so-and-so of all of an entry's."""
    return (f"{kind} {entry_id}" + (f" {number} of {count}" if count > 1 else "")).encode()


def _code(error: sqlite3.Error) -> int | None:
    """What SQLite says that it is, without its extension."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return code and code & 0xFF


class _DamageError(Exception):
    """The file isn't what was written."""

    word = "damaged"

    def __str__(self) -> str:
        return f"is damaged ({super().__str__()})"


class _OtherKeysError(_DamageError):
    """The file is in order, but nothing in it can be read with this client's keys."""

    word = "other-keys"

    def __str__(self) -> str:
        return "belongs to other keys than those in this folder"
