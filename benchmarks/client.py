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
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import NamedTuple

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
            pass  # from now on, they know their network
        rows = [
            _start("start to the first packet, without waiting", programs, "hasty", syns),
            _start("start to the first packet", programs, "alice", syns),
            *_idle(programs),
        ]
        return [*rows, *messages.measured(programs)]


def first_packets(
    program: AbstractContextManager[object], syns: Syns, first_hops: list[int], count: int
) -> list[float]:
    """When each of its first `count` packets left, in seconds from the start of the program.

    It is started here, and ended then. Raises TimeoutError.
    """
    began = time.time()  # the clock of the kernel's stamps
    with program:
        (times,) = syns.next([first_hops], count, START)
    return [at - began for at in times]


class Idle(NamedTuple):
    """What a process took: seconds of processor time for each second, and KiB at the end."""

    processor_time: float
    memory: int


def idle(pids: Sequence[int]) -> list[Idle]:
    """Let these processes run for IDLE seconds."""
    before = [processor_time(pid) for pid in pids]
    time.sleep(IDLE)
    return [
        Idle((processor_time(pid) - at) / IDLE, memory(pid))
        for pid, at in zip(pids, before, strict=True)
    ]


def compare_idle(how: str, own: list[Idle], yardstick: list[Idle]) -> list[Row]:
    """Its lines. Memory is in KiB instead of microseconds."""
    return [
        compare(
            f"idle, each second{how}",
            [taken.processor_time for taken in own],
            [taken.processor_time for taken in yardstick],
        ),
        compare(
            f"idle, memory in KiB{how}",
            [taken.memory / 1e6 for taken in own],
            [taken.memory / 1e6 for taken in yardstick],
        ),
    ]


def _start(what: str, programs: Programs, name: str, syns: Syns) -> Row:
    times, yardstick = [], []
    for _ in range(STARTS):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        yardstick.append(time.perf_counter() - began)
        program = programs.nym("tcpsocket", "--id", name, "--port", "0")
        times += first_packets(program, syns, programs.first_hops, 1)
    return compare(what, times, yardstick)


def _idle(programs: Programs) -> list[Row]:
    mean = 1 / packet_rate(TrafficSettings())
    bare = running([sys.executable, "-m", "benchmarks.bare", str(mean)])
    with programs.client("alice") as client, bare as yardstick:
        read(yardstick, r"^\d+$")
        own, bare_loop = idle([client.pid, yardstick.pid])
    return compare_idle("", [own], [bare_loop])
