"""Sessions of Noise_XK compared with those of two published implementations, and what they refuse.

tests/vectors/README.md says where the vectors come from.
"""

import copy
import ctypes
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nym import sphinx
from nym._noise import Session, initiate, respond
from nym._secrets import exchange_public_key, random_scalar
from nym.errors import GroupElementError, LengthError, LineError
from nym.identity import generate_identity
from nym.signing import generate_signer

CASES = json.loads((Path(__file__).parent / "vectors" / "noise_xk.json").read_text())
PROLOGUE = b"a test"
# Points of order 1, 2, 4 and 8, and encodings of them that aren't reduced or have the top bit set.
LOW_ORDER = [
    bytes(32),
    (1).to_bytes(32, "little"),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    (2**255 - 20).to_bytes(32, "little"),
    (2**255 - 19).to_bytes(32, "little"),
    (2**255 - 18).to_bytes(32, "little"),
    ((1 << 255) + 1).to_bytes(32, "little"),
]


def clamped(scalar: str) -> bytes:
    """What X25519 makes of a private key before it multiplies (RFC 7748, section 5)."""
    number = bytearray.fromhex(scalar)
    number[0] &= 0xF8
    number[31] = number[31] & 0x7F | 0x40
    return bytes(number)


def keys(private_key: bytes) -> tuple[bytes, bytes]:
    """A pair of keys."""
    return private_key, sphinx.public_key(private_key)


def pair(prologue: bytes = PROLOGUE) -> tuple[Session, Session, bytes]:
    """Both sides of a session, and the initiator's public key."""
    own, remote = generate_identity(), generate_signer().exchange_keys()
    one = initiate(own, remote[1], PROLOGUE)
    return one, respond(remote, prologue), own.public_key


def shake_hands(one: Session, other: Session) -> None:
    for _ in range(3):
        assert other.read(one.write(b"payload")) == b"payload"
        one, other = other, one


def test_the_set_has_cases() -> None:
    assert {case["from"] for case in CASES} == {"cacophony", "snow", "noiseprotocol"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["from"])
def test_sessions_as_published(case: dict[str, Any]) -> None:
    prologue = bytes.fromhex(case["prologue"])
    # A static key of ours isn't clamped; the others' implementation had another scalar for it.
    static = bytes.fromhex(case.get("address_key", "")) or clamped(case["init_static"])
    remote = bytes.fromhex(case["resp_public"])
    initiator = initiate(keys(static), remote, prologue, clamped(case["init_ephemeral"]))
    own = clamped(case["resp_static"]), remote
    responder = respond(own, prologue, clamped(case["resp_ephemeral"]))
    writer, reader = initiator, responder
    assert len(case["messages"]) >= 5
    for message in case["messages"]:
        payload = bytes.fromhex(message["payload"])
        written = writer.write(payload)
        assert written.hex() == message["ciphertext"]
        assert reader.read(written) == payload
        writer, reader = reader, writer
    assert responder.remote == sphinx.public_key(static)


@given(st.lists(st.binary(max_size=200), min_size=3, max_size=12))
def test_both_sides_read_what_the_other_one_writes(payloads: list[bytes]) -> None:
    one, other, address = pair()
    written = set()
    responder = other
    for number, payload in enumerate(payloads):
        message = one.write(payload)
        overhead = (48, 48, 64)[number] if number < 3 else 16
        assert len(message) == len(payload) + overhead
        assert other.read(message) == payload
        written.add(message)
        one, other = other, one
    assert len(written) == len(payloads)
    assert responder.remote == address


def test_after_the_handshake_either_side_may_write_and_no_message_can_be_repeated() -> None:
    one, other, _ = pair()
    shake_hands(one, other)
    first, second = one.write(b"same"), one.write(b"same")
    assert first != second
    assert other.read(first) == b"same"
    with pytest.raises(LineError):
        other.read(first)


