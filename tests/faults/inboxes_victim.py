"""A provider's inboxes under load, to be killed: python -m tests.faults.inboxes_victim FOLDER URL.

They are in the database with this URL, or in the folder if it is empty. While they can't be
written, everything is tried again.

Writes one line for each thing that is certain, after it is:

kept ID     the message with this ID was put
seen ID     it was handed over; only after this line is it named, to be deleted
deleted ID  the pull that named it has returned
"""

import os
import sys
from contextlib import suppress
from pathlib import Path

import gevent

from nym.errors import StoreError
from nym.nodes.inboxes import Inboxes
from nym.nodes.inboxes.places import open_at

CLIENTS = [bytes([number]) * 32 for number in range(1, 9)]
WRITERS = 3  # for each client
PAUSE = 0.05  # seconds between attempts


def say(what: str, message: bytes) -> None:
    """Write a line, in one piece."""
    os.write(1, f"{what} {message[:16].hex()}\n".encode())


def write(inboxes: Inboxes, client: bytes) -> None:
    """Put messages for ever."""
    while True:
        message = os.urandom(16) + bytes(900)
        try:
            inboxes.put(client, message)
        except StoreError:
            gevent.sleep(PAUSE)
        else:
            say("kept", message)


def pull(inboxes: Inboxes, client: bytes) -> None:
    """Pull as a client of ours does, for ever."""
    known: dict[int, bytes] = {}
    while True:
        try:
            got = inboxes.hand_over(client, list(known), 5)
        except StoreError:
            gevent.sleep(PAUSE)
            continue
        for message in known.values():
            say("deleted", message)
        known = dict(got)
        for message in known.values():
            say("seen", message)
        gevent.sleep(0.001)


def main() -> None:
    """Open the inboxes, say so, and go on until this is killed."""
    inboxes = open_at(sys.argv[2], Path(sys.argv[1]))
    for client in CLIENTS:
        inboxes.open(client)
    say("open", b"")
    for client in CLIENTS:
        for _ in range(WRITERS):
            gevent.spawn(write, inboxes, client)
        gevent.spawn(pull, inboxes, client)
    while True:
        with suppress(StoreError):
            inboxes.age()
        gevent.sleep(0.05)


if __name__ == "__main__":
    main()
