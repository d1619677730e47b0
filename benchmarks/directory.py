"""How long a client takes to read what a directory lists, from its bytes to a network to use.

These are processor time, and each is the least of some rounds, apart from the first time.

The yardstick is Python's json.loads of the same bytes. "Again" is with a network that is known
already. The memory is what the client keeps of it; it is in KiB instead of microseconds, and beside
it are the bytes that came. Lists of providers' clients come apart from the rest, and then only what
has changed in them. The last figure is for one that comes as a whole, beside SHA-256 of it.
"""

import hashlib
import json
import os
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from ipaddress import IPv4Address

from benchmarks.measure import Row, compare, least
from nym.judge import Rules, hosts
from nym.reach import Reach
from nym.sphinx import public_key
from nym.view import SALT_LENGTH, NetworkView
from nym.wire.addresses import NodeAddress, parse_numeric
from nym.wire.clients import AddressList
from nym.wire.directory import (
    Lists,
    MixNode,
    Provider,
    Records,
    encode_topology,
    parse_topology,
)

SIZES = (100, 1000, 10_000)  # nodes, a tenth of them providers
CLIENTS = 1_000_000
_LAYERS = 3
_PUBLIC = 0x01000000  # the first IPv4 address that is used


def run() -> list[Row]:
    """Measure directories of some sizes, and a list of clients."""
    rows = []
    for size in SIZES:
        answer = answer_with(size)
        before, memory = first(answer), [_kept(answer) / 1024 / 1e6]
        times = least({"read": reader(answer), "loads": partial(json.loads, answer)})
        yardstick = [times["loads"]]
        rows += [
            compare(f"the first time, {size:,} nodes", [before], yardstick),
            compare(f"again, {size:,} nodes", [times["read"]], yardstick),
            compare(f"memory in KiB, {size:,} nodes", memory, [len(answer) / 1024 / 1e6]),
        ]
    packed = AddressList.of(os.urandom(32) for _ in range(CLIENTS)).packed
    times = least(
        {
            "unpack": partial(AddressList.unpack, packed),
            "digest": lambda: hashlib.sha256(packed).digest(),
        }
    )
    what = f"a list of {CLIENTS:,} clients"
    return [*rows, compare(what, [times["unpack"]], [times["digest"]])]


def places(count: int) -> list[NodeAddress]:
    """So many places, each on a machine of its own."""
    return [NodeAddress(str(IPv4Address(_PUBLIC + number)), 1789) for number in range(count)]


def answer_with(size: int) -> bytes:
    """What a directory of so many nodes answers."""
    return encode_topology(_records(size), Lists.BY_DIGEST)


def first(answer: bytes) -> float:
    """Seconds until it is read the first time."""
    began = time.thread_time()
    _read(answer, NetworkView(_LAYERS, os.urandom(SALT_LENGTH)))
    return time.thread_time() - began


def reader(answer: bytes) -> Callable[[], object]:
    """Reads it once more, each time."""
    return partial(_read, answer, NetworkView(_LAYERS, os.urandom(SALT_LENGTH)))


def _records(size: int) -> Records:
    at = places(size)
    providers = at[: size // 10]
    # The keys have to be such that packets can go there.
    return Records(
        tuple(
            MixNode(str(place), _key(), number % _LAYERS + 1, "0.4.0")
            for number, place in enumerate(at[len(providers) :])
        ),
        tuple(
            Provider(str(place), str(place._replace(port=9000)), _key(), AddressList(), "0.4.0")
            for place in providers
        ),
    )


def _key() -> bytes:
    return public_key(os.urandom(32))


def _read(answer: bytes, view: NetworkView) -> None:
    """What nym.client.judging does in threads."""
    records, rules = parse_topology(answer), Rules(Reach.PUBLIC, is_vouched=False, layers=_LAYERS)
    addresses = {host: parse_numeric(host) for host in hosts(records, rules)}
    known = {host: address for host, address in addresses.items() if address}
    view.look(view.judge(records, known, rules), time.monotonic())


def _kept(answer: bytes) -> int:
    view = NetworkView(_LAYERS, os.urandom(SALT_LENGTH))
    tracemalloc.start()
    _read(answer, view)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return kept
