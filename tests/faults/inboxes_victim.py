"""A provider's inboxes under load, to be killed: python -m tests.faults.inboxes_victim FOLDER.

Writes one line for each thing that is certain, after it is:

kept ID     the message with this ID was put
seen ID     it was handed over; only after this line is it named, to be deleted
deleted ID  the pull that named it has returned
"""

import os
import sys
from pathlib import Path

import gevent

from nym.nodes.inboxes import Inboxes
from nym.nodes.inboxes.local import open_inboxes

CLIENTS = [bytes([number]) * 32 for number in range(1, 9)]
WRITERS = 3  # for each client


def say(what: str, message: bytes) -> None:
    """Write a line, in one piece."""
    os.write(1, f"{what} {message[:16].hex()}\n".encode())


def write(inboxes: Inboxes, client: bytes) -> None:
    """Put messages for ever."""
    while True:
        message = os.urandom(16) + bytes(900)
        inboxes.put(client, message)
        say("kept", message)


def pull(inboxes: Inboxes, client: bytes) -> None:
    """Pull as a client of ours does, for ever."""
    known: dict[int, bytes] = {}
    while True:
        got = inboxes.hand_over(client, list(known), 5)
        for message in known.values():
            say("deleted", message)
        known = dict(got)
        for message in known.values():
            say("seen", message)
        gevent.sleep(0.001)


def main() -> None:
    """Open the inboxes, say so, and go on until this is killed."""
    inboxes = open_inboxes(Path(sys.argv[1]))
    for client in CLIENTS:
        inboxes.open(client)
    say("open", b"")
    for client in CLIENTS:
        for _ in range(WRITERS):
            gevent.spawn(write, inboxes, client)
        gevent.spawn(pull, inboxes, client)
    while True:
        inboxes.age()
        gevent.sleep(0.05)


if __name__ == "__main__":
    main()
