"""Writes what hosts need into a folder, and changes nothing there that need not change.

Everything in the folder is for its owner alone, because it has the private identities of nodes.
These are made once, and never replaced: a new one would be another node.
"""

from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from nym.errors import ConfigError
from nym.files import FILE_MODE, exists, is_folder, make_folder, os_errors_as, write_file
from nym.signing import Signer, generate_signer, load_signer

_PROGRAM_MODE = 0o700
_LIST = ".generated"


class File(NamedTuple):
    """A file to write; `path` is relative to the folder."""

    path: str
    text: str
    is_program: bool = False


class Fate(Enum):
    """What became of a file."""

    NEW = "new"
    CHANGED = "changed"
    SAME = "as it was"


class Generated:
    """The folder that is written to. All methods raise ConfigError, IdentityError.

    A list of what was written is kept in it. Without that list, a folder with anything in it is
    somebody else's, and is refused.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fates: dict[str, Fate] = {}
        self._before = self._listed()

    def write(self, files: Iterable[File]) -> None:
        """Write the files that are new, or differ from what is there."""
        for file in files:
            path = self.folder / file.path
            with os_errors_as(ConfigError, f"{path} can't be written"):
                self.fates[file.path] = self._write(path, file)

    def identity(self, path: str) -> Signer:
        """The identity in a file, which is made if it isn't there."""
        place = self.folder / path
        with os_errors_as(ConfigError, f"{place} can't be used"):
            is_there = exists(place)
        self.fates[path] = Fate.SAME if is_there else Fate.NEW
        if is_there:
            return load_signer(place)
        # Listed first: if this is interrupted, the next run goes on with the identity.
        self._list()
        signer = generate_signer()
        signer.save(place)
        return signer

    def close(self) -> list[str]:
        """Note what was written; returns files of earlier times that nothing needs any more."""
        self._list()
        with os_errors_as(ConfigError, f"{self.folder} can't be read"):
            return [path for path in self._unused() if exists(self.folder / path)]

    def _write(self, path: Path, file: File) -> Fate:
        content, mode = file.text.encode(), _PROGRAM_MODE if file.is_program else FILE_MODE
        is_there = exists(path)
        if is_there and path.read_bytes() == content:
            return Fate.SAME
        make_folder(path.parent)
        write_file(path, content)
        path.chmod(mode)
        return Fate.CHANGED if is_there else Fate.NEW

    def _unused(self) -> list[str]:
        return sorted(self._before - self.fates.keys())

    def _list(self) -> None:
        names = [*self.fates, *self._unused()]
        path = self.folder / _LIST
        with os_errors_as(ConfigError, f"{path} can't be written"):
            make_folder(self.folder)
            write_file(path, "".join(f"{name}\n" for name in sorted(names)).encode())

    def _listed(self) -> set[str]:
        path = self.folder / _LIST
        with os_errors_as(ConfigError, f"{self.folder} can't be used"):
            if exists(path):
                return set(path.read_text().splitlines())
            if is_folder(self.folder) and any(self.folder.iterdir()):
                raise ConfigError(
                    f"{self.folder} has files that this command didn't write; name another folder"
                )
        return set()
