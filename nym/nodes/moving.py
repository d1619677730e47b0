"""Moves a provider to another machine: all that is in its folder, in one file (nym.nodes.archive).

The provider must not run meanwhile, and must not be started again where it was: two providers with
the same keys would each have a part of the messages.
"""

import os
import re
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from nym.config.file import CONFIG_FILE, change_setting
from nym.config.nodes import ProviderConfig
from nym.errors import ArchiveError
from nym.files import FILE_MODE, exists, make_folder, sync_folder
from nym.nodes import archive
from nym.nodes.archive import File, Part, Writer
from nym.nodes.inboxes import transfer
from nym.nodes.inboxes.places import open_at
from nym.nodes.inboxes.stored import StoredInboxes
from nym.nodes.inboxes.transfer import Item
from nym.nodes.keys import KEYS_FOLDER, TOKENS_FILE
from nym.signing import IDENTITY_FILE

_FILES = (CONFIG_FILE, IDENTITY_FILE, TOKENS_FILE)
# A key's folder has a number, and the folder of the clocks a name; files have names without dots at
# the front. Nothing else is moved, and nothing that a file names can lead out of the folder.
_IN_KEYS = re.compile(rf"{KEYS_FOLDER}/[0-9a-z]+/[0-9a-z][0-9a-z.-]*")
_CHUNK = 1 << 16

Open = Callable[[Path], StoredInboxes]


def export_provider(folder: Path, open_inboxes: Open, path: Path) -> int:
    """Write the provider in this folder to a new file; returns how many clients it has.

    If that fails, no file is left. Raises OSError, StoreError, FolderInUseError.
    """
    with closing(open_inboxes(folder)) as inboxes, _new_file(path) as file:
        writer = Writer(file)
        for name in _names(folder):
            writer.write(File(name))
            for part in _parts(folder / name):
                writer.write(part)
        for item in transfer.read(inboxes):
            writer.write(item)
        writer.end()
        return len(inboxes)


def import_provider(path: Path, folder: Path, store: str = "") -> int:
    """Make a provider's folder, which must not exist, from a file; returns how many clients it has.

    Its inboxes are in the database with the URL `store`, or in the folder if there is none.
    The folder is there as a whole, or not at all. Raises OSError, ArchiveError, StoreError.
    """
    making = folder.with_name(f".importing-{folder.name}-{os.urandom(4).hex()}")
    with path.open("rb") as file:
        try:
            for _ in archive.read(file):
                pass  # an error is raised before anything is made
        except ArchiveError as error:
            raise ArchiveError(f"{path} can't be imported: {error}") from error
        file.seek(0)
        make_folder(making)
        try:
            count = _fill(making, file, partial(open_at, store))
            if exists(making / CONFIG_FILE):
                change_setting(making, "provider.id", folder.name, ProviderConfig)
                change_setting(making, "provider.store", store, ProviderConfig)
            sync_folder(making)
            making.rename(folder)
        except BaseException:
            shutil.rmtree(making)
            raise
    sync_folder(folder.parent)
    return count


def _names(folder: Path) -> Iterator[str]:
    """The files that make the provider, but for its inboxes."""
    keys = folder / KEYS_FOLDER
    yield from (name for name in _FILES if exists(folder / name))
    for path in sorted(keys.glob("*/*")):
        name = path.relative_to(folder).as_posix()
        if _IN_KEYS.fullmatch(name):
            yield name


def _parts(path: Path) -> Iterator[Part]:
    with path.open("rb") as file:
        while data := file.read(_CHUNK):
            yield Part(data)


def _fill(folder: Path, file: BinaryIO, open_inboxes: Open) -> int:
    """Write the files, and put all that follows them into inboxes."""
    records = _without_files(folder, archive.read(file))
    with closing(open_inboxes(folder)) as inboxes, closing(records) as items:
        transfer.write(inboxes, items)
        return len(inboxes)


def _without_files(folder: Path, records: Iterator[archive.Record]) -> Generator[Item, None, None]:
    """Yield the records of inboxes, and write the files of the others on the way."""
    out: BinaryIO | None = None
    with ExitStack() as opened:
        for record in records:
            match record:
                case File(name):
                    opened.close()
                    out = opened.enter_context(_new_file(_place(folder, name)))
                case Part(data):
                    if out is None:
                        raise ArchiveError("it is damaged: a part has no file")
                    out.write(data)
                case _:
                    yield record


def _place(folder: Path, name: str) -> Path:
    if name not in _FILES and not _IN_KEYS.fullmatch(name):
        raise ArchiveError("it has a file that no provider has")
    path = folder / name
    make_folder(path.parent)
    return path


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """A file for the owner alone, which can be the provider with it.

    At the end it is on the disk; after an error it isn't there.
    """
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "wb") as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            path.unlink()
            raise
    sync_folder(path.parent)
