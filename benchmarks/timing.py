"""When packets leave a client: idle, while messages wait, with a page open, and hammered.

The client is a process of its own, in a local network of another one. Gaps are those between the
first packets of connections to first mixnodes, as the kernel stamps them, so this needs root. They
are compared with the exponential distribution that the settings promise, by the test of Kolmogorov
and Smirnov. The yardstick is a bare loop of gevent that connects at Poisson's times, in a process
of its own, at the same time: what a busy machine does to it is not the client's fault. Both have a
higher priority than the applications, which would otherwise take the processor away from them on
a machine that has few.
"""

import base64
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any, NamedTuple

from benchmarks.syns import Syns
from nym.contacts import CurrentContacts
from nym.identity import load_identity
from nym.sockets import CONTROL_SOCKET
from nym.statistics import fit_exponential
from nym.store.inbox import Inbox
from nym.store.journal import Journal
from nym.wire.sizes import LONGEST_SEALED

GAPS = 5000  # in each situation
MEAN = 0.02  # seconds between two packets, of both streams together
MESSAGES = 1000  # that wait
LENGTH = 10_000  # bytes of each of them, so that they don't come to an end
SLOW = 10  # times as long as it should take; after that, something is broken
START = 60.0  # seconds for a program to start
FIRST, LAST = -10, 19  # priorities, as nice(1) counts them
_LOOK = 0.1  # seconds between two looks at a client's status


class Timing(NamedTuple):
    """One line of the result: Kolmogorov's and Smirnov's distance, and p."""

    what: str
    gaps: int
    distance: float
    p: float
    yardstick_distance: float
    yardstick_p: float


def show(*, is_json: bool) -> None:
    """Run it, and print a table or JSON."""
    try:
        rows = run()
    except PermissionError as error:
        raise SystemExit(f"only root can see when packets leave: {error}") from error
    if is_json:
        print(json.dumps([row._asdict() for row in rows], indent=1))
        return
    print(f"{'what':<28}{'gaps':>6}{'distance':>10}{'p':>8}{'yardstick':>12}{'p':>8}")
    for row in rows:
        print(
            f"{row.what:<28}{row.gaps:>6}{row.distance:>10.4f}{row.p:>8.2g}"
            f"{row.yardstick_distance:>12.4f}{row.yardstick_p:>8.2g}"
        )


def run() -> list[Timing]:
    """Measure all situations, some two minutes each. Raises PermissionError without root."""
    with Syns() as syns, ExitStack() as stack:
        bench = _Bench(stack)
        situations = {
            "idle": bench.idle(),
            f"{MESSAGES} messages wait": bench.waiting(),
            "a page is open": bench.looked_at(),
            "applications hammer it": bench.hammered(),
        }
        return [_measure(what, syns, bench, during) for what, during in situations.items()]


def _measure(
    what: str, syns: Syns, bench: "_Bench", during: AbstractContextManager[None]
) -> Timing:
    groups = [bench.first_hops, [bench.yardstick]]
    with during:
        times = syns.next(groups, GAPS + 1, SLOW * GAPS * MEAN + START)
    own, yardstick = (
        fit_exponential([after - before for before, after in pairwise(some)], MEAN)
        for some in times
    )
    return Timing(what, GAPS, *own, *yardstick)


