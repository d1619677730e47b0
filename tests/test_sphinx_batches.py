"""Batches of packets give what single packets give, whichever way the products are made.

That is eight at once, or one by one, by the project's own ladder or by libsodium.
"""

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nym import _curve, _products, errors, sphinx
from nym._secrets import Secret
from nym.identity import generate_identity
from tests.extensions import extension
from tests.test_sphinx_properties import AWKWARD, routes

HERE = Path(__file__).parent
PRIMITIVES = extension(HERE / "primitives.pyx")
LANES = 8
SIZES = [0, 1, 2, 7, 8, 9, 17]
NODE = generate_identity()
P = 2**255 - 19
HOP = sphinx.Hop(bytes(32), NODE.public_key, 0)


def load(name: str) -> Any:
    return json.loads((HERE / "vectors" / name).read_text())


def unhex(case: dict[str, str], *names: str) -> list[bytes]:
    return [bytes.fromhex(case[name]) for name in names]


PACKETS = load("sphinx_packets.json")
REFUSED = load("sphinx_refused.json")
CURVE = load("curve_products.json")["products"]
X25519 = load("x25519.json")


@pytest.fixture(params=[(LANES, True), (1, True), (1, False)], ids=str, autouse=True)
def ways(request: pytest.FixtureRequest) -> Iterator[None]:
    """How many products are made at once, and whether single ones are by the own ladder."""
    at_once, is_own = request.param
    _products.set_at_once(at_once)
    _curve.use_own_ladder(is_own)
    if (_products.at_once(), _curve.has_own_ladder()) == request.param:
        yield
    else:
        pytest.skip("this processor has no lanes for products")
    _products.set_at_once(LANES)
    _curve.use_own_ladder(True)


def same(one: object, other: object) -> bool:
    """Whether both are equal, or errors that say the same."""
    if isinstance(one, errors.SphinxError):
        return type(one) is type(other) and str(one) == str(other)
    return one == other


def singly(packet: bytes, private_key: bytes | Secret) -> sphinx.Unwrapped | errors.SphinxError:
    try:
        return sphinx.unwrap(packet, private_key)
    except errors.SphinxError as error:
        return error


def request_of(case: dict[str, Any]) -> sphinx.Request:
    message, destination, identifier, secret, padding = unhex(
        case, "message", "destination", "identifier", "secret", "padding"
    )
    route = [
        sphinx.Hop(bytes.fromhex(hop["address"]), bytes.fromhex(hop["public_key"]), hop["delay_ns"])
        for hop in case["route"]
    ]
    return sphinx.Request(message, route, destination, identifier, secret, padding)


def test_packets_are_those_of_the_vectors() -> None:
    assert len(PACKETS) == 9  # with 1 to 5 hops
    created = sphinx.create_packets([request_of(case) for case in PACKETS])
    assert created == [bytes.fromhex(case["packet"]) for case in PACKETS]


@pytest.mark.parametrize("case", PACKETS)
def test_hops_of_the_vectors_are_unwrapped_among_others(case: dict[str, Any]) -> None:
    packet = bytes.fromhex(case["packet"])
    other = sphinx.create_packet(b"", [HOP], bytes(32))
    for node, hop in zip(case["route"], case["hops"], strict=True):
        private_key = bytes.fromhex(node["private_key"])
        found = sphinx.process_packets([other, packet, packet, other], private_key)
        assert [isinstance(one, errors.MacError) for one in found] == [True, False, False, True]
        assert found[1] == found[2]
        if "packet" in hop:
            next_address, packet = unhex(hop, "next_address", "packet")
            assert found[1] == sphinx.Forward(next_address, hop["delay_ns"], packet)
        else:
            assert found[1] == sphinx.Final(*unhex(hop, "destination", "identifier", "payload"))


