"""Lists of providers' clients, for the next start: one file for each provider, named by its key.

Lists have megabytes and change often, so a change is added to the end of a file:

    length 4 | changes since the list so far (nym.wire.clients), from the empty one on

It is a cache of what directories list. So nothing here waits for the disk, and a file that breaks
off, or can't be read, is as good as its beginning.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from struct import Struct

from nym.errors import RemoteFormatError, StoreError
from nym.files import FILE_MODE, make_folder
from nym.wire.clients import EMPTY, MOST_CLIENTS, AddressList, Changes, decode_changes
from nym.wire.sizes import KEY_LENGTH

MOST_CHANGES = 1000  # in a file, which is then written again as a whole
LONGEST = 4 * KEY_LENGTH * MOST_CLIENTS  # bytes that are read of one file

_LENGTH = Struct(">I")


class ListFiles:
    """The files in a folder. All methods take long, so they are for threads, and one at a time.

    They raise StoreError.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._changes: dict[bytes, int] = {}  # in each file

    def load(self) -> dict[bytes, AddressList]:
        """All lists, by the providers' keys."""
        lists = {}
        with self._disk():
            make_folder(self._folder)
            for path in sorted(self._folder.iterdir()):
                if (key := _key(path.name)) is None:
                    path.unlink()  # a file that was being written when the program ended
                    continue
                lists[key], is_whole = _read(path)
                # What is broken off would make everything behind it unreadable.
                self._changes[key] = 0 if is_whole else MOST_CHANGES
        return lists

    def write(self, key: bytes, changes: Changes, after: AddressList) -> None:
        """Note that the provider with this key has the list `after`, to which `changes` led."""
        done = self._changes.get(key, MOST_CHANGES)
        path = self._folder / key.hex()
        with self._disk():
            if done < MOST_CHANGES and changes.since != EMPTY.digest:
                self._changes[key] = done + 1
                _append(path, changes.encode())
            else:
                partial = path.with_name(f".{path.name}")
                partial.unlink(missing_ok=True)
                _append(partial, after.whole)
                partial.replace(path)
                self._changes[key] = 0

    def move(self, key: bytes, new: bytes) -> None:
        """Note that a provider has another key."""
        if key in self._changes:
            with self._disk():
                (self._folder / key.hex()).replace(self._folder / new.hex())
            self._changes[new] = self._changes.pop(key)

    def drop(self, key: bytes) -> None:
        """Forget a provider's list."""
        self._changes.pop(key, None)
        with self._disk():
            (self._folder / key.hex()).unlink(missing_ok=True)

    @contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(f"{self._folder} can't be used: {error.strerror}") from error


def _append(path: Path, changes: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    with open(os.open(path, flags, FILE_MODE), "ab") as file:
        file.write(_LENGTH.pack(len(changes)) + changes)


def _key(name: str) -> bytes | None:
    try:
        key = bytes.fromhex(name)
    except ValueError:
        return None
    return key if key.hex() == name and len(key) == KEY_LENGTH else None


def _read(path: Path) -> tuple[AddressList, bool]:
    """The list in a file, and whether all of the file could be read."""
    with path.open("rb") as file:
        content = file.read(LONGEST)
    clients, at = EMPTY, 0
    while at < len(content):
        (length,) = _LENGTH.unpack(content[at : at + _LENGTH.size].ljust(_LENGTH.size, b"\0"))
        begin, end = at + _LENGTH.size, at + _LENGTH.size + length
        if end > len(content):
            break
        try:
            changes = decode_changes(content[begin:end])
            clients = clients.changed(changes.removed, changes.added)
        except RemoteFormatError:
            break
        at = end
    return clients.prepared(), at == len(content)
