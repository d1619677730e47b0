"""Making and processing packets, beside the curve products that they need.

A packet of n hops needs n products and one product with the base point; processing a hop needs two
products. The yardstick is the time of these products in libsodium, called through pysodium, one
after the other. Packets in eights are measured by their share of a batch. The yardstick of two
threads is one thread.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pysodium

from benchmarks.measure import Row, compare, measure
from nym.identity import generate_identity
from nym.sphinx import (
    AT_ONCE,
    Hop,
    Request,
    create_packet,
    create_packets,
    process_packet,
    process_packets,
)

MESSAGE = bytes(500)
DESTINATION = bytes(32)
MOST_HOPS = 5
USUAL_HOPS = 4
MANY = 8 * AT_ONCE  # so many that a thread is busy for milliseconds


def run() -> list[Row]:
    """Measure creating packets of 1 to 5 hops, processing one hop, and both in eights."""
    nodes = [generate_identity() for _ in range(MOST_HOPS)]
    route = [Hop(bytes([i]) * 32, node.public_key, 0) for i, node in enumerate(nodes)]
    packet = create_packet(MESSAGE, route, DESTINATION)
    key = bytes(nodes[0].private_key)  # a copy, for libsodium's own functions
    hops = range(1, MOST_HOPS + 1)
    request = Request(MESSAGE, route[:USUAL_HOPS], DESTINATION)
    create_many = partial(create_packets, [request] * MANY)
    process_many = partial(process_packets, [packet] * MANY, key)
    with ThreadPoolExecutor(2) as pool:
        times = measure(
            {
                "product": partial(pysodium.crypto_scalarmult_curve25519, key, nodes[1].public_key),
                "base product": partial(pysodium.crypto_scalarmult_curve25519_base, key),
                **{
                    f"create {n}": partial(create_packet, MESSAGE, route[:n], DESTINATION)
                    for n in hops
                },
                "process": partial(process_packet, packet, key),
                "create in eights": partial(create_packets, [request] * AT_ONCE),
                "process in eights": partial(process_packets, [packet] * AT_ONCE, key),
                "create many": create_many,
                "process many": process_many,
                "create many twice": partial(_in_both, pool, create_many),
                "process many twice": partial(_in_both, pool, process_many),
            }
        )

    def products(count: int, base: int) -> list[float]:
        pairs = zip(times["product"], times["base product"], strict=True)
        return [count * product + base * by_base for product, by_base in pairs]

    def share(name: str, packets: int) -> list[float]:
        return [time / packets for time in times[name]]

    return [
        *(
            compare(f"create a packet, {n} hops", times[f"create {n}"], products(n, 1))
            for n in hops
        ),
        compare("process a hop", times["process"], products(2, 0)),
        compare(
            f"create one of eight, {USUAL_HOPS} hops",
            share("create in eights", AT_ONCE),
            products(USUAL_HOPS, 1),
        ),
        compare("process one of eight", share("process in eights", AT_ONCE), products(2, 0)),
        *(
            compare(
                f"{what} in two threads",
                share(f"{what} many twice", 2 * MANY),
                share(f"{what} many", MANY),
            )
            for what in ("create", "process")
        ),
    ]


def _in_both(pool: ThreadPoolExecutor, work: Callable[[], object]) -> None:
    """Do the work in two threads, each once, at the same time."""
    for done in [pool.submit(work), pool.submit(work)]:
        done.result()
