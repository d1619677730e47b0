"""Single products by the project's own ladder are those of libsodium.

Scalars here have the clamped form, so that both take them as they are.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import pysodium
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nym import _curve, errors, sphinx

P = 2**255 - 19
X25519 = json.loads((Path(__file__).parent / "vectors" / "x25519.json").read_text())
# The least and the largest, and with a single bit or a single zero beside them.
SCALARS = [2**254, 2**255 - 8, *(2**254 + 2**i for i in (3, 50, 51, 63, 64, 191, 192, 253))]
SCALARS += [2**255 - 8 - 2**i for i in (3, 50, 51, 63, 64, 191, 192, 253)]
LIMBS = st.sampled_from([0, 1, 18, 19, 2**50, 2**51 - 20, 2**51 - 19, 2**51 - 2, 2**51 - 1])


@pytest.fixture(params=[True, False], ids=["own", "libsodium"], autouse=True)
def way(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whose products these are. Libsodium's are there to test the tests."""
    _curve.use_own_ladder(request.param)
    if _curve.has_own_ladder() == request.param:
        yield
    else:
        pytest.skip("this processor has no lanes for products")
    _curve.use_own_ladder(True)


def clamped(scalar: bytes) -> bytes:
    return bytes([scalar[0] & 0xF8, *scalar[1:31], scalar[31] & 0x7F | 0x40])


def ours(scalar: bytes, point: bytes) -> bytes | None:
    """The product, or None if it is refused."""
    try:
        return sphinx.multiply(scalar, point)
    except errors.GroupElementError:
        return None


def libsodiums(scalar: bytes, point: bytes) -> bytes | None:
    try:
        product: bytes = pysodium.crypto_scalarmult_curve25519(scalar, point)
    except ValueError:
        return None
    return product


def of_limbs(limbs: Iterable[int]) -> bytes:
    """A point, to the base 2^51, with any top bit."""
    return sum(limb << (51 * i) for i, limb in enumerate(limbs)).to_bytes(32, "little")


def test_products_of_the_vectors() -> None:
    """Points of low order, not reduced, or with the top bit set are among these."""
    assert len(X25519) == 518
    for case in X25519:
        scalar, point = (bytes.fromhex(case[name]) for name in ("private_key", "public_key"))
        shared = bytes.fromhex(case["shared"])
        assert ours(clamped(scalar), point) == (shared if any(shared) else None), case


def test_products_in_turn() -> None:
    """The thousand of RFC 7748, section 5.2, where each product is the next scalar."""
    scalar = point = (9).to_bytes(32, "little")
    for _ in range(1000):
        product = ours(clamped(scalar), point)
        assert product
        scalar, point = product, scalar
    assert scalar.hex() == "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"


def test_products_of_special_points() -> None:
    """Numbers near powers of two, and near multiples of p/2, have special limbs."""
    near = [0, *(2**i for i in range(256)), P // 2, P, P + P // 2, 2 * P]
    points = sorted(
        {(one + d) % 2**256 for one in near for d in (-20, -19, -2, -1, 0, 1, 2, 19, 20)}
    )
    refused = 0
    for i, number in enumerate(points):
        scalar, point = (one.to_bytes(32, "little") for one in (SCALARS[i % len(SCALARS)], number))
        product = ours(scalar, point)
        assert product == libsodiums(scalar, point), (scalar.hex(), point.hex())
        refused += product is None
    assert refused == 10  # 0, 1, p - 1, p, p + 1, and the same with the top bit


@settings(max_examples=300)
@given(
    st.binary(min_size=32, max_size=32)
    | st.sampled_from([s.to_bytes(32, "little") for s in SCALARS]),
    st.binary(min_size=32, max_size=32)
    | st.tuples(LIMBS, LIMBS, LIMBS, LIMBS, st.integers(0, 2**52 - 1) | LIMBS).map(of_limbs),
)
def test_any_products(scalar: bytes, point: bytes) -> None:
    scalar = clamped(scalar)
    assert ours(scalar, point) == libsodiums(scalar, point)
    assert sphinx.public_key(scalar) == pysodium.crypto_scalarmult_curve25519_base(scalar)