class _Bench:
    """A network, the client alice, and bob, to whom she writes, and who doesn't run any more.

    `first_hops` are the ports of her first mixnodes, `yardstick` is that of the bare loop.
    """

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._home = Path(stack.enter_context(TemporaryDirectory()))
        network = stack.enter_context(self._nym("localnet", "--port", "0", "--width", "3"))
        self._directory = _read(network, r"^directory +(\S+)")
        self._init("bob")
        with self._nym("tcpsocket", "--id", "bob", "--port", "0", "--quiet"):
            self._bob = self._registered("bob")["address"]
        self._init("alice")
        self._fill_inbox()
        client = stack.enter_context(
            self._nym("websocket", "--id", "alice", "--port", "0", niceness=FIRST)
        )
        port = _read(client, r"port: (\d+)$")
        self._web = f"ws://127.0.0.1:{port}"
        self._registered("alice")
        layers = self._ask("alice", type="network")["layers"]
        self.first_hops = [int(node["address"].rpartition(":")[2]) for node in layers[0]]
        bare = stack.enter_context(_running("-m", "benchmarks.bare", str(MEAN), niceness=FIRST))
        self.yardstick = int(_read(bare, r"^(\d+)$"))

    @contextmanager
    def idle(self) -> Iterator[None]:
        """Nothing is sent."""
        yield

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Messages wait for their turn, from before the first packet that counts to the last."""
        data = base64.b64encode(bytes(LENGTH)).decode()
        for _ in range(MESSAGES):
            self._ask("alice", type="send", recipient_address=self._bob, data=data)
        yield
        assert self._ask("alice", type="status")["outbox"] > 0, "make the messages longer"
        self._ask("alice", type="cancel", all=True)

    @contextmanager
    def looked_at(self) -> Iterator[None]:
        """A page is open."""
        url = self._web.replace("ws:", "http:")
        command = ("-m", "benchmarks.looking", str(self._socket("alice")), url)
        with _running(*command, niceness=LAST) as page:
            _read(page, "was loaded")
            yield

    @contextmanager
    def hammered(self) -> Iterator[None]:
        """Two applications send and receive the largest messages, over and over."""
        command = ("-m", "benchmarks.hammering")
        with ExitStack() as stack:
            for place in (str(self._socket("alice")), self._web):
                application = stack.enter_context(
                    _running(*command, place, self._bob, niceness=LAST)
                )
                _read(application, "were sent")  # the first round: it works
            yield

    def _init(self, name: str) -> None:
        with self._nym("init", "--id", name, "--directory", self._directory) as made:
            assert made.wait() == 0
        rates = {
            "message_sending_average_delay": 2 * MEAN,
            "loop_cover_traffic_average_delay": 2 * MEAN,
        }
        for setting, value in rates.items():
            change = ("config", "set", "--id", name, f"traffic.{setting}", str(value))
            with self._nym(*change) as changed:
                assert changed.wait() == 0

    def _fill_inbox(self) -> None:
        """Give alice two of the longest messages, one for each application."""
        folder = self._folder("alice")
        with closing(Journal(folder, load_identity(folder).private_key)) as journal:
            inbox = Inbox(journal, CurrentContacts(folder))
            for _ in range(2):
                assert inbox.deliver(bytes(LONGEST_SEALED), is_sealed=True)
            inbox.settle()

    def _registered(self, name: str) -> dict[str, Any]:
        """Wait until the client is registered; returns its status."""
        give_up = time.monotonic() + START
        while time.monotonic() < give_up:
            with suppress(OSError):  # it may not listen yet
                status = self._ask(name, type="status")
                if status["registered"] and status["state"] == "running":
                    return status
            time.sleep(_LOOK)
        raise TimeoutError(f"{name} isn't registered after {START:.0f} s")

    def _ask(self, name: str, **request: object) -> dict[str, Any]:
        """Ask a client that runs, over its control socket. Raises OSError."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self._socket(name)))
            with connection.makefile("rw") as file:
                file.write(json.dumps(request) + "\n")
                file.flush()
                answer: dict[str, Any] = json.loads(file.readline())
        assert answer["type"] != "error", answer
        return answer

    def _nym(
        self, *arguments: str, niceness: int = 0
    ) -> AbstractContextManager[subprocess.Popen[str]]:
        environment = {"XDG_CONFIG_HOME": str(self._home)}
        return _running("-m", "nym", *arguments, niceness=niceness, environment=environment)

    def _folder(self, name: str) -> Path:
        return self._home / "nym" / "clients" / name

    def _socket(self, name: str) -> Path:
        return self._folder(name) / CONTROL_SOCKET


@contextmanager
def _running(
    *arguments: str, niceness: int, environment: Mapping[str, str] = MappingProxyType({})
) -> Iterator[subprocess.Popen[str]]:
    """A program of Python, which is ended at the end of the block."""
    with subprocess.Popen(
        [sys.executable, *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            os.setpriority(os.PRIO_PROCESS, process.pid, niceness)
            yield process
        finally:
            process.terminate()
            # What it still writes is read, or it would wait for that.
            process.communicate()


def _read(process: subprocess.Popen[str], pattern: str) -> str:
    """What the group in a line of its output matches, or all of it. Raises EOFError."""
    for line in process.stdout or ():
        if match := re.search(pattern, line):
            return match[match.lastindex or 0]
    raise EOFError(f"a program ended before it said {pattern}")
