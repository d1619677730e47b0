"""What `check` tries of this machine, for clients and nodes: the folder's modes, and the clock."""

from pathlib import Path

from nym.cli.findings import Finding
from nym.files import close_to_others
from nym.net.directory import MOST_OFF
from nym.timing import duration


def check_folder(folder: Path) -> Finding:
    """Close the folder to other users, and say whether they had access."""
    try:
        was_open = close_to_others(folder)
    except OSError as error:
        return Finding(
            "folder",
            f"{folder} can't be closed to other users: {error.strerror}",
            "make this user the owner of the folder",
            5,
        )
    if not was_open:
        return Finding("folder", f"{folder}: only this user has access")
    # Not a failure. Every start of a client does the same, and nothing is left for the user to do.
    return Finding(
        "folder",
        f"{folder}: only this user has access now; until now, others could use "
        f"{', '.join(was_open)}",
    )


def check_clock(off: float | None) -> Finding:
    """Judge a directory's clock, which is `off` by so many seconds; None if that isn't known."""
    # The client itself needs no correct clock. But TLS checks the dates of certificates, and people
    # read the times at which messages arrived.
    if off is None:
        return Finding("clock", "the directory doesn't tell the time")
    if abs(off) <= MOST_OFF:
        return Finding("clock", "agrees with the directory's")
    return Finding(
        "clock", f"{duration(abs(off))} off the directory's", "set this machine's clock", 1
    )
