"""Secrets don't stay on the C stack after a function has returned, or raised an error.

Tests search the process's own stack for keys, and for addresses, which show who talks to whom.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from nym import _ciphers, _noise, _sphinx, errors, sphinx
from tests.extensions import extension
from tests.test_sphinx_properties import L
from tests.xk import Initiator

VECTORS = Path(__file__).parent / "vectors"
CASE = max(
    json.loads((VECTORS / "sphinx_packets.json").read_text()), key=lambda case: len(case["hops"])
)
ROUTE = [
    sphinx.Hop(bytes.fromhex(hop["address"]), bytes.fromhex(hop["public_key"]), hop["delay_ns"])
    for hop in CASE["route"]
]
PACKET = bytes.fromhex(CASE["packet"])
PRIVATE_KEY = bytes.fromhex(CASE["route"][0]["private_key"])
DESTINATION = bytes.fromhex(CASE["destination"])
IDENTIFIER = b"an identifier 16"


def stack() -> bytes:
    """All bytes of this process's stack, including those that are no longer in use."""
    maps = Path("/proc/self/maps").read_text()
    match = re.search(r"^([0-9a-f]+)-([0-9a-f]+) .*\[stack\]$", maps, re.MULTILINE)
    assert match is not None
    begin, end = int(match[1], 16), int(match[2], 16)
    with open("/proc/self/mem", "rb", buffering=0) as memory:
        memory.seek(begin)
        return memory.read(end - begin)


