"""A provider's inboxes, empty and with many clients and messages, beside the disk's own fsync.

The yardstick is a write of one message's length to a file, and its fsync. A put is one commit, and
so is a pull that deletes what it hands over. Many puts that come together share one.

The first line is how long the list of 100,000 clients takes, which is made in the event loop. The
last two are of the whole program with those clients and messages, beside one that has none: the
time from its start until it listens, and its memory, which is in KiB instead of microseconds.
Filling the database takes a minute, and 1.5 GB.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from random import SystemRandom
from tempfile import TemporaryDirectory

from benchmarks.measure import Row, compare, measure
from benchmarks.programs import memory
from nym.nodes.inboxes import DEFAULT, statements
from nym.nodes.inboxes.engine import Execute
from nym.nodes.inboxes.local import open_stored
from nym.nodes.inboxes.stored import StoredInboxes

CLIENTS = 100_000
MESSAGES = 1_000_000
TOGETHER = 100
STARTS = 3

NAME = "bench"
_AT_ONCE = 10_000  # clients or messages in one transaction, to fill the database
_BODY = bytes(1000)
_OPTIONS = ("--listen", "127.0.0.1:0", "--clients", "127.0.0.1:0", "--directory", "http://[::1]:1")


def run() -> list[Row]:
    """Measure puts and pulls, and the start of a provider."""
    with TemporaryDirectory() as home, TemporaryDirectory() as other:
        folder, empty = (Path(place) / "nym" / "providers" / NAME for place in (home, other))
        for place in (home, other):
            with provider(place):
                pass
        with closing(open_stored(folder)) as inboxes:
            clients = _fill(inboxes)
            with closing(open_stored(empty)) as few:
                rows = _puts_and_pulls(few, inboxes, clients, Path(other) / "yardstick")
        starts = [(_start(home), _start(other)) for _ in range(STARTS)]
    full, none = zip(*starts, strict=True)
    return [
        *rows,
        compare("until it listens", [at for at, _ in full], [at for at, _ in none]),
        compare(
            "memory, in KiB",
            [memory / 1e6 for _, memory in full],
            [memory / 1e6 for _, memory in none],
        ),
    ]


def _puts_and_pulls(
    few: StoredInboxes, many: StoredInboxes, clients: list[bytes], path: Path
) -> list[Row]:
    random = SystemRandom()
    for client in clients[:TOGETHER]:
        few.open(client)

    def one_of(inboxes: StoredInboxes) -> bytes:
        return random.choice(clients if inboxes is many else clients[:TOGETHER])

    def pull(inboxes: StoredInboxes) -> None:
        client = one_of(inboxes)
        inboxes.put(client, _BODY)
        inboxes.take(client, 1)

    def put(inboxes: StoredInboxes) -> None:
        inboxes.put(one_of(inboxes), _BODY)

    def together(inboxes: StoredInboxes) -> None:
        for _ in range(TOGETHER):
            inboxes.keep(one_of(inboxes), _BODY, _require)
        inboxes.flush()

    ways: dict[str, Callable[[StoredInboxes], None]] = {
        "put": put,
        "put and pull": pull,
        f"{TOGETHER} puts": together,
    }
    with path.open("wb", buffering=0) as file:
        times = measure(
            {
                "fsync": partial(_write, file.fileno()),
                "list the clients": many.clients,
                **{f"{way}, empty": partial(do, few) for way, do in ways.items()},
                **{f"{way}, full": partial(do, many) for way, do in ways.items()},
            }
        )
    yardstick = times.pop("fsync")
    return [compare(what, found, yardstick) for what, found in times.items()]


def _require(error: Exception | None) -> None:
    if error:
        raise error


def _write(file: int) -> None:
    os.write(file, _BODY)
    os.fsync(file)


def _fill(inboxes: StoredInboxes) -> list[bytes]:
    """Add clients, and messages for random ones of them; returns the clients."""
    clients = [os.urandom(32) for _ in range(CLIENTS)]
    random = SystemRandom()

    def add(some: list[bytes], execute: Execute, now: int) -> None:
        for client in some:
            statements.open_inbox(execute, client, DEFAULT, now, is_proven=False)

    def put(number: int, execute: Execute, now: int) -> None:
        for _ in range(number):
            statements.put(execute, random.choice(clients), _BODY, DEFAULT, now)

    for start in range(0, CLIENTS, _AT_ONCE):
        inboxes.run(partial(add, clients[start : start + _AT_ONCE]))
    for start in range(0, MESSAGES, _AT_ONCE):
        inboxes.run(partial(put, min(_AT_ONCE, MESSAGES - start)))
    inboxes.refresh()
    return clients


@contextmanager
def provider(home: str) -> Iterator[int]:
    """A provider that listens, with the id NAME; its process."""
    command = [sys.executable, "-m", "nym", "provider", "--id", NAME, *_OPTIONS]
    with subprocess.Popen(
        command,
        env=os.environ | {"XDG_CONFIG_HOME": home},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            for line in process.stdout or ():
                if line.startswith(b"clients"):
                    break
            yield process.pid
        finally:
            process.kill()  # it loses nothing, and leaving in order would take 20 s


def _start(home: str) -> tuple[float, float]:
    """Seconds until a provider listens, and its memory in KiB."""
    began = time.perf_counter()
    with provider(home) as pid:
        seconds = time.perf_counter() - began
        return seconds, float(memory(pid))
