"""One SQLite file in the client's folder. Each entry in it has a kind, an id and a body.

- A long body is kept in pieces, so that nothing reads or copies many MiB at once. Each piece is an
  entry of its own, stored after the entry that it belongs to.
- Bodies are sealed (docs/reliability.md, "At rest").
- The file is locked while it is open, so a second client on the same folder is refused.
- A damaged file is set aside. The entries that can be read go into a new file.
"""

import logging
import os
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from nym._secrets import Secret, decrypt, derive, encrypt
from nym.errors import FolderInUseError, StoreError
from nym.store import sqlite
from nym.store.aside import FILE, name_aside, set_aside
from nym.store.reserve import Reserve
from nym.store.salvage import Row, readable
from nym.store.sqlite import DamageError, closed_on_failure
from nym.wire.pieces import Message, Pieces, cut, gather

# In format 1, every body was one piece, and the outbox noted no times. In format 2, the inbox did
# not note which messages were sealed. In format 3, there were no reply addresses. Older programs
# refuse a newer format. A file gets the latest format with the first change of any kind that is
# written to it. Earlier, only entries that older programs can't read raised the number, and one
# kind of them was overlooked.
_FORMAT = 4
# Ends the kind of a piece. The piece's id is the id of its entry, a space, and the piece's number.
_PIECE = " piece"
_LATEST = 1000  # no version will ever reach this format: a larger number means damage
_NONCE_LENGTH = 24
# The size of the write-ahead log. It is far below SQLite's own default of 1,000 pages: that log
# filled a small disk by itself, and then kept the client from starting.
_PAGES = 100

log = logging.getLogger(__name__)


class Change(NamedTuple):
    """A new body for an entry; a `body` of None deletes the entry.

    With `is_erased`, nothing of the entry stays in the write-ahead log either.
    """

    kind: str
    id: str
    body: Message | None
    is_erased: bool = False


class Parts(NamedTuple):
    """Deletes all entries whose ids are `name`, a space and anything more."""

    kind: str
    name: str