def test_bad_packets_are_errors_among_good_ones() -> None:
    assert len(REFUSED) == 23
    for case in REFUSED:
        packet, private_key = unhex(case, "packet", "private_key")
        route = [HOP._replace(public_key=sphinx.public_key(private_key))]
        good = sphinx.create_packets([(b"hello", route, bytes(32))] * 4)
        found = sphinx.unwrap_packets([*good[:2], packet, *good[2:]], private_key)
        bad = found.pop(2)
        assert same(bad, singly(packet, private_key)), case["name"]
        assert isinstance(bad, errors.SphinxError) == (case["refused_at"] == "process")
        assert found == [singly(one, private_key) for one in good]


@pytest.mark.parametrize("size", SIZES)
def test_each_size_gives_what_single_packets_give(size: int) -> None:
    nodes = [generate_identity() for _ in range(5)]
    hops = [sphinx.Hop(bytes([i]) * 32, node.public_key, i) for i, node in enumerate(nodes)]
    requests = [
        sphinx.Request(
            bytes([i]) * i,
            hops[: i % 5 + 1],
            bytes([i]) * 32,
            secret=bytes(generate_identity().private_key),
            padding=bytes(300 - 60 * (i % 5) - 52),
        )
        for i in range(size)
    ]
    packets = sphinx.create_packets(requests)
    assert packets == [
        sphinx.create_packet(*one[:4], secret=one.secret, padding=one.padding) for one in requests
    ]
    key = nodes[0].private_key
    broken = [packet[:-1] if i % 4 == 3 else packet for i, packet in enumerate(packets)]
    found = sphinx.process_packets(broken, key)
    assert len(found) == size
    for i, (outcome, packet) in enumerate(zip(found, packets, strict=True)):
        if i % 4 == 3:
            assert isinstance(outcome, errors.LengthError)
        else:
            assert outcome == sphinx.process_packet(packet, key)


@settings(max_examples=25)
@given(st.lists(st.tuples(routes(), st.binary(max_size=975)), max_size=20))
def test_what_a_batch_makes_arrives(made: list[tuple[Any, bytes]]) -> None:
    destination = bytes(range(32))
    requests = [(message, hops, destination) for (_, hops), message in made]
    packets = sphinx.create_packets(requests)
    assert len({*packets}) == len(requests)  # each from a secret of its own
    for packet, ((nodes, _), message) in zip(packets, made, strict=True):
        for node in nodes[:-1]:
            forward = sphinx.process_packet(packet, node.private_key)
            assert isinstance(forward, sphinx.Forward)
            packet = forward.packet
        final = sphinx.process_packet(packet, nodes[-1].private_key)
        assert isinstance(final, sphinx.Final)
        assert final.message() == message


@settings(max_examples=50)
@given(st.lists(st.binary(min_size=1371, max_size=1373) | st.just(b""), max_size=10), st.data())
def test_any_packets_give_what_they_give_singly(packets: list[bytes], data: st.DataObject) -> None:
    good = sphinx.create_packet(b"hello", [HOP] * 2, bytes(32))
    packets.insert(data.draw(st.integers(0, len(packets))), good)
    found = sphinx.unwrap_packets(packets, NODE.private_key)
    assert len(found) == len(packets)
    assert all(map(same, found, [singly(packet, NODE.private_key) for packet in packets]))


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"message": bytes(976)}, errors.LengthError),
        ({"route": []}, errors.LengthError),
        ({"route": [HOP._replace(public_key=bytes(32))]}, errors.GroupElementError),
        ({"destination": bytes(31)}, errors.LengthError),
        ({"secret": bytes(32)}, errors.ScalarError),
        ({"route": [HOP._replace(delay=2**64)]}, OverflowError),
    ],
)
def test_one_wrong_request_is_an_error_for_all(wrong: Any, error: type[Exception]) -> None:
    good = sphinx.Request(b"hello", [HOP], bytes(32))
    with pytest.raises(error):
        sphinx.create_packets([good, good, good._replace(**wrong), good])


