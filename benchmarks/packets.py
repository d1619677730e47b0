"""Packets to make and to unwrap, and the curve products that both can't do without.

A packet of n hops needs n products and one product with the base point; a hop needs two products.
"""

from collections.abc import Callable
from functools import partial

import pysodium

from nym.identity import generate_identity
from nym.sphinx import (
    Hop,
    Request,
    create_packet,
    create_packets,
    process_packet,
    process_packets,
)

MOST_HOPS = 5
USUAL_HOPS = 4
_MESSAGE = bytes(500)

Work = Callable[[], object]


class Packets:
    """Work with packets along one route. `own` is the first node."""

    def __init__(self) -> None:
        nodes = [generate_identity() for _ in range(MOST_HOPS)]
        self.own = nodes[0]
        self._route = [Hop(bytes([i]) * 32, node.public_key, 0) for i, node in enumerate(nodes)]
        self._key = bytes(self.own.private_key)  # a copy, for libsodium's own functions
        self._packet = create_packet(*self._request(MOST_HOPS))
        # Those of libsodium, called through pysodium.
        self.product: Work = partial(
            pysodium.crypto_scalarmult_curve25519, self._key, nodes[1].public_key
        )
        self.base_product: Work = partial(pysodium.crypto_scalarmult_curve25519_base, self._key)

    def create(self, hops: int = USUAL_HOPS) -> Work:
        """Makes one packet."""
        return partial(create_packet, *self._request(hops))

    def create_together(self, count: int) -> Work:
        """Makes so many packets of USUAL_HOPS."""
        return partial(create_packets, [Request(*self._request(USUAL_HOPS))] * count)

    def process(self) -> Work:
        """Unwraps one hop of a packet."""
        return partial(process_packet, self._packet, self._key)

    def process_together(self, count: int) -> Work:
        """Unwraps one hop of so many packets."""
        return partial(process_packets, [self._packet] * count, self._key)

    def _request(self, hops: int) -> tuple[bytes, list[Hop], bytes]:
        return _MESSAGE, self._route[:hops], self.own.public_key
