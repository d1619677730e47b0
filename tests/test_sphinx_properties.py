"""Sphinx with random routes and messages, and products of points by every kind of scalar."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nym import _padding, errors, sphinx
from nym.identity import Identity, generate_identity
from nym.wire.sizes import LONGEST_MESSAGE, PACKET_LENGTH

KEYS = [generate_identity() for _ in range(5)]
HEADER = 348  # bytes; the rest of a packet is the payload
TOP_BIT_OF_ALPHA = 255
L = 2**252 + 27742317777372353535851937790883648493  # the order of Curve25519's group (RFC 7748)

addresses = st.binary(min_size=32, max_size=32)
messages = st.binary(max_size=LONGEST_MESSAGE)


@st.composite
def routes(draw: st.DrawFn) -> tuple[list[Identity], list[sphinx.Hop]]:
    nodes = draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=5))
    delays = st.integers(0, 2**64 - 1)
    return nodes, [sphinx.Hop(draw(addresses), n.public_key, draw(delays)) for n in nodes]


@given(routes(), messages, addresses, st.binary(min_size=16, max_size=16))
def test_every_hop_sees_what_it_must_and_the_last_the_message(
    route: tuple[list[Identity], list[sphinx.Hop]],
    message: bytes,
    destination: bytes,
    identifier: bytes,
) -> None:
    nodes, hops = route
    packet = sphinx.create_packet(message, hops, destination, identifier)
    for i, node in enumerate(nodes[:-1]):
        assert len(packet) == PACKET_LENGTH
        forward = sphinx.process_packet(packet, node.private_key)
        assert isinstance(forward, sphinx.Forward)
        assert (forward.address, forward.delay) == (hops[i + 1].address, hops[i].delay)
        packet = forward.packet
    final = sphinx.process_packet(packet, nodes[-1].private_key)
    assert isinstance(final, sphinx.Final)
    assert (final.destination, final.identifier) == (destination, identifier)
    assert sphinx.recover_message(final.payload) == (destination, message)
    assert final.message() == message


@pytest.mark.parametrize("tail", [b"\x01", b"\x01\x00\x00", b"\x00" * 9, b"\x01" * 40, b""])
@pytest.mark.parametrize("length", [0, 1, 500, LONGEST_MESSAGE - 40])
def test_messages_keep_their_last_bytes(tail: bytes, length: int) -> None:
    message = bytes(length) + tail
    route = [sphinx.Hop(bytes(32), KEYS[0].public_key, 0)]
    final = sphinx.process_packet(
        sphinx.create_packet(message, route, bytes(32)), KEYS[0].private_key
    )
    assert isinstance(final, sphinx.Final)
    assert final.message() == message


def test_every_flipped_bit_of_a_header_is_refused() -> None:
    route = [sphinx.Hop(bytes([i]) * 32, key.public_key, i) for i, key in enumerate(KEYS[:3])]
    packet = sphinx.create_packet(b"hello", route, bytes(32))
    for bit in range(8 * HEADER):
        changed = bytearray(packet)
        changed[bit // 8] ^= 1 << (bit % 8)
        if bit == TOP_BIT_OF_ALPHA:
            assert isinstance(
                sphinx.process_packet(bytes(changed), KEYS[0].private_key), sphinx.Forward
            )
            continue
        with pytest.raises(errors.MacError):
            sphinx.process_packet(bytes(changed), KEYS[0].private_key)


@given(st.integers(8 * HEADER, 8 * PACKET_LENGTH - 1))
def test_a_flipped_bit_of_a_payload_is_refused_at_the_end(bit: int) -> None:
    route = [sphinx.Hop(bytes([i]) * 32, key.public_key, i) for i, key in enumerate(KEYS[:2])]
    changed = bytearray(sphinx.create_packet(b"hello", route, bytes(32)))
    changed[bit // 8] ^= 1 << (bit % 8)
    forward = sphinx.process_packet(bytes(changed), KEYS[0].private_key)
    assert isinstance(forward, sphinx.Forward)
    final = sphinx.process_packet(forward.packet, KEYS[1].private_key)
    assert isinstance(final, sphinx.Final)
    with pytest.raises(errors.PaddingError):
        final.message()


@given(st.binary(min_size=PACKET_LENGTH, max_size=PACKET_LENGTH))
def test_random_packets_are_refused(packet: bytes) -> None:
    with pytest.raises((errors.MacError, errors.GroupElementError)):
        sphinx.process_packet(packet, KEYS[0].private_key)


@given(st.binary(max_size=1024), st.sampled_from([b"", b"\x01", b"\x01\x00"]))
def test_recovering_is_the_inverse_of_padding_or_a_typed_error(body: bytes, end: bytes) -> None:
    payload = (bytes(16) + body + end).ljust(1024, b"\0")
    try:
        destination, message = sphinx.recover_message(payload)
    except errors.SphinxError:
        return
    assert _padding.pad(destination, message) == payload


def test_two_packets_of_the_same_message_share_nothing() -> None:
    route = [sphinx.Hop(bytes(32), key.public_key, 0) for key in KEYS]
    one, other = (sphinx.create_packet(b"hello", route, bytes(32)) for _ in range(2))
    assert one[:32] != other[:32]
    # By chance, one byte of 256 is the same in both, which are about five.
    assert sum(a == b for a, b in zip(one, other, strict=True)) < 40


def test_the_last_block_is_filled_at_random() -> None:
    route = [sphinx.Hop(bytes(32), KEYS[0].public_key, 0)]
    secret = bytes(KEYS[1].private_key)
    one, other = (sphinx.create_packet(b"x", route, bytes(32), secret=secret) for _ in range(2))
    assert one[:32] == other[:32]
    assert one[48:100] == other[48:100]  # the fields of the last block, from flag to identifier
    assert sum(a == b for a, b in zip(one[100:348], other[100:348], strict=True)) < 15
    assert one[348:] == other[348:]


def product(scalar: int, point: bytes) -> bytes:
    """The product of a point by a scalar: the Montgomery ladder of RFC 7748, without clamping."""
    p = 2**255 - 19
    x1 = int.from_bytes(point, "little") % p
    x2, z2, x3, z3 = 1, 0, x1, 1
    for bit in f"{scalar:b}":
        if bit == "1":
            x2, x3, z2, z3 = x3, x2, z3, z2
        total, difference = x2 + z2, x2 - z2
        da, cb = (x3 - z3) * total, (x3 + z3) * difference
        x3, z3 = (da + cb) ** 2 % p, x1 * (da - cb) ** 2 % p
        aa, bb = total**2, difference**2
        x2, z2 = aa * bb % p, (aa - bb) * (aa + 121665 * (aa - bb)) % p
        if bit == "1":
            x2, x3, z2, z3 = x3, x2, z3, z2
    return (x2 * pow(z2, p - 2, p) % p).to_bytes(32, "little")


# Scalars without a clamped form, which are 8t with |t| <= l - 2^252, and their neighbours at the
# edges. libsodium can't multiply by them directly.
EDGE = L - 2**252
AWKWARD = [
    8 * (t + offset) % L
    for t in (0, EDGE, -EDGE, 2**251, 2**252, EDGE // 2, 2**124)
    for offset in (-2, -1, 0, 1, 2)
    if (t + offset) % L
]


@pytest.mark.parametrize("scalar", AWKWARD)
def test_products_by_awkward_scalars(scalar: int) -> None:
    point = KEYS[0].public_key
    encoded = scalar.to_bytes(32, "little")
    assert sphinx.multiply(encoded, point) == product(scalar, point)
    assert sphinx.public_key(encoded) == product(scalar, (9).to_bytes(32, "little"))


@settings(max_examples=50)
@given(st.integers(-EDGE, EDGE).filter(bool) | st.integers(1, L - 1))
def test_products_by_any_scalar(t: int) -> None:
    scalar, point = 8 * t % L, KEYS[1].public_key
    assert sphinx.multiply(scalar.to_bytes(32, "little"), point) == product(scalar, point)


@pytest.mark.parametrize("zero", [0, L, 2 * L])
def test_zero_is_no_secret(zero: int) -> None:
    with pytest.raises(errors.ScalarError):
        sphinx.multiply(zero.to_bytes(32, "little"), KEYS[0].public_key)
    with pytest.raises(errors.ScalarError):
        sphinx.public_key(zero.to_bytes(32, "little"))


def test_what_a_packet_is_made_of_is_checked() -> None:
    good = sphinx.Hop(bytes(32), KEYS[0].public_key, 0)
    with pytest.raises(errors.LengthError):
        sphinx.create_packet(bytes(LONGEST_MESSAGE + 1), [good], bytes(32))
    for route in ([], [good] * 6, [good._replace(address=b"")], [good._replace(public_key=b"1")]):
        with pytest.raises(errors.LengthError):
            sphinx.create_packet(b"", route, bytes(32))
    with pytest.raises(errors.GroupElementError):
        sphinx.create_packet(b"", [good._replace(public_key=bytes(32))], bytes(32))
    with pytest.raises(errors.LengthError):
        sphinx.create_packet(b"", [good], bytes(31))
    with pytest.raises(errors.LengthError):
        sphinx.create_packet(b"", [good], bytes(32), bytes(15))
    with pytest.raises(errors.LengthError):
        sphinx.create_packet(b"", [good], bytes(32), padding=bytes(7))
    for delay in (-1, 2**64):
        with pytest.raises(OverflowError):
            sphinx.create_packet(b"", [good._replace(delay=delay)], bytes(32))


def test_errors_do_not_show_secrets() -> None:
    with pytest.raises(errors.LengthError) as caught:
        sphinx.process_packet(bytes(PACKET_LENGTH), b"a secret")
    assert "a secret" not in str(caught.value)
