"""Room on the disk that is kept free by taking it.

When the disk is full the reserve is given up, so that what has happened already can still be noted;
nothing new is begun until the reserve is there again.
"""

import errno
import os
from pathlib import Path

from nym.files import FILE_MODE

FILE = "client.reserve"
_BLOCK = 4096
_UNABLE = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}  # file systems that can't allocate
SIZE = 256 << 10  # a few pulls' messages, and the database's pages around them


class Reserve:
    """A file of SIZE bytes in the client's folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self.is_held = False

    def hold(self) -> None:
        """Take the room, unless it is taken. Raises OSError where there isn't so much."""
        if self.is_held:
            return
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT, FILE_MODE)
            try:
                _allocate(file)
            finally:
                os.close(file)
        except OSError:
            self.give_up()
            raise
        self.is_held = True

    def give_up(self) -> None:
        """Let others have the room."""
        self.is_held = False
        self._path.unlink(missing_ok=True)


def _allocate(file: int) -> None:
    try:
        os.posix_fallocate(file, 0, SIZE)
    except OSError as error:
        if error.errno not in _UNABLE:
            raise
        for start in range(0, SIZE, _BLOCK):
            os.pwrite(file, bytes(_BLOCK), start)
        os.fsync(file)
