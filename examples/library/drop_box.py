"""Keeps everything that comes in a folder: files under their names, other messages as text.

Usage: python3 drop_box.py ID FOLDER
"""

import os
import sys
from pathlib import Path

import nym


def main(own: str, folder: str) -> None:
    """Keep messages for ever."""
    with nym.connect(own) as client, client.messages() as messages:
        for message in messages:
            file = message.file or nym.File("message.txt", message.data)
            # With the id in front, no file takes the place of another one; and a message that comes
            # again, because this program was stopped in between, takes its own place. The end of a
            # name has its type, and 50 characters fit into a file system in any script.
            path = Path(folder, f"{message.id}-{file.name[-50:]}")
            write(path, file.data)
            print(path, flush=True)
            # The loop goes on, so the message leaves the client: the disk has it.


def write(path: Path, data: bytes) -> None:
    """Write a file, and wait until the disk has it."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


main(*sys.argv[1:])
