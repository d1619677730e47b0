"""What a mixnode takes for each packet, beside the cryptography alone: unwrapping one hop.

The mixnode is one of `localnet`, in a process of its own. This process sends it packets, each on a
connection of its own, as clients and nodes of 0.4 do, and is also the node to which it forwards
them. "Processor time" is that of the mixnode's process. "Time, when busy" is how far apart packets
leave a mixnode that always has more to do; it shares the machine with the sender. It unwraps up to
eight packets at once then, so it takes less for each.
"""

import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from statistics import median

from benchmarks.measure import Row, compare, measure
from nym.identity import generate_identity
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
    """Measure a mixnode that is not busy, and one that is."""
    with _Sink() as sink, mixnode() as (pid, node, key):
        hops = [Hop(encode_address(node), key, 0), Hop(encode_address(sink.address), key, 0)]
        create = partial(create_packet, b"", hops, key)
        create()  # the first one loads libraries
        used, used_busy, busy = [], [], []
        for _ in range(ROUNDS):
            packets = [create() for _ in range(2 * PACKETS)]
            before = processor_time(pid)
            times = sink.take(packets[:PACKETS], partial(send, node, gap=1 / RATE))
            between = processor_time(pid)
            used.append((between - before) / len(times))
            times = sink.take(packets[PACKETS:], partial(send, node, gap=0.0))
            used_busy.append((processor_time(pid) - between) / len(times))
            busy.append((times[-1] - times[0]) / (len(times) - 1))
    hop = [unwrapping()] * ROUNDS
    return [
        compare("processor time", used, hop),
        compare("processor time, when busy", used_busy, hop),
        compare("time, when busy", busy, hop),
    ]


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


def processor_time(pid: int) -> float:
    """Seconds that the process has used, itself and the system for it, in all its threads."""
    # What clock_getcpuclockid(3) returns for a process; Python doesn't have that function.
    return time.clock_gettime(~pid << 3 | _CLOCK_OF_PROCESS)
