"""What a mixnode takes for each packet, beside the cryptography alone: unwrapping one hop.

The mixnode is one of `localnet`, in a process of its own. This process sends it packets, each on a
connection of its own, as clients and nodes of 0.4 do, and is also the node to which it forwards
them. "Processor time" is that of the mixnode's process. "Time, when busy" is how far apart packets
leave a mixnode that always has more to do; it shares the machine with the sender. It unwraps up to
eight packets at once then, so it takes less for each.

"On all cores" is a mixnode with a worker for each of them, in the same rounds. Its processor time
is that of all its processes, and its time is beside that of the single process.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from statistics import median

from benchmarks.measure import Row, compare, measure
from nym.identity import generate_identity
from nym.net.processors import usable
from nym.sphinx import Hop, create_packet, process_packet
from nym.wire.addresses import NodeAddress, encode_address
from nym.wire.keys import decode_base58
from nym.wire.sizes import PACKET_LENGTH

PACKETS = 3000  # in each round
ROUNDS = 5
SILENCE = 5.0  # seconds after which no more packets come
RATE = 1000.0  # packets per second, where the mixnode is not busy
_CLOCK_OF_PROCESS = 2  # CPUCLOCK_SCHED


def run() -> list[Row]:
    """Measure a mixnode that is not busy, and one that is, in one process and on all cores."""
    with ExitStack() as stack:
        sink = stack.enter_context(_Sink())
        pid, node, key = stack.enter_context(mixnode())
        one = _Measured([pid], node, key, sink)
        many = _Measured(*stack.enter_context(workers(usable())), sink)
        for _ in range(ROUNDS):
            one.measure()
            many.measure()
    hop = [unwrapping()] * ROUNDS
    return [
        compare("processor time", one.used, hop),
        compare("processor time, when busy", one.used_busy, hop),
        compare("time, when busy", one.busy, hop),
        compare("processor time, on all cores", many.used, hop),
        compare("processor time, when busy, on all cores", many.used_busy, hop),
        compare("time, when busy, on all cores", many.busy, one.busy),
    ]


class _Measured:
    """A mixnode in these processes, and what it took in each round, in seconds per packet."""

    def __init__(self, pids: Sequence[int], node: NodeAddress, key: bytes, sink: "_Sink") -> None:
        self.used: list[float] = []
        self.used_busy: list[float] = []
        self.busy: list[float] = []
        hops = [Hop(encode_address(node), key, 0), Hop(encode_address(sink.address), key, 0)]
        self._create = partial(create_packet, b"", hops, key)
        self._create()  # the first one loads libraries
        self._pids, self._node, self._sink = pids, node, sink

    def measure(self) -> None:
        """One round."""
        packets = [self._create() for _ in range(2 * PACKETS)]
        before = self._processor_time()
        times = self._sink.take(packets[:PACKETS], partial(send, self._node, gap=1 / RATE))
        between = self._processor_time()
        self.used.append((between - before) / len(times))
        times = self._sink.take(packets[PACKETS:], partial(send, self._node, gap=0.0))
        self.used_busy.append((self._processor_time() - between) / len(times))
        self.busy.append((times[-1] - times[0]) / (len(times) - 1))

    def _processor_time(self) -> float:
        return sum(map(processor_time, self._pids))


def unwrapping() -> float:
    """Seconds that the cryptography of one hop takes alone, the median."""
    own = generate_identity()
    packet = create_packet(b"", [Hop(bytes(32), own.public_key, 0)], own.public_key)
    return median(measure({"hop": partial(process_packet, packet, own.private_key)})["hop"])


class _Sink:
    """The node behind the mixnode: it counts packets."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self._server.settimeout(SILENCE)
        self.address = NodeAddress(*self._server.getsockname())

    def __enter__(self) -> "_Sink":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def take(self, packets: list[bytes], send: Callable[[list[bytes]], None]) -> list[float]:
        """Let `send` send these packets; returns when each arrived, once no more come."""
        sender = threading.Thread(target=send, args=(packets,))
        sender.start()
        times: list[float] = []
        # A mixnode that is too busy refuses some.
        with suppress(TimeoutError):
            while len(times) < len(packets):
                connection, _ = self._server.accept()
                with connection:
                    if len(connection.recv(PACKET_LENGTH, socket.MSG_WAITALL)) == PACKET_LENGTH:
                        times.append(time.monotonic())
        sender.join()
        return times


def send(node: NodeAddress, packets: list[bytes], gap: float) -> None:
    """Send these packets, each on a connection of its own, `gap` seconds apart."""
    due = time.monotonic()
    for packet in packets:
        due += gap
        time.sleep(max(0.0, due - time.monotonic()))
        with socket.create_connection(node) as connection:
            connection.sendall(packet)


@contextmanager
def mixnode() -> Iterator[tuple[int, NodeAddress, bytes]]:
    """(its process, its address, its public key)."""
    command = [sys.executable, "-m", "nym", "localnet", "--port", "0"]
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            assert process.stdout
            _, _, _, host, key = process.stdout.readline().split()
            ip, _, port = host.rpartition(":")
            yield process.pid, NodeAddress(ip, int(port)), decode_base58(key)
        finally:
            process.terminate()


@contextmanager
def workers(count: int) -> Iterator[tuple[list[int], NodeAddress, bytes]]:
    """The same of a mixnode that runs by itself with so many workers, and all its processes."""
    command = [sys.executable, "-m", "nym"]
    options = ["--layer", "1", "--listen", "127.0.0.1:0", "--directory", "http://127.0.0.1:1"]
    with (
        tempfile.TemporaryDirectory() as home,
        tempfile.TemporaryFile() as log,
        subprocess.Popen(
            [*command, "mixnode", "--id", "mix", *options, "--workers", str(count)],
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
                asked = [*command, "status", "--id", "mix", "--json"]
                status = json.loads(subprocess.check_output(asked, env=environment))
                pids = [process.pid, *(worker["pid"] for worker in status["workers"])]
            ip, _, port = status["packets"].rpartition(":")
            yield pids, NodeAddress(ip, int(port)), decode_base58(status["key"])
        finally:
            process.kill()  # with which the workers end


def processor_time(pid: int) -> float:
    """Seconds that the process has used, itself and the system for it, in all its threads."""
    # What clock_getcpuclockid(3) returns for a process; Python doesn't have that function.
    return time.clock_gettime(~pid << 3 | _CLOCK_OF_PROCESS)
