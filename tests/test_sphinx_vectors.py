"""Sphinx compared with vectors: inputs and outputs of the published implementation."""

import json
from pathlib import Path
from typing import Any

import pytest

from nym import _ciphers, errors, sphinx

VECTORS = Path(__file__).parent / "vectors"


def load(name: str) -> Any:
    return json.loads((VECTORS / name).read_text())


def unhex(case: dict[str, str], *names: str) -> list[bytes]:
    return [bytes.fromhex(case[name]) for name in names]


PACKETS = load("sphinx_packets.json")
REFUSED = load("sphinx_refused.json")
LIONESS = load("lioness.json")
CURVE = load("curve_products.json")

REASONS = {
    "bit flipped": errors.MacError,
    "one byte": errors.LengthError,
    "empty": errors.LengthError,
    "group element": errors.GroupElementError,
    "routing flag": errors.FlagError,
    "first 16 bytes": errors.PaddingError,
    "payload": errors.PaddingError,
    "bytes that are not zero": errors.PaddingError,
    "inner destination": errors.DestinationError,
}


def route_of(case: dict[str, Any]) -> list[sphinx.Hop]:
    return [
        sphinx.Hop(bytes.fromhex(hop["address"]), bytes.fromhex(hop["public_key"]), hop["delay_ns"])
        for hop in case["route"]
    ]


def test_every_set_has_cases() -> None:
    assert len(PACKETS) == 9
    assert {len(case["route"]) for case in PACKETS} == {1, 2, 3, 4, 5}
    assert len(REFUSED) == 23
    assert len(LIONESS) >= 2
    assert len(CURVE["products"]) == 70
    assert len(CURVE["scalar_products"]) == 8


@pytest.mark.parametrize("case", PACKETS)
def test_packets_are_created_byte_for_byte(case: dict[str, Any]) -> None:
    message, destination, identifier, secret, padding, packet = unhex(
        case, "message", "destination", "identifier", "secret", "padding", "packet"
    )
    created = sphinx.create_packet(
        message, route_of(case), destination, identifier, secret=secret, padding=padding
    )
    assert created == packet


@pytest.mark.parametrize("case", PACKETS)
def test_each_hop_derives_and_forwards_the_same(case: dict[str, Any]) -> None:
    packet = bytes.fromhex(case["packet"])
    for node, hop in zip(case["route"], case["hops"], strict=True):
        private_key, public_key = unhex(node, "private_key", "public_key")
        assert sphinx.public_key(private_key) == public_key
        shared = sphinx.multiply(private_key, packet[:32])
        assert shared.hex() == hop["shared_secret"]
        names = ("stream_key", "mac_key", "payload_key", "blinding_factor")
        assert [key.hex() for key in _ciphers.hop_keys(shared)] == [
            hop["keys"][name] for name in names
        ]
        result = sphinx.process_packet(packet, private_key)
        if "packet" in hop:
            next_address, packet = unhex(hop, "next_address", "packet")
            assert result == sphinx.Forward(next_address, hop["delay_ns"], packet)
        else:
            destination, identifier, payload, message = unhex(
                hop, "destination", "identifier", "payload", "message"
            )
            assert result == sphinx.Final(destination, identifier, payload)
            assert isinstance(result, sphinx.Final)
            assert result.message() == message == bytes.fromhex(case["message"])


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case["name"])
def test_refused_packets_are_refused_with_their_reason(case: dict[str, Any]) -> None:
    packet, private_key = unhex(case, "packet", "private_key")
    reason = next(error for words, error in REASONS.items() if case["name"].startswith(words))
    if case["refused_at"] == "process":
        with pytest.raises(reason):
            sphinx.process_packet(packet, private_key)
        return
    final = sphinx.process_packet(packet, private_key)
    assert isinstance(final, sphinx.Final)
    with pytest.raises(reason):
        final.message()


@pytest.mark.parametrize("case", LIONESS)
def test_lioness_both_ways(case: dict[str, str]) -> None:
    key, plaintext, ciphertext = unhex(case, "key", "plaintext", "ciphertext")
    assert _ciphers.lioness_encrypt(key, plaintext) == ciphertext
    assert _ciphers.lioness_decrypt(key, ciphertext) == plaintext


@pytest.mark.parametrize("case", CURVE["products"], ids=lambda case: case["scalar_is"])
def test_curve_products_by_unclamped_scalars(case: dict[str, str]) -> None:
    scalar, point, product = unhex(case, "scalar", "point", "product")
    assert sphinx.multiply(scalar, point) == product
    if point == (9).to_bytes(32, "little"):
        assert sphinx.public_key(scalar) == product
