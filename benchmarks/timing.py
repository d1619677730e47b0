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
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from itertools import pairwise
from typing import NamedTuple

from benchmarks.programs import START, Programs, read, running
from benchmarks.syns import Syns
from nym.contacts import CurrentContacts
from nym.identity import load_identity
from nym.statistics import fit_exponential
from nym.store.inbox import Inbox
from nym.store.journal import Journal
from nym.wire.sizes import LONGEST_SEALED

GAPS = 5000  # in each situation
MEAN = 0.02  # seconds between two packets, of both streams together
MESSAGES = 1000  # that wait
LENGTH = 10_000  # bytes of each of them, so that they don't come to an end
SLOW = 10  # times as long as it should take; after that, something is broken
FIRST, LAST = -10, 19  # priorities, as nice(1) counts them


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
        self._programs = programs = Programs(stack, width=3)
        rates = {
            "message_sending_average_delay": 2 * MEAN,
            "loop_cover_traffic_average_delay": 2 * MEAN,
        }
        programs.init("bob", **rates)
        with programs.nym("tcpsocket", "--id", "bob", "--port", "0", "--quiet"):
            self._bob = programs.registered("bob")["address"]
        programs.init("alice", **rates)
        self._fill_inbox()
        client = stack.enter_context(
            programs.nym("websocket", "--id", "alice", "--port", "0", niceness=FIRST)
        )
        port = read(client, r"port: (\d+)$")
        self._web = f"ws://127.0.0.1:{port}"
        programs.registered("alice")
        self.first_hops = programs.first_hops
        bare = stack.enter_context(_python("benchmarks.bare", str(MEAN), niceness=FIRST))
        self.yardstick = int(read(bare, r"^(\d+)$"))

    @contextmanager
    def idle(self) -> Iterator[None]:
        """Nothing is sent."""
        yield

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Messages wait for their turn, from before the first packet that counts to the last."""
        data = base64.b64encode(bytes(LENGTH)).decode()
        for _ in range(MESSAGES):
            self._programs.ask("alice", type="send", recipient_address=self._bob, data=data)
        yield
        left = self._programs.ask("alice", type="status")["outbox"]
        assert left > 0, "make the messages longer"
        self._programs.ask("alice", type="cancel", all=True)

    @contextmanager
    def looked_at(self) -> Iterator[None]:
        """A page is open."""
        url = self._web.replace("ws:", "http:")
        own = str(self._programs.socket("alice"))
        with _python("benchmarks.looking", own, url, niceness=LAST) as page:
            read(page, "was loaded")
            yield

    @contextmanager
    def hammered(self) -> Iterator[None]:
        """Two applications send and receive the largest messages, over and over."""
        with ExitStack() as stack:
            for place in (str(self._programs.socket("alice")), self._web):
                application = stack.enter_context(
                    _python("benchmarks.hammering", place, self._bob, niceness=LAST)
                )
                read(application, "were sent")  # the first round: it works
            yield

    def _fill_inbox(self) -> None:
        """Give alice two of the longest messages, one for each application."""
        folder = self._programs.folder("alice")
        with closing(Journal(folder, load_identity(folder).private_key)) as journal:
            inbox = Inbox(journal, CurrentContacts(folder))
            for _ in range(2):
                assert inbox.deliver(bytes(LONGEST_SEALED), is_sealed=True)
            inbox.settle()


def _python(
    module: str, *arguments: str, niceness: int
) -> AbstractContextManager[subprocess.Popen[str]]:
    return running([sys.executable, "-m", module, *arguments], niceness=niceness)