@given(st.integers(0, 3), st.data())
def test_a_message_that_was_changed_or_cut_ends_the_session(step: int, data: st.DataObject) -> None:
    one, other, _ = pair()
    responder = other
    for _ in range(step):
        other.read(one.write(b"payload"))
        one, other = other, one
    message = one.write(b"payload")
    place = data.draw(st.integers(0, 8 * len(message) - 1))
    changed = int.from_bytes(message, "little") ^ 1 << place
    wrong = data.draw(
        st.sampled_from(
            [
                changed.to_bytes(len(message), "little"),
                message[: place // 8],
                message + b"\0",
                bytes(len(message)),
            ]
        )
    )
    with pytest.raises(LineError):
        other.read(wrong)
    if other is responder and step < 3:
        assert other.remote is None
    # Nor does the right message help then: whoever changes one gets no second attempt.
    with pytest.raises(ValueError, match="turn"):
        other.read(message)
    with pytest.raises(ValueError, match="turn"):
        other.write(b"")


def test_each_side_has_its_turn() -> None:
    one, other, _ = pair()
    with pytest.raises(ValueError, match="turn"):
        other.write(b"")
    with pytest.raises(ValueError, match="turn"):
        one.read(bytes(48))
    message = one.write(b"")
    with pytest.raises(ValueError, match="turn"):
        one.write(b"")
    assert other.read(message) == b""


def test_a_message_has_65535_bytes_at_most() -> None:
    one, other, _ = pair()
    with pytest.raises(ValueError, match="long"):
        one.write(bytes(65535 - 47))
    assert len(other.read(one.write(bytes(65535 - 48)))) == 65535 - 48
    with pytest.raises(LineError):
        one.read(bytes(65536))


def test_another_prologue_or_another_responder_is_refused() -> None:
    one, other, _ = pair(b"another protocol")
    with pytest.raises(LineError):
        other.read(one.write(b""))
    one, other = pair()[0], pair()[1]
    with pytest.raises(LineError):
        other.read(one.write(b""))


def test_a_public_key_without_its_private_key_proves_nothing() -> None:
    victim, attacker = generate_identity(), generate_identity()
    both = attacker.private_key, victim.public_key
    one, other = initiate(both, attacker.public_key, PROLOGUE), respond(attacker, PROLOGUE)
    other.read(one.write(b""))
    one.read(other.write(b""))
    with pytest.raises(LineError):
        other.read(one.write(b""))
    assert other.remote is None
    one, other = initiate(attacker, victim.public_key, PROLOGUE), respond(both, PROLOGUE)
    with pytest.raises(LineError):
        other.read(one.write(b""))


@pytest.mark.parametrize("point", LOW_ORDER, ids=bytes.hex)
def test_points_of_low_order_are_refused_everywhere(point: bytes) -> None:
    with pytest.raises(LineError):
        initiate(generate_identity(), point, PROLOGUE).write(b"")
    one, other, _ = pair()
    with pytest.raises(LineError):
        other.read(point + one.write(b"")[32:])
    one, other, _ = pair()
    other.read(one.write(b""))
    with pytest.raises(LineError):
        one.read(point + other.write(b"")[32:])


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: initiate(generate_identity(), bytes(31), b""), LengthError),
        (lambda: initiate((random_scalar(), bytes(31)), bytes(32), b""), LengthError),
        (lambda: initiate((bytes(31), bytes(32)), bytes(32), b""), LengthError),
        (lambda: respond((random_scalar(), bytes(33)), b""), LengthError),
        (lambda: respond((bytes(33), bytes(32)), b""), LengthError),
        (lambda: respond(generate_identity(), b"", bytes(31)), LengthError),
        (lambda: exchange_public_key(bytes(31)), LengthError),
        (lambda: exchange_public_key(bytes(32)), GroupElementError),
        (lambda: exchange_public_key((2).to_bytes(32, "little")), GroupElementError),
    ],
)
def test_keys_that_cannot_be_are_errors(make: Callable[[], object], error: type[Exception]) -> None:
    with pytest.raises(error):
        make()


def test_an_identity_has_one_pair_of_keys_for_exchanges() -> None:
    signer = generate_signer()
    private_key, public_key = signer.exchange_keys()
    assert public_key == sphinx.public_key(private_key)
    assert public_key == exchange_public_key(signer.public_key) != signer.public_key


def test_a_session_shows_no_secret_and_cannot_be_copied() -> None:
    one, _, _ = pair()
    assert {name for name in dir(one) if not name.startswith("_")} == {"read", "remote", "write"}
    with pytest.raises(TypeError):
        copy.copy(one)


def held(session: Session, *secrets: bytes) -> list[bool]:
    """Whether the memory of the session has each of these secrets in it."""
    memory = ctypes.string_at(id(session), type(session).__basicsize__)
    return [secret in memory for secret in secrets]


def test_a_session_wipes_what_it_needs_no_more() -> None:
    static, ephemeral = bytes(random_scalar()), bytes(random_scalar())
    remote = generate_signer().exchange_keys()
    for is_refused in (False, True):
        one = initiate(keys(static), remote[1], PROLOGUE, ephemeral)
        other = respond(remote, PROLOGUE)
        other.read(one.write(b""))
        assert held(one, ephemeral) == [True]
        second = other.write(b"")
        if is_refused:
            with pytest.raises(LineError):
                one.read(bytes(48))
        else:
            one.read(second)
            one.write(b"")
        products = [sphinx.multiply(ephemeral, point) for point in (remote[1], second[:32])]
        products.append(sphinx.multiply(static, second[:32]))
        assert held(one, static, ephemeral, *products) == [False] * 5
