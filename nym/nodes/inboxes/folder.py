"""Takes over the inboxes of earlier versions: one folder per client, with one file per message.

A client's folder has its address as its name. The names of the files are times, so that sorting
gives the order of arrival; a name that begins with a dot is that of a message whose writing was
interrupted.

Messages are taken over in the order of these names, some at a time. The transaction that takes them
over also notes the last name. So an interrupted start goes on behind it, and no message is lost or
comes twice. Files are deleted once everything is in the database.
"""

import logging
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path

from nym.config.nodes import InboxSettings
from nym.errors import StoreError
from nym.files import is_folder, os_errors_as
from nym.nodes.inboxes import statements
from nym.nodes.inboxes.engine import Execute
from nym.nodes.inboxes.stored import StoredInboxes
from nym.wire.keys import decode_base58

AT_ONCE = 200  # clients and messages that are taken over in one transaction
_NOTE = "inboxes of files"
# Nothing that was accepted is refused now.
_NO_LIMITS = InboxSettings(clients=1 << 60, messages=1 << 60, size=1 << 60)

log = logging.getLogger(__name__)


def take_over(inboxes: StoredInboxes, folder: Path) -> None:
    """Move all that is in the folder into the database, if it exists. Raises StoreError."""
    with os_errors_as(StoreError, f"{folder} can't be taken over"):
        if not is_folder(folder):
            return
        done = inboxes.run(lambda execute, _: statements.notes(execute).get(_NOTE, b"").decode())
        left = (name for name in _names(folder) if name > done)
        while some := list(islice(left, AT_ONCE)):
            inboxes.run(partial(_keep, folder, some))
        inboxes.refresh()
        _remove(folder)
        inboxes.run(lambda execute, _: statements.write_notes(execute, {_NOTE: b""}))
    log.info("the inboxes in %s are in %s now: %d clients", folder, inboxes.name, len(inboxes))


def _names(folder: Path) -> Iterator[str]:
    """Yield, sorted, the name of each client's folder, and behind it those of its messages."""
    for client in sorted(path.name for path in folder.iterdir() if is_folder(path)):
        if _address(client) is None:
            log.warning("%s is no client's folder, so it is left where it is", folder / client)
            continue
        yield client
        for path in sorted((folder / client).iterdir()):
            if path.name[0] != ".":
                yield f"{client}/{path.name}"


def _address(name: str) -> bytes | None:
    try:
        return decode_base58(name)
    except ValueError:
        return None


def _keep(folder: Path, names: list[str], execute: Execute, now: int) -> None:
    for name in names:
        client = decode_base58(name.partition("/")[0])
        if "/" in name:
            message = (folder / name).read_bytes()
            # As if it came now: the times in the names are those of a clock that may be wrong.
            statements.put(execute, client, message, _NO_LIMITS, now)
        else:
            is_proven = statements.was_proven(execute, client)
            statements.open_inbox(execute, client, _NO_LIMITS, now, is_proven=is_proven)
    statements.write_notes(execute, {_NOTE: names[-1].encode()})


def _remove(folder: Path) -> None:
    """Delete what was taken over, and what is left of interrupted writing."""
    for client in [path for path in folder.iterdir() if is_folder(path) and _address(path.name)]:
        for path in client.iterdir():
            path.unlink()
        client.rmdir()
    with suppress(OSError):  # somebody has put something else there, which `_names` has logged
        folder.rmdir()
