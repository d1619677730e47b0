"""A client of the one file beside the published one of 0.4: their starts, and when they idle.

dist/nym-client must have been built, and this needs root. Both have default rates, and each has a
local network of its own, which has one path. So all connections to its first mixnode are packets of
this client, and those to its provider are its pulls.

Before the published client begins, and again every 15 s, it tries each path with two packets, and
waits for these for 5 s. So its first packet is of that kind, and its fifth one is the first of its
streams. All packets of ours are of its streams. At each try, the published client reads all
certificates of the machine twice, which is a good part of what it takes. An idle minute has four
tries in it.

The published client waits for a second between two pulls, and ours for 0.4 s. The last lines are of
a client of ours that waits for a second, too, beside the same yardstick.
"""

import os
import subprocess
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import NamedTuple

from benchmarks import client
from benchmarks.measure import Row, compare
from benchmarks.programs import START, Programs, running
from benchmarks.syns import Syns

ROUNDS = 3  # of idling
PULLS = 1.0  # seconds between two pulls of the published client
_TRIES = 4  # packets of the published client before those of its streams
CALM = 7.0  # seconds; by then, what began with the streams has been tried


class _Round(NamedTuple):
    """What one client did and took in a round."""

    taken: client.Idle
    packets: int
    pulls: int


def measured(program: str) -> list[Row]:
    """Measure this published client and ours. Raises PermissionError without root."""
    with Syns() as syns, ExitStack() as stack:
        bench = _Bench(stack, syns, program)
        return [*bench.starts(), *bench.idle()]


class _Bench:
    """Three clients, each with a network: ours, ours with fewer pulls, and the published one."""

    def __init__(self, stack: ExitStack, syns: Syns, program: str) -> None:
        self._syns, self._program = syns, program
        self._networks = [Programs(stack, client.COMMAND) for _ in range(3)]
        self._ours, self._slower, self._theirs = self._networks
        self._ours.init("alice")
        self._slower.init("alice", fetch_message_delay=PULLS)
        subprocess.run(
            [program, "init", "--id", "alice"],
            env={**os.environ, **self._theirs.environment},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        with self._ours.client("alice"):
            pass  # from now on, it knows its network

    def starts(self) -> list[Row]:
        """The lines of starts."""
        own, tries, streams = [], [], []
        for _ in range(client.STARTS):
            program = self._ours.nym("tcpsocket", "--id", "alice", "--port", "0")
            own += client.first_packets(program, self._syns, self._ours.first_hops, 1)
            packets = client.first_packets(
                self._published(), self._syns, self._theirs.first_hops, _TRIES + 1
            )
            tries.append(packets[0])
            streams.append(packets[_TRIES])
        return [
            compare("start to the first packet", own, tries),
            compare("start to the first packet of a stream", own, streams),
        ]

    def idle(self) -> list[Row]:
        """The lines of idle clients."""
        ours, slower, theirs = zip(*(self._round() for _ in range(ROUNDS)), strict=True)
        return [
            *_compare("", ours, theirs),
            *_compare(", as many pulls", slower, theirs),
        ]

    def _round(self) -> list[_Round]:
        groups = [ports for each in self._networks for ports in (each.first_hops, [each.pulls])]
        with (
            self._ours.client("alice") as ours,
            self._slower.client("alice") as slower,
            self._published() as theirs,
        ):
            self._syns.next([self._theirs.first_hops], _TRIES + 1, START)
            time.sleep(CALM)
            self._syns.watch(groups)
            taken = client.idle([ours.pid, slower.pid, theirs.pid])
            seen = [len(times) for times in self._syns.seen()]
        return [_Round(*one) for one in zip(taken, seen[::2], seen[1::2], strict=True)]

    def _published(self) -> AbstractContextManager[subprocess.Popen[str]]:
        options = ["--id", "alice", "--port", "0", "--directory", self._theirs.directory]
        return running([self._program, "tcpsocket", *options], environment=self._theirs.environment)


def _compare(how: str, own: Sequence[_Round], theirs: Sequence[_Round]) -> list[Row]:
    return [
        *client.compare_idle(how, [one.taken for one in own], [one.taken for one in theirs]),
        compare(
            f"idle, between two packets{how}",
            [client.IDLE / one.packets for one in own],
            [client.IDLE / one.packets for one in theirs],
        ),
        compare(
            f"idle, between two pulls{how}",
            [client.IDLE / one.pulls for one in own],
            [client.IDLE / one.pulls for one in theirs],
        ),
    ]
