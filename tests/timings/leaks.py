"""The inputs of each measured function, and how its times differ."""

import random
from collections.abc import Callable
from pathlib import Path

from nym import _products
from nym._padding import pad
from tests.extensions import extension
from tests.timings.welch import Comparison

BATCH = 10_000  # measurements between which new inputs are made

MEASURED = extension(Path(__file__).parent / "measured.pyx")

# For each function: an input that is always the same, and random ones.
#  - A MAC that is wrong at its end only, so that a comparison that stops early goes on for longest.
#  - A payload without a message: in a random one, the padding begins anywhere.
#  - A scalar that has to be negated. Half of the random ones have to be.
#  - For a product, and for eight at once, a scalar whose clamped form is 2^254, with a single bit.
#    Where the processor can't make these, products are libsodium's business.
FUNCTIONS: dict[str, tuple[bytes, Callable[[random.Random], bytes]]] = {
    "check_mac": (
        MEASURED.header_mac_of_zeros()[:-1] + bytes([MEASURED.header_mac_of_zeros()[-1] ^ 1]),
        lambda chance: chance.randbytes(16),
    ),
    "unpad": (
        pad(bytes(32), b""),
        lambda chance: pad(bytes(32), chance.randbytes(chance.randrange(976))),
    ),
    "clamp_scalar": (
        (2**253 % MEASURED.ORDER).to_bytes(32, "little"),
        lambda chance: chance.randrange(MEASURED.ORDER).to_bytes(32, "little"),
    ),
}
if _products.at_once() > 1:
    FUNCTIONS["multiply"] = FUNCTIONS["multiply_eight"] = (
        (2**254 % MEASURED.ORDER).to_bytes(32, "little"),
        lambda chance: chance.randrange(MEASURED.ORDER).to_bytes(32, "little"),
    )


def measure(name: str, tells: bool, measurements: int) -> float:
    """Welch's t for a function, or for its twin that tells its secret."""
    fixed, draw = FUNCTIONS[name]
    chance = random.Random()
    batch(name, tells, fixed, draw, chance)  # warms the processor up
    found = Comparison(batch(name, tells, fixed, draw, chance)[1])
    for _ in range(-(-measurements // BATCH)):
        found.add(*batch(name, tells, fixed, draw, chance))
    return found.t()


def batch(
    name: str,
    tells: bool,
    fixed: bytes,
    draw: Callable[[random.Random], bytes],
    chance: random.Random,
) -> tuple[list[int], list[int]]:
    """The kinds of a number of inputs, and the times that they took."""
    kinds = [chance.getrandbits(1) for _ in range(BATCH)]
    inputs = [draw(chance) if kind else fixed for kind in kinds]
    return kinds, MEASURED.nanoseconds(name, tells, b"".join(inputs), len(fixed))
