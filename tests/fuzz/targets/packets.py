"""What strangers send: node addresses, packets, envelopes.

Random bytes would hardly ever pass a MAC or a seal. So the inputs are what is inside, and are given
a right MAC, or are sealed, before they are read.
"""

import hmac
import json
from pathlib import Path

from nym import sphinx
from nym._ciphers import hop_keys
from nym._padding import pad
from nym.envelope import Envelopes, Unreadable
from nym.errors import RemoteFormatError, SphinxError
from nym.wire.addresses import decode_address, encode_address
from tests.fuzz.targets import Target
from tests.fuzz.test_envelope import (
    AUTHENTICATED,
    BOB,
    CONTENTS,
    FROM_ALICE,
    FROM_BOB,
    PLAINTEXT,
    SECRET,
    TO_REPLY_ADDRESS,
    authenticated,
    seal,
    unseal,
)

VECTORS = Path(__file__).parent.parent.parent / "vectors"
KEY = BOB.private_key
ALPHA, MAC, HEADER, PACKET, PAYLOAD = 32, 16, 348, 1372, 1024
ONE_HOP = [sphinx.Hop(bytes(32), BOB.public_key, 7)]


def node_address(data: bytes) -> None:
    assert encode_address(decode_address(data)) == data


def packet(data: bytes) -> None:
    """A group element, and what follows the MAC; recovered, if the packet is for this node."""
    data = data.ljust(PACKET - MAC, b"\0")
    alpha, beta, delta = data[:ALPHA], data[ALPHA : HEADER - MAC], data[HEADER - MAC :]
    mac_key = hop_keys(sphinx.multiply(KEY, alpha))[1]
    gamma = hmac.digest(mac_key, beta, "sha256")[:MAC]
    result = sphinx.process_packet(alpha + gamma + beta + delta, KEY)
    if isinstance(result, sphinx.Forward):
        assert len(result.packet) == PACKET
    else:
        result.message()


def payload(data: bytes) -> None:
    destination, message = sphinx.recover_message(data)
    assert data == (bytes(16) + destination + message + b"\1").ljust(PAYLOAD, b"\0")


def envelope(data: bytes) -> None:
    _has_one_form(data, FROM_BOB, b"")


def envelope_to_reply_address(data: bytes) -> None:
    _has_one_form(data, TO_REPLY_ADDRESS, SECRET)


def _has_one_form(data: bytes, recipient: Envelopes, secret: bytes) -> None:
    plaintext = data[:PLAINTEXT].ljust(PLAINTEXT, b"\0")
    if plaintext[1] in AUTHENTICATED:
        plaintext = authenticated(plaintext, secret)
    opened = recipient.open(seal(plaintext))
    assert opened is not None
    sender = getattr(opened, "sender", None)
    # Alice's address in another form has the same products; see test_envelope.py.
    if not isinstance(opened, Unreadable) and sender in (None, FROM_ALICE._address):
        assert unseal(FROM_ALICE.seal(opened, BOB.public_key, secret)) == plaintext


def sealed_envelope(data: bytes) -> None:
    FROM_BOB.open(data)


def _packets() -> list[bytes]:
    whole = [sphinx.create_packet(b"hello", ONE_HOP * hops, BOB.public_key) for hops in range(1, 6)]
    return [packet[:ALPHA] + packet[ALPHA + MAC :] for packet in whole]


def _payloads() -> list[bytes]:
    return [pad(bytes(32), message) for message in (b"", b"hello\1\0", bytes(975))]


def _plaintexts() -> list[bytes]:
    return [unseal(FROM_ALICE.seal(content, BOB.public_key)) for content in CONTENTS]


def _addresses() -> list[bytes]:
    cases = json.loads((VECTORS / "node_addresses.json").read_text())
    return [bytes.fromhex(case["bytes"]) for case in cases]


TARGETS = {
    "node_address": Target(node_address, RemoteFormatError, _addresses, 64),
    "packet": Target(packet, SphinxError, _packets, PACKET),
    "payload": Target(payload, SphinxError, _payloads, PAYLOAD),
    "envelope": Target(envelope, (), _plaintexts, 975),
    "envelope_to_reply_address": Target(envelope_to_reply_address, (), _plaintexts, 975),
    "sealed_envelope": Target(
        sealed_envelope, (), lambda: [FROM_ALICE.seal(c, BOB.public_key) for c in CONTENTS], 1024
    ),
}
