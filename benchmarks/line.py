"""A pull on a sealed line, beside the curve products that it needs, and without its connection.

Each side needs three products, and one with the base point. For a first message alone, which anyone
can make up, a provider needs two and one. The yardstick is the time of these products in libsodium,
called through pysodium.
"""

from functools import partial

import pysodium

from benchmarks.measure import Row, compare, measure
from nym._noise import initiate, respond
from nym.identity import generate_identity
from nym.net.line import Keys
from nym.signing import generate_signer
from nym.wire.line import ANSWER_LENGTH, PROLOGUE, REQUEST_LENGTH


def run() -> list[Row]:
    """Measure what both sides do for a pull, and what a provider does for a first message."""
    client, signer = generate_identity(), generate_signer()
    provider = signer.exchange_keys()
    _, identity = provider
    first = initiate(client, identity, PROLOGUE).write(b"")
    key = bytes(client.private_key)  # a copy, for libsodium's own functions
    times = measure(
        {
            "product": partial(pysodium.crypto_scalarmult_curve25519, key, identity),
            "base product": partial(pysodium.crypto_scalarmult_curve25519_base, key),
            "pull": partial(_pull, client, provider),
            "first": partial(_answer_first, provider, first),
        }
    )

    def products(count: int, base: int) -> list[float]:
        pairs = zip(times["product"], times["base product"], strict=True)
        return [count * product + base * by_base for product, by_base in pairs]

    return [
        compare("a pull, both sides", times["pull"], products(6, 2)),
        compare("a first message", times["first"], products(2, 1)),
    ]


def _pull(client: Keys, provider: Keys) -> None:
    _, identity = provider
    one, other = initiate(client, identity, PROLOGUE), respond(provider, PROLOGUE)
    other.read(one.write(b""))
    one.read(other.write(b""))
    other.read(one.write(bytes(REQUEST_LENGTH)))
    one.read(other.write(bytes(ANSWER_LENGTH)))


def _answer_first(provider: Keys, first: bytes) -> None:
    line = respond(provider, PROLOGUE)
    line.read(first)
    line.write(b"")