class Database:
    """The entries of one client, sealed with a key that is derived from its private key.

    `entries` has what the file contained when it was opened: for each kind, (id, body), oldest
    first. Raises StoreError if the file can't be used, FolderInUseError if another process uses it.
    """

    def __init__(self, folder: Path, private_key: bytes | Secret) -> None:
        self.path = folder / FILE
        self.entries: dict[str, list[tuple[str, Message]]] = {}
        # Entries that may have pieces. Others need no search for pieces when they are changed.
        self._long: set[tuple[str, str]] = set()
        self._has_format = False  # whether the file has the latest format number
        # Whether the log may have pages with entries that were erased: it does at the start if the
        # process before was killed at a bad moment.
        self._has_erased = True
        self._key = derive(private_key, b"nym client.db")
        self._reserve = Reserve(folder)
        self._connection = self._open()
        if error := self.lack():
            log.error("%s; no messages are accepted or pulled until there is room", error)

    @property
    def is_short(self) -> bool:
        """Whether the reserve is missing, because the disk had no room lately."""
        return not self._reserve.is_held

    def lack(self) -> StoreError | None:
        """Return an error if there is no room for the reserve. Then nothing new may begin."""
        return sqlite.lack(self._reserve, self.path.parent)

    def transact(
        self, changes: Sequence[Change | Parts], *, has_to_be: bool = False
    ) -> StoreError | None:
        """Write all changes to disk, or none of them. Returns the error, or None.

        With `has_to_be`, the reserve is given up if the disk is full. Errors are returned and not
        raised, because this runs in a thread whose pool would print them.
        """
        try:
            sqlite.transact(
                self._connection,
                self._reserve,
                lambda: self._make(changes),
                has_to_be=has_to_be,
            )
        except (MemoryError, sqlite3.Error, OSError) as error:
            return sqlite.failure(self.path, "written", error)
        self._has_erased |= any(isinstance(one, Change) and one.is_erased for one in changes)
        if self._has_erased:
            self._forget()
        return None

    def close(self) -> None:
        """Close the file, and release its lock."""
        self._connection.close()

    def _forget(self) -> None:
        # What was deleted is overwritten in the file, but the log still has pages from before. If
        # this fails, as on a full disk, the changes are on disk all the same: the next ones try it
        # again.
        with suppress(MemoryError, sqlite3.Error):
            sqlite.empty_log(self._connection)
            self._has_erased = False

    def _make(self, changes: Sequence[Change | Parts]) -> None:
        if self._connection.in_transaction:
            self._connection.rollback()  # the last change failed, and so did its rollback
        with self._connection:
            for change in _lasting(changes):
                self._apply(change)
            if changes and not self._has_format:
                # In the same transaction: older programs must refuse the file from then on.
                self._connection.execute(f"PRAGMA user_version = {_FORMAT}")
        self._has_format |= bool(changes)
        # Only now: had the transaction failed, the next attempt would have to delete the pieces.
        for change in changes if self._long else ():
            if isinstance(change, Change) and change.body is None:
                self._long.discard((change.kind, change.id))

    def _apply(self, change: Change | Parts) -> None:
        if isinstance(change, Parts):
            self._delete_parts(*change)
            return
        kind, entry_id, body, _ = change
        if (kind, entry_id) in self._long:
            # The new body may have fewer pieces, and a piece too many counts as damage.
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
        # "!" follows the space in ASCII, so this range is all ids that begin with `name` and a
        # space. The index finds it, and no character in `name` needs an escape, as with LIKE.
        self._connection.execute(
            "DELETE FROM entry WHERE kind = ? AND id > ? AND id < ?", (kind, f"{name} ", f"{name}!")
        )

    def _open(self) -> sqlite3.Connection:
        try:
            connection = sqlite.connect(self.path)
            with closed_on_failure(connection):  # SQLite must not have a file open that is renamed
                self._load(connection)
        except DamageError as error:
            return self._start_over(error)
        return connection

    def _load(self, connection: sqlite3.Connection) -> None:
        """Lock the file, and read all entries.

        Raises DamageError. Then `entries` has what could be read.
        """
        try:
            self._prepare(connection)
            rows, damage = readable(connection)
            unreadable = self._keep(rows)
            if damage:
                raise damage
            # An index that doesn't match its table raises nothing, but hides entries from DELETE:
            # messages that an application acknowledged would come again at each start.
            (check,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        except sqlite3.Error as error:
            if sqlite.code(error) in sqlite.BUSY:
                raise FolderInUseError(self.path.parent) from error
            if sqlite.code(error) in sqlite.SURROUNDINGS:
                raise sqlite.failure(self.path, "used", error) from error
            raise DamageError(error) from error
        if unreadable and not self.entries:
            raise _OtherKeysError
        if unreadable:
            raise DamageError(f"{unreadable} entries don't belong to this client, or were changed")
        if check != b"ok":
            raise DamageError(check.decode("utf-8", "replace"))

    def _keep(self, rows: Iterable[Row]) -> int:
        """Add the entries in these rows to `entries`. Returns how many can't be read."""
        found: dict[tuple[str, str], list[bytes]] = {}
        unreadable = 0
        for row in rows:
            try:
                kind, entry_id = row[0].decode(), row[1].decode()
            except (ValueError, AttributeError):  # not UTF-8, or of another type, such as a number
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
        """Return the body that was sealed in these pieces. Raises ValueError, TypeError."""
        count = len(sealed)
        if count > 1:
            self._long.add((kind, entry_id))
        return gather(
            piece
            for number, part in enumerate(sealed)
            for piece in cut(self._unseal(part, _what(kind, entry_id, number, count)))
        )

    def _prepare(self, connection: sqlite3.Connection) -> None:
        # As text, one name that isn't UTF-8 would raise, and cost all entries after it.
        connection.text_factory = bytes
        sqlite.configure(connection, _PAGES)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if not 0 <= version <= _LATEST:
            raise DamageError(f"no version of the program has the format {version}")
        if version > _FORMAT:
            raise StoreError(
                f"{self.path} was written by a newer version of the program; start that version"
            )
        connection.execute("BEGIN EXCLUSIVE")  # takes the lock, which the commit doesn't release
        if version == 0:
            connection.execute(
                "CREATE TABLE entry (position INTEGER PRIMARY KEY, kind TEXT NOT NULL, "
                "id TEXT NOT NULL, body BLOB NOT NULL, UNIQUE (kind, id))"
            )
            connection.execute(f"PRAGMA user_version = {_FORMAT}")
        connection.commit()
        self._has_format = version in (0, _FORMAT)

    def _start_over(self, reason: DamageError) -> sqlite3.Connection:
        """Set the file aside, and write the entries that could be read to a new one."""
        aside = name_aside(FILE, reason.word)
        try:
            set_aside(self.path, aside)
        except OSError as error:
            raise StoreError(f"{self.path} {reason}, and can't be set aside: {error}") from error
        log.error(
            "%s %s: it is kept as %s, and a new one is started with the %d entries that could be "
            "read",
            self.path,
            reason,
            aside,
            sum(map(len, self.entries.values())),
        )
        self._connection = sqlite.connect(self.path)
        with closed_on_failure(self._connection):
            try:
                self._prepare(self._connection)
            except sqlite3.Error as error:
                raise StoreError(f"{self.path} can't be created: {error}") from error
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

    # XChaCha20-Poly1305 with random nonces (docs/reliability.md, "At rest"). A nonce has 24 bytes,
    # so that random ones never repeat. The entry's kind and id, and for a piece its number and
    # the number of pieces, are authenticated with the body. So nobody can exchange entries or
    # pieces, or leave out a piece, without being noticed.

    def _seal(self, body: bytes, what: bytes) -> bytes:
        nonce = os.urandom(_NONCE_LENGTH)
        return nonce + encrypt(self._key, body, what, nonce)

    def _unseal(self, body: bytes, what: bytes) -> bytes:
        nonce, sealed = body[:_NONCE_LENGTH], body[_NONCE_LENGTH:]
        return decrypt(self._key, sealed, what, nonce)


def _lasting(changes: Iterable[Change | Parts]) -> list[Change | Parts]:
    """Leave out bodies that others replace in the same transaction.

    Some entries change with each message, and many messages share a transaction. Each entry keeps
    its place in the order.
    """
    lasting: list[Change | Parts] = []
    places: dict[tuple[str, str], int] = {}  # of the bodies that nothing has deleted since
    for change in changes:
        if isinstance(change, Parts):
            places.clear()  # one of them may be deleted here
        elif change.body is None:
            places.pop((change.kind, change.id), None)
        elif (place := places.setdefault((change.kind, change.id), len(lasting))) < len(lasting):
            lasting[place] = change
            continue
        lasting.append(change)
    return lasting


def _what(kind: str, entry_id: str, number: int, count: int) -> bytes:
    """Return what is authenticated with a piece: its entry, its number, and how many there are."""
    return (f"{kind} {entry_id}" + (f" {number} of {count}" if count > 1 else "")).encode()


class _OtherKeysError(DamageError):
    """The file is in order, but this client's key opens none of its entries."""

    word = "other-keys"

    def __str__(self) -> str:
        return "belongs to other keys than those in this folder"
