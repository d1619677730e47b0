"""Whether what is done for each packet still takes as little as it should.

The figures are processor time, and each is the least of many rounds: so they are the same on a busy
machine. The yardstick is the time of the curve products that the work needs (benchmarks.sphinx).
"""

from functools import partial
from time import thread_time

import pysodium

from benchmarks.measure import Row, measure
from nym import _products
from nym.envelope import Cover, Envelopes
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

WORSE = 1.2  # by a fifth
# Measured on an AMD EPYC with AVX-512 IFMA. Without that, eight at once are eight single ones.
_SINGLE = {"create": 1.19, "process": 1.11, "seal": 1.06, "open": 1.14}
EXPECTED = {
    True: _SINGLE | {"create, one of eight": 0.39, "process, one of eight": 0.32},
    False: _SINGLE | {"create, one of eight": 1.18, "process, one of eight": 1.10},
}
_HOPS = 4
_MESSAGE = bytes(500)


def run() -> list[Row]:
    """Measure creating packets of four hops, processing a hop, and envelopes."""
    nodes = [generate_identity() for _ in range(_HOPS)]
    route = [Hop(bytes([i]) * 32, node.public_key, 0) for i, node in enumerate(nodes)]
    own = nodes[0]
    key = bytes(own.private_key)  # a copy, for libsodium's own functions
    request = Request(_MESSAGE, route, own.public_key)
    packet = create_packet(*request[:3])
    envelopes, content = Envelopes(own), Cover(bytes(16))
    envelope = envelopes.seal(content, own.public_key)
    least = {
        name: min(times)
        for name, times in measure(
            {
                "product": partial(pysodium.crypto_scalarmult_curve25519, key, nodes[1].public_key),
                "base product": partial(pysodium.crypto_scalarmult_curve25519_base, key),
                "create": partial(create_packet, *request[:3]),
                "process": partial(process_packet, packet, key),
                "seal": partial(envelopes.seal, content, own.public_key),
                "open": partial(envelopes.open, envelope),
                "create, one of eight": partial(create_packets, [request] * AT_ONCE),
                "process, one of eight": partial(process_packets, [packet] * AT_ONCE, key),
            },
            thread_time,
        ).items()
    }
    product, base = least["product"], least["base product"]
    products = {
        "create": _HOPS * product + base,
        "process": 2 * product,
        "seal": product + base,
        "open": product,
    }
    rows = []
    for what in EXPECTED[True]:
        name, _, many = what.partition(", ")
        time = least[what] / (AT_ONCE if many else 1)
        rows.append(Row(what, time * 1e6, products[name] * 1e6, time / products[name]))
    return rows


def worse(rows: list[Row]) -> list[str]:
    """What takes more than it should by a fifth or more."""
    expected = EXPECTED[_products.at_once() > 1]
    return [
        f"{row.what} takes {row.ratio:.2f} times its products, and should take "
        f"{expected[row.what]:.2f}"
        for row in rows
        if row.ratio > expected[row.what] * WORSE
    ]
