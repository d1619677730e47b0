"""What a mixnode forwards when far more comes than it can take, beside what it can forward at most.

The mixnode is one of `localnet`, with a processor for itself. The yardstick is the time per packet
while 64 connections always wait for it, each with one packet: this is what it can do. In the other
lines, TIMES as much comes, from one source or from eight. In the third, HALF_OPEN connections are
open, too, silent or with half a packet, and a source throws garbage as fast as it can. A ratio of
1.25 means that 80 per cent of what it can do still goes through.

The last lines are how much later than its delay a packet leaves that comes on an open connection of
another source during the third flood, half of them and all, beside half of them without any flood.
"""

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.flood import compiled
from benchmarks.measure import Row, compare
from benchmarks.mixnodes import mixnode
from nym.routes import NANOSECONDS
from nym.sphinx import Hop, create_packet
from nym.wire.addresses import NodeAddress, encode_address
from nym.wire.sizes import PACKET_LENGTH

ROUNDS = 3
SECONDS = 3.0  # for each flood
TIMES = 4
HALF_OPEN = 5000
DELAY = 0.1  # seconds
GUESS = 6000.0  # packets per second that a mixnode may forward, before that is known

_PATIENCE = 60.0  # seconds
_FULL, _FLOOD, _GARBAGE = 64, 4000, 500  # connections at the same time
_FIRST, _GARBAGE_FROM, _SILENT_FROM, _OTHER = 11, 31, 41, 61  # sources: 127.0.0.11, and so on


def run() -> list[Row]:
    """Flood a mixnode in three ways."""
    with _Bench() as bench:
        full, one, many, all_at_once = [], [], [], []
        late, latest, idle = [], [], []
        most = GUESS
        for _ in range(ROUNDS):
            idle.append(median(bench.lateness() for _ in range(10)))
            rate = bench.rate(most, per_second=0, at_once=_FULL)
            most = 1.5 * rate
            load = TIMES * rate
            full.append(1 / rate)
            one.append(1 / bench.rate(most, per_second=load))
            many.append(1 / bench.rate(most, per_second=load, sources=8))
            with bench.half_open(), bench.garbage(), bench.noting_lateness() as noted:
                all_at_once.append(1 / bench.rate(most, per_second=load, sources=8))
            late.append(median(noted))
            latest.append(max(noted))
    return [
        compare(f"{TIMES} x the load, one source", one, full),
        compare(f"{TIMES} x the load, 8 sources", many, full),
        compare("half-open and garbage, too", all_at_once, full),
        compare("a packet is late by", late, idle),
        compare("the latest one by", latest, idle),
    ]


class _Bench(ExitStack):
    """A mixnode, the node behind it, and floods."""

    def __enter__(self) -> "_Bench":
        super().__enter__()
        self._folder = Path(self.enter_context(TemporaryDirectory()))
        self._flood = self.enter_context(compiled())
        (process,), self._node, self._key = self.enter_context(mixnode())
        processors = sorted(os.sched_getaffinity(0))
        if len(processors) > 1:
            os.sched_setaffinity(process, processors[:1])
            os.sched_setaffinity(0, processors[1:])
            self.callback(os.sched_setaffinity, 0, processors)
        self._sinks = [self.enter_context(_Sink()) for _ in range(3)]
        self._other = self.enter_context(
            socket.create_connection(self._node, source_address=(f"127.0.0.{_OTHER}", 0))
        )
        return self

    def rate(
        self, most: float, per_second: float, at_once: int = _FLOOD, sources: int = 1
    ) -> float:
        """Packets per second that the mixnode forwards of a flood; at most `most` are made."""
        packets = self._folder / "packets"
        with packets.open("wb") as file:
            for _ in range(int(most * SECONDS) + 1):
                file.write(self._packet(self._sinks[0], 0.0))
        flood = self._start(_FIRST, sources, per_second, at_once, SECONDS, packets)
        out, _ = flood.communicate()
        _, answered, seconds = out.split()
        self._let_go()
        return int(answered) / float(seconds)

    def _let_go(self) -> None:
        """Wait until the mixnode has dealt with what a flood has left in the system's queue."""
        with socket.create_connection(self._node, _PATIENCE) as connection:
            connection.sendall(self._packet(self._sinks[2], 0.0))
            self._sinks[2].next_arrival()

    @contextmanager
    def garbage(self) -> Iterator[None]:
        """A source throws garbage meanwhile."""
        with self._beside(_GARBAGE_FROM, 1, 0, _GARBAGE):
            yield

    @contextmanager
    def half_open(self) -> Iterator[None]:
        """Connections are open meanwhile that bring nothing."""
        with self._beside(_SILENT_FROM, 8, -1, HALF_OPEN) as flood:
            assert flood.stdout
            assert flood.stdout.readline() == "ready\n"
            self.lateness()  # the mixnode has accepted those before
            yield

    def lateness(self) -> float:
        """Seconds by which a packet from a source that floods nothing leaves too late."""
        sink = self._sinks[1]
        packet = self._packet(sink, DELAY)
        sent = time.monotonic()
        self._other.sendall(packet)
        return sink.next_arrival() - sent - DELAY

    @contextmanager
    def noting_lateness(self) -> Iterator[list[float]]:
        """Notes it again and again meanwhile."""
        noted: list[float] = []
        is_over = threading.Event()

        def note() -> None:
            while not is_over.is_set() or not noted:
                noted.append(self.lateness())

        thread = threading.Thread(target=note)
        thread.start()
        try:
            yield noted
        finally:
            is_over.set()
            thread.join()

    @contextmanager
    def _beside(
        self, source: int, sources: int, per_second: float, at_once: int
    ) -> "Iterator[subprocess.Popen[str]]":
        with self._start(source, sources, per_second, at_once, 1e9) as flood:
            try:
                yield flood
            finally:
                flood.kill()

    def _start(self, *arguments: object) -> "subprocess.Popen[str]":
        command = [self._flood, self._node.port, *arguments]
        return subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True)

    def _packet(self, sink: "_Sink", delay: float) -> bytes:
        hops = [
            Hop(encode_address(self._node), self._key, int(delay * NANOSECONDS)),
            Hop(encode_address(sink.address), self._key, 0),
        ]
        return create_packet(b"", hops, self._key)


class _Sink:
    """A node behind the mixnode, in a thread: it notes when packets arrive."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.address = NodeAddress(*self._server.getsockname())
        self._arrived = threading.Semaphore(0)
        self._last = 0.0
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "_Sink":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._server.close()

    def next_arrival(self) -> float:
        """Wait for a packet; returns when it was there."""
        if not self._arrived.acquire(timeout=_PATIENCE):
            raise RuntimeError("the mixnode lost a packet of the source that floods nothing")
        return self._last

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return  # the end
            with connection:
                if len(connection.recv(PACKET_LENGTH, socket.MSG_WAITALL)) == PACKET_LENGTH:
                    self._last = time.monotonic()
                    self._arrived.release()
