"""Making and processing packets, beside the curve products that they need.

A packet of n hops needs n products and one product with the base point; processing a hop needs two
products. The yardstick is the time of these products in libsodium, called through pysodium.
"""

from functools import partial

import pysodium

from benchmarks.measure import Row, compare, measure
from nym.identity import generate_identity
from nym.sphinx import Hop, create_packet, process_packet

MESSAGE = bytes(500)
DESTINATION = bytes(32)
MOST_HOPS = 5


def run() -> list[Row]:
    """Measure creating packets of 1 to 5 hops, and processing one hop."""
    nodes = [generate_identity() for _ in range(MOST_HOPS)]
    route = [Hop(bytes([i]) * 32, node.public_key, 0) for i, node in enumerate(nodes)]
    packet = create_packet(MESSAGE, route, DESTINATION)
    key = bytes(nodes[0].private_key)  # a copy, for libsodium's own functions
    hops = range(1, MOST_HOPS + 1)
    times = measure(
        {
            "product": partial(pysodium.crypto_scalarmult_curve25519, key, nodes[1].public_key),
            "base product": partial(pysodium.crypto_scalarmult_curve25519_base, key),
            **{
                f"create {n}": partial(create_packet, MESSAGE, route[:n], DESTINATION) for n in hops
            },
            "process": partial(process_packet, packet, key),
        }
    )

    def products(count: int, base: int) -> list[float]:
        pairs = zip(times["product"], times["base product"], strict=True)
        return [count * product + base * by_base for product, by_base in pairs]

    return [
        *(
            compare(f"create a packet, {n} hops", times[f"create {n}"], products(n, 1))
            for n in hops
        ),
        compare("process a hop", times["process"], products(2, 0)),
    ]