def left_behind(secrets: list[str]) -> list[str]:
    """The secrets, in hex, whose first half is somewhere on the stack."""
    content = stack()
    halves = {secret: bytes.fromhex(secret[: len(secret) // 2]) for secret in secrets}
    return [secret for secret, half in halves.items() if half in content]


def deep(work: Callable[[], None], depth: int = 64) -> None:
    """Do the work so deep in the stack that the search doesn't overwrite what it left there."""
    if depth == 0:
        work()
    else:  # through `partial`, which is C: calls between Python functions take no room there
        partial(deep, work, depth - 1)()


def hop_secrets(hops: list[dict[str, dict[str, str]]]) -> list[str]:
    secrets = [str(hop["shared_secret"]) for hop in hops]
    for hop in hops:
        secrets += [hop["keys"][name] for name in ("stream_key", "mac_key", "payload_key")]
        secrets.append(hop["keys"]["blinding_factor"])
    return secrets


def create() -> None:
    secret, padding, message = (
        bytes.fromhex(CASE[name]) for name in ("secret", "padding", "message")
    )
    packet = sphinx.create_packet(message, ROUTE, DESTINATION, secret=secret, padding=padding)
    assert packet == PACKET


def create_eight() -> None:
    secret, padding, message = (
        bytes.fromhex(CASE[name]) for name in ("secret", "padding", "message")
    )
    one = sphinx.Request(message, ROUTE, DESTINATION, secret=secret, padding=padding)
    assert sphinx.create_packets([one] * 8) == [PACKET] * 8


def refuse() -> None:
    with pytest.raises(errors.MacError):
        sphinx.process_packet(PACKET[:32] + bytes(16) + PACKET[48:], PRIVATE_KEY)


RESULTS: list[object] = []  # kept, because freeing them would write over the stack


def forward() -> None:
    RESULTS.append(_sphinx.process_packet(PACKET, PRIVATE_KEY))


def forward_eight() -> None:
    RESULTS.append(_sphinx.process_packets([PACKET] * 8, PRIVATE_KEY))


def arrive() -> None:
    packet = bytes.fromhex(CASE["hops"][-2]["packet"])
    private_key = bytes.fromhex(CASE["route"][-1]["private_key"])
    RESULTS.append(_sphinx.process_packet(packet, private_key))


@pytest.mark.parametrize(
    ("work", "hops"),
    [
        (create, CASE["hops"]),
        (create_eight, CASE["hops"]),
        (forward, CASE["hops"][:1]),
        (forward_eight, CASE["hops"][:1]),
        (arrive, CASE["hops"][-1:]),
        (refuse, CASE["hops"][:1]),
    ],
)
def test_keys_are_wiped(work: Callable[[], None], hops: list[dict[str, dict[str, str]]]) -> None:
    secrets = hop_secrets(hops)
    assert not left_behind(secrets), "the secrets are on the stack before the test does anything"
    deep(work)
    assert not left_behind(secrets)


@pytest.mark.parametrize("count", [1, 8])
def test_scalars_of_products_are_wiped(count: int) -> None:
    primitives = extension(Path(__file__).parent / "primitives.pyx")
    eighth = int.from_bytes(PRIVATE_KEY, "little") * pow(8, -1, L) % L
    clamped = 8 * (eighth if eighth >> 251 == 1 else L - eighth)
    # Each word of a scalar is in all four lanes. Of eight, it is beside those of the others, which
    # are equal here.
    words = [(clamped >> 64 * i) % 2**64 for i in range(4)]
    secrets = [word.to_bytes(8, "little").hex() * 4 for word in words]
    assert not left_behind(secrets), "the secrets are on the stack before the test does anything"
    found = primitives.products_of([(PRIVATE_KEY, PACKET[:32])] * count)
    assert not left_behind(secrets)
    assert found == [sphinx.multiply(PRIVATE_KEY, PACKET[:32])] * count


def refuse_to_create(
    error: type[Exception], *more: sphinx.Hop, route: Sequence[sphinx.Hop] = ROUTE[:4], **wrong: Any
) -> None:
    arguments = {"message": b"", "destination": DESTINATION, "identifier": IDENTIFIER} | wrong
    with pytest.raises(error):
        sphinx.create_packet(route=[*route, *more], **arguments)


REFUSALS: dict[str, Callable[[], None]] = {
    "a short address": partial(
        refuse_to_create, errors.LengthError, sphinx.Hop(b"short", ROUTE[4].public_key, 0)
    ),
    "a short key": partial(
        refuse_to_create, errors.LengthError, sphinx.Hop(ROUTE[4].address, b"short", 0)
    ),
    "a key of low order": partial(
        refuse_to_create, errors.GroupElementError, sphinx.Hop(ROUTE[4].address, bytes(32), 0)
    ),
    "a long delay": partial(refuse_to_create, OverflowError, ROUTE[4]._replace(delay=1 << 64)),
    "no hop": partial(refuse_to_create, TypeError, cast("sphinx.Hop", None)),
    "a short identifier": partial(refuse_to_create, errors.LengthError, identifier=b"short"),
    "a short padding": partial(refuse_to_create, errors.LengthError, padding=b"short"),
    "a short secret": partial(refuse_to_create, errors.LengthError, secret=b"short"),
    "a secret of zero": partial(refuse_to_create, errors.ScalarError, secret=bytes(32)),
}
PLACES = [hop.address.hex() for hop in ROUTE] + [hop.public_key.hex() for hop in ROUTE]
WHO_AND_WHERE = [*PLACES, CASE["destination"], IDENTIFIER.hex()]


@pytest.mark.parametrize(
    "work",
    [create, create_eight, forward, forward_eight, arrive, *REFUSALS.values()],
    ids=["create", "create eight", "forward", "forward eight", "arrive", *REFUSALS],
)
def test_who_talks_to_whom_is_wiped(work: Callable[[], None]) -> None:
    assert not left_behind(WHO_AND_WHERE), (
        "the addresses are on the stack before the test does anything"
    )
    deep(work)
    assert not left_behind(WHO_AND_WHERE)


def test_a_payload_is_wiped() -> None:
    block, key = bytes(range(256)) * 4, bytes(192)

    def work() -> None:
        _ciphers.lioness_encrypt(key, block)
        with pytest.raises(errors.LengthError):
            _ciphers.lioness_encrypt(b"short", block)

    deep(work)
    assert not left_behind([block[:64].hex()])


class Watched(list[sphinx.Hop]):
    """A route that searches the stack after its first hop was taken, while the rest is to come."""

    def __iter__(self) -> Iterator[sphinx.Hop]:
        yield self[0]
        self.seen = left_behind(WHO_AND_WHERE)
        yield from self[1:]


def test_the_search_finds_what_is_there() -> None:
    route = Watched(ROUTE)
    sphinx.create_packet(b"", route, DESTINATION)
    assert ROUTE[0].address.hex() in route.seen
    assert ROUTE[0].public_key.hex() in route.seen


def test_keys_of_a_session_are_wiped() -> None:
    static, responding, first, other = (bytes(range(n, n + 32)) for n in range(1, 5))
    public, remote, prologue = sphinx.public_key(static), sphinx.public_key(responding), b""
    # Another implementation computes the secrets of the same session.
    same = Initiator(static, public, remote, prologue, first)
    one = _noise.initiate((static, public), remote, prologue, first)
    two = _noise.respond((responding, remote), prologue, other)
    assert two.read(same.first()) == b""
    second = two.write(b"")
    same.second(second)
    point = sphinx.public_key(other)
    products = [(first, remote), (first, point), (static, point)]
    secrets = [static, responding, first, other, *(sphinx.multiply(*pair) for pair in products)]
    secrets += [same._ck, same._key]
    third = same.third(b"")
    secrets += [same._ck, same._key, same._receiving]

    def work() -> None:
        again = _noise.respond((responding, remote), prologue, other)
        RESULTS.append(again.read(one.write(b"")))
        assert again.write(b"") == second
        RESULTS.append(one.read(second))
        assert one.write(b"") == third
        RESULTS.append(again.read(third))
        RESULTS.append(one.read(again.write(b"answer")))
        with pytest.raises(errors.LineError):
            _noise.respond((responding, remote), prologue, other).read(bytes(48))

    names = [secret.hex() for secret in secrets]
    assert not left_behind(names), "the secrets are on the stack before the test does anything"
    deep(work)
    assert not left_behind(names)
