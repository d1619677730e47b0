"""Mixnodes in processes of their own, to measure them: ours, and a published one."""

import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from benchmarks.programs import CHECKOUT, START, read, running
from nym.wire.addresses import NodeAddress, parse_numeric
from nym.wire.keys import decode_base58

_NOWHERE = "http://127.0.0.1:1"  # a directory that isn't there
_LOOK = 0.05  # seconds between two looks at whether a mixnode listens


class Mixnode(NamedTuple):
    """All its processes, where it takes packets, and its public key."""

    pids: list[int]
    address: NodeAddress
    key: bytes


@contextmanager
def mixnode() -> Iterator[Mixnode]:
    """The one of a `localnet`."""
    with running([*CHECKOUT, "localnet", "--port", "0"]) as process:
        assert process.stdout
        _, _, _, host, key = process.stdout.readline().split()
        yield _found([process.pid], host, key)


@contextmanager
def workers(count: int, directory: str = _NOWHERE) -> Iterator[Mixnode]:
    """One that runs by itself with so many workers; with one, it is a single process."""
    options = ["--layer", "1", "--listen", "127.0.0.1:0", "--directory", directory]
    with (
        tempfile.TemporaryDirectory() as home,
        tempfile.TemporaryFile() as log,
        subprocess.Popen(
            [*CHECKOUT, "mixnode", "--id", "mix", *options, "--workers", str(count)],
            env=(environment := {**os.environ, "XDG_CONFIG_HOME": home}),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout
            while not process.stdout.readline().startswith("packets"):
                assert process.poll() is None
            pids = [0]
            while 0 in pids:  # a worker has begun when its first report has come
                asked = [*CHECKOUT, "status", "--id", "mix", "--json"]
                status = json.loads(subprocess.check_output(asked, env=environment))
                pids = [process.pid, *(worker["pid"] for worker in status["workers"])]
            yield _found(pids, status["packets"], status["key"])
        finally:
            process.kill()  # with which the workers end


def _found(pids: list[int], place: str, key: str) -> Mixnode:
    """A mixnode of ours, as it says where it is."""
    address = parse_numeric(place)
    assert address
    return Mixnode(pids, address, decode_base58(key))


@contextmanager
def directory() -> Iterator[str]:
    """The URL of a directory that takes posts of mixnodes."""
    command = [*CHECKOUT, "directory", "--id", "directory", "--listen", "127.0.0.1:0"]
    with (
        tempfile.TemporaryDirectory() as home,
        running(command, environment={"XDG_CONFIG_HOME": home}) as process,
    ):
        yield read(process, r"^directory +(http\S+)")


@contextmanager
def published(program: str, directory: str) -> Iterator[Mixnode]:
    """A mixnode with the command line of the published one of 0.4, which makes a key at its start.

    Raises TimeoutError if it doesn't listen.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        place = NodeAddress(*free.getsockname())
    options = ["--layer", "1", "--host", place.ip, "--port", str(place.port)]
    with running([program, "run", *options, "--directory", directory]) as process:
        key = decode_base58(read(process, r"^Public key: (\S+)"))
        _wait_until_listening(place)
        yield Mixnode([process.pid], place, key)


def _wait_until_listening(place: NodeAddress) -> None:
    give_up = time.monotonic() + START
    while True:
        try:
            socket.create_connection(place).close()
        except OSError as error:
            if time.monotonic() > give_up:
                raise TimeoutError(f"the mixnode doesn't listen after {START:.0f} s") from error
            time.sleep(_LOOK)
        else:
            return
