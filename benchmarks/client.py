"""A client of the one file: its start, what it takes while nothing happens, and how much it sends.

dist/nym-client must have been built, and the first two figures need root. They are the time from
the start of a client that knows its network to its first packet, as the kernel stamps that, beside
`python3 -c pass`. At the default rates, that packet waits for a moment that is drawn. So the first
figure is of a client whose packets are a millisecond apart: it is what the program takes.

An idle client, at the default rates, is beside a bare loop of gevent that only connects as often:
processor time for each second, and memory, which is in KiB instead of microseconds.

The last lines are those of `messages`.
"""

import subprocess
import sys
import time
from contextlib import ExitStack

from benchmarks import messages
from benchmarks.measure import Row, compare
from benchmarks.programs import START, Programs, memory, read, running
from benchmarks.relay import processor_time
from benchmarks.start import PROGRAM
from benchmarks.syns import Syns
from nym.client.pace import packet_rate
from nym.config import TrafficSettings

COMMAND = (str(PROGRAM),)
STARTS = 10
IDLE = 60.0  # seconds


def run() -> list[Row]:
    """Measure all of that, in some five minutes. Raises PermissionError without root."""
    with Syns() as syns, ExitStack() as stack:
        programs = Programs(stack, COMMAND)
        programs.init("alice")
        programs.init("hasty", message_sending_average_delay=messages.GAP)
        with programs.client("alice"), programs.client("hasty"):
            first_hops = programs.first_hops("alice")
        rows = [
            _start(
                "start to the first packet, without waiting", programs, "hasty", syns, first_hops
            ),
            _start("start to the first packet", programs, "alice", syns, first_hops),
            *_idle(programs),
        ]
        return [*rows, *messages.measured(programs)]


def _start(what: str, programs: Programs, name: str, syns: Syns, first_hops: list[int]) -> Row:
    times, yardstick = [], []
    for _ in range(STARTS):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        yardstick.append(time.perf_counter() - began)
        began = time.time()  # the clock of the kernel's stamps
        with programs.nym("tcpsocket", "--id", name, "--port", "0"):
            ((first,),) = syns.next([first_hops], 1, START)
        times.append(first - began)
    return compare(what, times, yardstick)


def _idle(programs: Programs) -> list[Row]:
    mean = 1 / packet_rate(TrafficSettings())
    bare = running([sys.executable, "-m", "benchmarks.bare", str(mean)])
    with programs.client("alice") as client, bare as yardstick:
        read(yardstick, r"^\d+$")
        pids = client.pid, yardstick.pid
        before = [processor_time(pid) for pid in pids]
        time.sleep(IDLE)
        times = [(processor_time(pid) - at) / IDLE for pid, at in zip(pids, before, strict=True)]
        size = [memory(pid) / 1e6 for pid in pids]
    return [
        compare("idle, each second", times[:1], times[1:]),
        compare("idle, memory in KiB", size[:1], size[1:]),
    ]
