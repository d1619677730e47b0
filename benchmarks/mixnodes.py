"""Mixnodes in processes of their own, to measure them."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from benchmarks.programs import CHECKOUT
from nym.wire.addresses import NodeAddress
from nym.wire.keys import decode_base58

_NOWHERE = "http://127.0.0.1:1"  # a directory that isn't there


class Mixnode(NamedTuple):
    """All its processes, where it takes packets, and its public key."""

    pids: list[int]
    address: NodeAddress
    key: bytes


@contextmanager
def mixnode() -> Iterator[Mixnode]:
    """The one of a `localnet`."""
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(
            [*CHECKOUT, "localnet", "--port", "0"], stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        try:
            assert process.stdout
            _, _, _, host, key = process.stdout.readline().split()
            ip, _, port = host.rpartition(":")
            yield Mixnode([process.pid], NodeAddress(ip, int(port)), decode_base58(key))
        finally:
            process.terminate()


@contextmanager
def workers(count: int) -> Iterator[Mixnode]:
    """One that runs by itself with so many workers; with one, it is a single process."""
    options = ["--layer", "1", "--listen", "127.0.0.1:0", "--directory", _NOWHERE]
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
            ip, _, port = status["packets"].rpartition(":")
            yield Mixnode(pids, NodeAddress(ip, int(port)), decode_base58(status["key"]))
        finally:
            process.kill()  # with which the workers end