def test_a_private_key_has_its_length_and_a_packet_is_bytes() -> None:
    packet = sphinx.create_packet(b"hello", [HOP], bytes(32))
    with pytest.raises(errors.LengthError):
        sphinx.process_packets([packet], b"short")
    for other in (None, "text", bytearray(packet)):
        with pytest.raises(TypeError):
            sphinx.process_packets([packet, other], NODE.private_key)  # type: ignore[list-item]


def in_lanes(pairs: Sequence[tuple[bytes, bytes | None] | None]) -> list[bytes | Exception]:
    """The products of all pairs, as many at once as there are lanes."""
    found: list[bytes | Exception] = []
    for first in range(0, len(pairs), LANES):
        found += PRIMITIVES.products_of(list(pairs[first : first + LANES]))
    return found


def test_products_in_lanes_are_those_of_the_vectors() -> None:
    assert len(CURVE) == 70
    found = in_lanes([(bytes.fromhex(c["scalar"]), bytes.fromhex(c["point"])) for c in CURVE])
    assert found == [bytes.fromhex(case["product"]) for case in CURVE]
    by_base = [case for case in CURVE if case["point"] == f"09{'00' * 31}"]
    assert len(by_base) > LANES
    found = in_lanes([(bytes.fromhex(case["scalar"]), None) for case in by_base])
    assert found == [bytes.fromhex(case["product"]) for case in by_base]


def test_products_in_lanes_are_x25519s() -> None:
    """Points of low order, not reduced, or with the top bit set are among these."""
    pairs = []
    for case in X25519:
        scalar, point = bytearray.fromhex(case["private_key"]), bytes.fromhex(case["public_key"])
        scalar[0] &= 0xF8
        scalar[31] = scalar[31] & 0x7F | 0x40
        pairs.append((bytes(scalar), point))
    assert len(pairs) == 518
    for case, found in zip(X25519, in_lanes(pairs), strict=True):
        shared = bytes.fromhex(case["shared"])
        if any(shared):
            assert found == shared, case
        else:
            assert isinstance(found, errors.GroupElementError), case


def test_products_in_lanes_are_right_for_special_points() -> None:
    """Numbers near powers of two, and near multiples of p/2, have special limbs."""
    near = [*(2**i for i in range(256)), P // 2, P, P + P // 2, 2 * P]
    points = [(one + d) % 2**256 for one in near for d in (-20, -19, -2, -1, 0, 1, 2, 19, 20)]
    scalar = bytes(NODE.private_key)
    pairs = [(scalar, point.to_bytes(32, "little")) for point in points]
    for pair, found in zip(pairs, in_lanes(pairs), strict=True):
        try:
            assert found == sphinx.multiply(*pair)
        except errors.GroupElementError:
            assert isinstance(found, errors.GroupElementError)


def test_scalars_without_a_clamped_form_are_among_others() -> None:
    point, usual, zero = NODE.public_key, bytes(NODE.private_key), bytes(32)
    awkward = [scalar.to_bytes(32, "little") for scalar in AWKWARD]
    scalars = list(itertools.chain.from_iterable((one, usual, zero) for one in awkward))
    found = in_lanes([(scalar, point) for scalar in scalars])
    by_base = in_lanes([(scalar, None) for scalar in scalars])
    for scalar, one, other in zip(scalars, found, by_base, strict=True):
        if scalar == zero:
            assert isinstance(one, errors.ScalarError)
            assert isinstance(other, errors.ScalarError)
        else:
            assert one == sphinx.multiply(scalar, point)
            assert other == sphinx.public_key(scalar)


@pytest.mark.parametrize("busy", range(1, 1 << 5))
def test_lanes_that_have_nothing_to_do_are_left_alone(busy: int) -> None:
    pair = (bytes(NODE.private_key), NODE.public_key)
    chosen = [pair if busy >> i & 1 else None for i in range(5)]
    found = PRIMITIVES.products_of([pair, *chosen])
    product = sphinx.multiply(*pair)
    assert found == [product, *(product if one else bytes(32) for one in chosen)]
