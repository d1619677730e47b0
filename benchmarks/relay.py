"""What a mixnode takes for each packet, beside the cryptography alone: unwrapping one hop.

The mixnode is one of `localnet`, in a process of its own. Packets come to it each on a connection
of its own, as clients and nodes of 0.4 send them, and go on to a node in this process. They ask for
no delay.

The first lines are of RATE packets per second: the processor time of the mixnode's process, and how
long after a packet was written to its connection the kernel had it at the next node.

"When busy" is a mixnode that always has AT_ONCE connections with a packet (flood.c). It unwraps up
to eight packets at once then, so it takes less for each. "Time" is how far apart packets leave it;
it shares the machine with the sender and with the next node.

"On all cores" is a mixnode with a worker for each of them, in the same rounds, beside the single
process. Its processor time is that of all its processes.
"""

import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import NamedTemporaryFile

from benchmarks.flood import compiled
from benchmarks.load import Sink, send
from benchmarks.measure import Row, compare, measure
from benchmarks.mixnodes import Mixnode, mixnode, workers
from benchmarks.network.result import quantile
from nym.identity import generate_identity
from nym.net.processors import usable
from nym.sphinx import Hop, create_packet, process_packet

ROUNDS = 5
RATE = 500.0  # packets per second, where the mixnode is not busy
PACKETS = 1500  # in each round, at that rate
MANY = 10_000  # in each round, when busy
AT_ONCE = 64

_SOURCE, _SOURCES = 11, 8  # the flood comes from 127.0.0.11 to 127.0.0.18
_PATIENCE = 60  # seconds for which a flood goes on if packets are lost
_CLOCK_OF_PROCESS = 2  # CPUCLOCK_SCHED


def run() -> list[Row]:
    """Measure a mixnode that is not busy, and one that is, in one process and on all cores."""
    with ExitStack() as stack:
        flood = stack.enter_context(compiled())
        one = Relay(stack.enter_context(mixnode()), flood)
        many = Relay(stack.enter_context(workers(usable())), flood)
        measure_in_turn([one, many])
    hop = [unwrapping()] * ROUNDS
    return [
        *(compare(what, figures, hop) for what, figures in one.figures.items()),
        *beside(many, "on all cores", one),
    ]


class Relay:
    """A mixnode that is measured. `figures` has seconds per packet, one for each round."""

    def __init__(self, mixnode: Mixnode, flood: Path) -> None:
        self.figures: dict[str, list[float]] = {}
        self._mixnode, self._flood = mixnode, flood

    def measure(self) -> None:
        """One round."""
        # Each part has a sink of its own, because a place has no more than 28,000 connections from
        # one address in a minute.
        with Sink() as sink:
            self._measure_at_rate(sink)
        with Sink() as sink:
            self._measure_busy(sink)

    def _measure_at_rate(self, sink: Sink) -> None:
        packets = sink.packets(self._mixnode.address, self._mixnode.key, PACKETS)
        before = self._processor_time()
        sent, arrived = sink.take(
            PACKETS, partial(send, self._mixnode.address, packets, gap=1 / RATE)
        )
        self._note("processor time", (self._processor_time() - before) / len(arrived))
        delays = sorted(at - sent[sink.number(packet)] for at, packet in arrived)
        self._note("added delay, median", quantile(delays, 0.5))
        self._note("added delay, 99th percentile", quantile(delays, 0.99))

    def _measure_busy(self, sink: Sink) -> None:
        with NamedTemporaryFile() as file:
            file.write(b"".join(sink.packets(self._mixnode.address, self._mixnode.key, MANY)))
            file.flush()
            port = self._mixnode.address.port
            words = [self._flood, port, _SOURCE, _SOURCES, 0, AT_ONCE, _PATIENCE, file.name]
            command = [str(word) for word in words]
            before = self._processor_time()
            _, arrived = sink.take(MANY, partial(subprocess.check_output, command))
        used = self._processor_time() - before
        times = [at for at, _ in arrived]
        self._note("processor time, when busy", used / len(arrived))
        self._note("time, when busy", (max(times) - min(times)) / (len(times) - 1))

    def _note(self, what: str, seconds: float) -> None:
        self.figures.setdefault(what, []).append(seconds)

    def _processor_time(self) -> float:
        return sum(map(processor_time, self._mixnode.pids))


def measure_in_turn(relays: Sequence[Relay]) -> None:
    """ROUNDS rounds of all of them."""
    for _ in range(ROUNDS):
        for relay in relays:
            relay.measure()


def beside(relay: Relay, how: str, yardstick: Relay) -> list[Row]:
    """A row for each figure, beside that of another mixnode in the same rounds."""
    return [
        compare(f"{what}, {how}", figures, yardstick.figures[what])
        for what, figures in relay.figures.items()
    ]


def unwrapping() -> float:
    """Seconds that the cryptography of one hop takes alone, the median."""
    own = generate_identity()
    packet = create_packet(b"", [Hop(bytes(32), own.public_key, 0)], own.public_key)
    return median(measure({"hop": partial(process_packet, packet, own.private_key)})["hop"])


def processor_time(pid: int) -> float:
    """Seconds that the process has used, itself and the system for it, in all its threads."""
    # What clock_getcpuclockid(3) returns for a process; Python doesn't have that function.
    return time.clock_gettime(~pid << 3 | _CLOCK_OF_PROCESS)
