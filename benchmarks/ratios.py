"""Whether what is done for each packet still takes as little as it should.

The figures are processor time, and each is the least of many rounds: so they are the same on a busy
machine. The yardstick is the time of the curve products that the work needs (benchmarks.packets).
"""

from functools import partial

from benchmarks.measure import Row, compare, least
from benchmarks.packets import USUAL_HOPS, Packets
from nym import _products
from nym.envelope import Cover, Envelopes
from nym.sphinx import AT_ONCE

WORSE = 1.2  # by a fifth
# Measured on an AMD EPYC, whose processor can make products in lanes; and with libsodium's products
# alone, where eight at once are eight single ones.
EXPECTED = {
    True: {
        "create": 0.65,
        "process": 0.56,
        "seal": 0.52,
        "open": 0.54,
        "create, one of eight": 0.39,
        "process, one of eight": 0.32,
    },
    False: {
        "create": 1.19,
        "process": 1.11,
        "seal": 1.04,
        "open": 1.08,
        "create, one of eight": 1.18,
        "process, one of eight": 1.10,
    },
}


def run() -> list[Row]:
    """Measure creating packets of four hops, processing a hop, and envelopes."""
    times = measured()
    product, base = times["product"], times["base product"]
    products = {
        "create": USUAL_HOPS * product + base,
        "process": 2 * product,
        "seal": product + base,
        "open": product,
    }
    rows = []
    for what in EXPECTED[True]:
        name, _, many = what.partition(", ")
        time = times[what] / (AT_ONCE if many else 1)
        rows.append(compare(what, [time], [products[name]]))
    return rows


def measured() -> dict[str, float]:
    """Seconds for each of these, and for the products."""
    packets = Packets()
    own, content = packets.own.public_key, Cover(bytes(16))
    envelopes = Envelopes(packets.own)
    return least(
        {
            "product": packets.product,
            "base product": packets.base_product,
            "create": packets.create(),
            "process": packets.process(),
            "seal": partial(envelopes.seal, content, own),
            "open": partial(envelopes.open, envelopes.seal(content, own)),
            "create, one of eight": packets.create_together(AT_ONCE),
            "process, one of eight": packets.process_together(AT_ONCE),
        }
    )


def worse(rows: list[Row]) -> list[str]:
    """What takes more than it should by a fifth or more."""
    expected = EXPECTED[_products.at_once() > 1]
    return [
        f"{row.what} takes {row.ratio:.2f} times its products, and should take "
        f"{expected[row.what]:.2f}"
        for row in rows
        if row.ratio > expected[row.what] * WORSE
    ]
