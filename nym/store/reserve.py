"""Reserves room on the disk with a file that occupies it.

When the disk is full, the file is deleted. Then there is room to record what has already happened.
Nothing new is accepted or pulled until the file is there again.
"""

import errno
import os
from pathlib import Path

from nym.files import FILE_MODE

FILE = "client.reserve"
_BLOCK = 4096
_UNABLE = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}  # the file system can't allocate
SIZE = 256 << 10  # enough for the messages of a few pulls, and the database pages around them


class Reserve:
    """A file of SIZE bytes in `folder`. `is_held` tells whether it occupies its room."""

    def __init__(self, folder: Path, name: str = FILE) -> None:
        self._path = folder / name
        self.is_held = False

    def hold(self) -> None:
        """Occupy the room, unless that was done. Raises OSError if there is not enough."""
        if self.is_held:
            return
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT, FILE_MODE)
            try:
                _allocate(file)
            finally:
                os.close(file)
        except OSError:
            self.give_up()  # a part of the room is no reserve, and may be what others need
            raise
        self.is_held = True

    def give_up(self) -> None:
        """Free the room for others."""
        self.is_held = False
        self._path.unlink(missing_ok=True)


def _allocate(file: int) -> None:
    try:
        os.posix_fallocate(file, 0, SIZE)
    except OSError as error:
        if error.errno not in _UNABLE:
            raise
        # A file that is only extended would have holes, which occupy nothing. And many file systems
        # allocate blocks only when data is written back, so a full disk shows in `fsync`.
        for start in range(0, SIZE, _BLOCK):
            os.pwrite(file, bytes(_BLOCK), start)
        os.fsync(file)
