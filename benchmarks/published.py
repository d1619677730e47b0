"""Our cryptography, mixnode and client beside the published ones of 0.4, in one run on one machine.

The published programs are no part of this project. Build them elsewhere, and name them:

NYM_PUBLISHED_MIXNODE is the published mixnode, or any program with its command line: `run --layer
LAYER --host HOST --port PORT --directory URL`. It prints `Public key: KEY` on a line of its own,
and listens.

NYM_PUBLISHED_SPHINX times the published library of Sphinx packets. It gets no arguments, and prints
one JSON object: `{"create": SECONDS, "process": SECONDS}`. Both are the processor time of one
thread for each packet, the least of many rounds of some 10 ms: `create` from a message of 500 bytes
and a route of 4 hops to the packet's bytes, `process` from a packet's bytes to what the first of
the 4 nodes would send on.

NYM_PUBLISHED_CLIENT is the published client, or any program with its command lines: `init --id ID`
and `tcpsocket --id ID --port PORT --directory URL`. `published_client` says what is measured of it
and ours, for which it needs root.

Each is the yardstick of ours, in turn, round by round. `relay` says what the lines of mixnodes are.
Ours runs in one process (`--workers 1`), and on all cores with a worker for each, as it does unless
it is told otherwise. All of them post to one directory of ours.
"""

import json
import os
import subprocess
from contextlib import ExitStack

from benchmarks import published_client
from benchmarks.flood import compiled
from benchmarks.measure import Row, compare, least
from benchmarks.mixnodes import directory, published, workers
from benchmarks.packets import USUAL_HOPS, Packets
from benchmarks.relay import Relay, beside, measure_in_turn
from nym.net.processors import usable
from nym.sphinx import AT_ONCE

MIXNODE, SPHINX = "NYM_PUBLISHED_MIXNODE", "NYM_PUBLISHED_SPHINX"
CLIENT = "NYM_PUBLISHED_CLIENT"
ROUNDS = 5  # of the cryptography


def run() -> list[Row]:
    """Measure beside those programs that are named. Exits with a sentence if there is none.

    Raises PermissionError without root if one is a client.
    """
    sphinx, mixnode, client = map(os.environ.get, (SPHINX, MIXNODE, CLIENT))
    if not sphinx and not mixnode and not client:
        raise SystemExit(
            f"{MIXNODE} has to name the published mixnode, {CLIENT} the published client, or "
            f"{SPHINX} a program that times the published Sphinx library; docs/performance.md, "
            '"Beside the published programs", says what they have to do'
        )
    return [
        *(_cryptography(sphinx) if sphinx else []),
        *(_relays(mixnode) if mixnode else []),
        *(published_client.measured(client) if client else []),
    ]


def _cryptography(program: str) -> list[Row]:
    packets = Packets()
    work = {
        "create": packets.create(),
        "process": packets.process(),
        "create together": packets.create_together(AT_ONCE),
        "process together": packets.process_together(AT_ONCE),
    }
    own, theirs = [], []
    for _ in range(ROUNDS):
        theirs.append(json.loads(subprocess.check_output([program])))
        own.append(least(work))

    def row(what: str, name: str, yardstick: str, count: int) -> Row:
        times = [found[name] / count for found in own]
        return compare(what, times, [float(found[yardstick]) for found in theirs])

    return [
        row(f"create a packet, {USUAL_HOPS} hops", "create", "create", 1),
        row("process a hop", "process", "process", 1),
        row("create one of eight", "create together", "create", AT_ONCE),
        row("process one of eight", "process together", "process", AT_ONCE),
    ]


def _relays(program: str) -> list[Row]:
    with ExitStack() as stack:
        flood, url = stack.enter_context(compiled()), stack.enter_context(directory())
        theirs = Relay(stack.enter_context(published(program, url)), flood)
        one = Relay(stack.enter_context(workers(1, url)), flood)
        many = Relay(stack.enter_context(workers(usable(), url)), flood)
        measure_in_turn([theirs, one, many])
    return [*beside(one, "in one process", theirs), *beside(many, "on all cores", theirs)]
