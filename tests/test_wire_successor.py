"""The dialect of nym-client 1.1: vectors made by hand from its layouts, and properties."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nym.errors import (
    BadRecipientError,
    BusyError,
    IncompleteDataError,
    MessageTooLongError,
    RequestError,
    UnknownRequestError,
)
from nym.wire.answers import KnownClient, OwnDetails, Received
from nym.wire.keys import encode_base58
from nym.wire.pieces import Pieces
from nym.wire.recipients import Recipient
from nym.wire.requests import Details, Reply, Send
from nym.wire.successor import addresses, binary, texts
from nym.wire.successor.binary import BINARY, EARLY_BINARY
from nym.wire.successor.forms import Wanted
from nym.wire.successor.texts import EARLY_TEXT, TEXT

ADDRESS = bytes(range(32))
ADDRESS_TEXT = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE"  # base58 of it
IDENTITY = bytes(range(32, 64))
KEY = b"k" * 32
TAG = bytes(range(200, 216))
NO_TAG_BUT_BASE58 = "z" * 22  # 17 bytes
RECIPIENT = bytes(32) + ADDRESS + IDENTITY
AT_NOBODY = bytes(32) + ADDRESS + bytes(32)
SEND = Send(ADDRESS, b"hi", provider=IDENTITY)
ANONYMOUS = SEND._replace(is_answerable=True)


def u64(number: int) -> bytes:
    return number.to_bytes(8, "big")


BINARY_REQUESTS = [
    (b"\x00" + RECIPIENT + u64(0) + u64(2) + b"hi", Wanted(SEND)),
    (b"\x00" + RECIPIENT + u64(42) + u64(2) + b"hi", Wanted(SEND, 42)),
    (b"\x00" + AT_NOBODY + u64(0) + u64(0), Wanted(Send(ADDRESS, b""))),
    (b"\x01\0\0\0\x64" + RECIPIENT + u64(1 << 63) + u64(2) + b"hi", Wanted(ANONYMOUS, 1 << 63)),
    (b"\x01\0\0\0\0" + RECIPIENT + u64(0) + u64(2) + b"hi", Wanted(ANONYMOUS)),
    (b"\x02" + TAG + u64(0) + u64(2) + b"hi", Wanted(Reply(TAG, b"hi"))),
    (b"\x02" + TAG + u64(7) + u64(0), Wanted(Reply(TAG, b""), 7)),
    (b"\x03", Wanted(Details())),
    (b"\x04" + u64(7), Wanted(None)),
    (b"\x05" + u64(7), Wanted(None, 7)),
    (b"\x05" + u64(0), Wanted(None, 0)),
]
EARLY_BINARY_REQUESTS = [
    (b"\x00\x00" + RECIPIENT + u64(2) + b"hi", Wanted(SEND)),
    (b"\x00\x01" + RECIPIENT + u64(2) + b"hi", Wanted(ANONYMOUS)),
    (b"\x01" + u64(16) + TAG + u64(2) + b"hi", Wanted(Reply(TAG, b"hi"))),
    (b"\x02", Wanted(Details())),
]


@pytest.mark.parametrize(("message", "wanted"), BINARY_REQUESTS)
def test_binary_requests(message: bytes, wanted: Wanted) -> None:
    assert binary.decode(message) == wanted


@pytest.mark.parametrize(("message", "wanted"), EARLY_BINARY_REQUESTS)
def test_binary_requests_before_1_1(message: bytes, wanted: Wanted) -> None:
    assert binary.decode_early(message) == wanted


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (b"", 0x01),
        *((message[:-1], 0x02) for message, _ in BINARY_REQUESTS if message.endswith(u64(0) * 2)),
        (b"\x00" + RECIPIENT + u64(0) + u64(0)[:-1], 0x02),
        (b"\x01\0\0\0\0" + RECIPIENT + u64(0), 0x02),
        (b"\x02", 0x02),
        (b"\x06", 0x03),
        (b"\xff" * 200, 0x03),
        (b"\x00" + RECIPIENT + u64(0) + u64(3) + b"hi", 0x04),
        (b"\x00" + RECIPIENT + u64(0) + u64(1) + b"hi", 0x04),
        (b"\x00" + KEY + RECIPIENT[32:] + u64(0) + u64(2) + b"hi", 0x04),
        (b"\x02" + TAG + u64(0) + u64((1 << 64) - 1) + b"hi", 0x04),
        (b"\x04" + u64(7)[1:], 0x04),
        (b"\x05" + u64(7) + b"\0", 0x04),
    ],
)
def test_a_broken_binary_request_has_its_kind_of_error(message: bytes, kind: int) -> None:
    with pytest.raises(RequestError) as caught:
        binary.decode(message)
    text = str(caught.value).encode()
    assert BINARY.error(caught.value) == bytes([0, kind]) + u64(len(text)) + text


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (b"", 0x01),
        (b"\x00\x01" + RECIPIENT, 0x02),
        (b"\x03", 0x03),
        (b"\x00\x02" + RECIPIENT + u64(2) + b"hi", 0x04),
        (b"\x01" + u64(15) + TAG + u64(2) + b"hi", 0x04),
        (b"\x01" + u64(16) + TAG + u64(3) + b"hi", 0x04),
    ],
)
def test_a_broken_binary_request_before_1_1_has_its_kind_of_error(
    message: bytes, kind: int
) -> None:
    with pytest.raises(RequestError) as caught:
        binary.decode_early(message)
    assert EARLY_BINARY.error(caught.value)[:2] == bytes([0, kind])


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (UnknownRequestError("x"), 0x03),
        (IncompleteDataError("x"), 0x04),
        (BadRecipientError(), 0x04),
        (MessageTooLongError(2, 1), 0x04),
        (BusyError("busy: x"), 0xFF),
    ],
)
def test_an_error_has_a_kind(error: RequestError, kind: int) -> None:
    assert BINARY.error(error)[1] == kind


RECEIVED = Received("ab12", b"hi \xff\xe2\x98\x83", 0.0)
ANSWERABLE = RECEIVED._replace(reply_to=TAG)
OWN = OwnDetails(KnownClient(ADDRESS, KEY), provider_identity=IDENTITY)


def test_binary_answers() -> None:
    assert BINARY.own_address(OWN) == b"\x02" + RECIPIENT
    # A provider without an identity is left out: some applications would refuse its key.
    assert BINARY.own_address(OWN._replace(provider_identity=None)) == b"\x02" + AT_NOBODY
    assert BINARY.queue_length(42, 3) == b"\x03" + u64(42) + u64(3)
    message = RECEIVED.message
    assert isinstance(message, bytes)
    assert b"".join(BINARY.received(RECEIVED)) == b"\x01\x00" + u64(7) + message
    assert b"".join(BINARY.received(ANSWERABLE)) == b"\x01\x01" + TAG + u64(7) + message
    early = b"\x01\x01" + u64(16) + TAG + u64(7) + message
    assert b"".join(EARLY_BINARY.received(ANSWERABLE)) == early


TO = {"recipient": ADDRESS_TEXT, "message": "hi"}
TEXT_REQUESTS: list[tuple[dict[str, Any], Wanted]] = [
    ({"type": "selfAddress"}, Wanted(Details())),
    ({"type": "send", **TO}, Wanted(Send(ADDRESS, b"hi"))),
    ({"type": "send", **TO, "connectionId": None}, Wanted(Send(ADDRESS, b"hi"))),
    ({"type": "send", **TO, "connectionId": 0}, Wanted(Send(ADDRESS, b"hi"), 0)),
    ({"type": "send", **TO, "message": "☃"}, Wanted(Send(ADDRESS, "☃".encode()))),
    ({"type": "send", **TO, "withReplySurb": False}, Wanted(Send(ADDRESS, b"hi"))),
    (
        {"type": "send", **TO, "withReplySurb": True},
        Wanted(Send(ADDRESS, b"hi", is_answerable=True)),
    ),
    (
        {
            "type": "sendAnonymous",
            **TO,
            "recipient": f"{ADDRESS_TEXT}@{encode_base58(IDENTITY)}",
            "replySurbs": 100,
            "connectionId": (1 << 64) - 1,
        },
        Wanted(ANONYMOUS, (1 << 64) - 1),
    ),
    (
        {"type": "reply", "senderTag": encode_base58(TAG), "message": "hi", "connectionId": 5},
        Wanted(Reply(TAG, b"hi"), 5),
    ),
    (
        {"type": "reply", "replySurb": encode_base58(TAG), "message": "hi"},
        Wanted(Reply(TAG, b"hi")),
    ),
]


@pytest.mark.parametrize(("body", "wanted"), TEXT_REQUESTS)
def test_text_requests(body: dict[str, Any], wanted: Wanted) -> None:
    assert texts.is_request(body)
    assert texts.is_early(body) == bool({"withReplySurb", "replySurb"} & body.keys())
    assert texts.decode(body) == wanted


@pytest.mark.parametrize(
    "body",
    [
        {"type": "send", "recipient_address": ADDRESS_TEXT, "message": "hi"},
        {"type": "send", "recipient_address": ADDRESS_TEXT, **TO},
        {"type": "send", "message": "hi"},
        {"type": "reply", "tag": "x", "message": "hi"},
        {"type": "ownDetails"},
        {"type": ["selfAddress"]},
        {"selfAddress": {}},
    ],
)
def test_other_objects_are_not_of_this_dialect(body: dict[str, Any]) -> None:
    assert not texts.is_request(body)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"type": "send", "recipient": ADDRESS_TEXT}, "message"),
        ({"type": "send", **TO, "message": {"sender": "me"}}, "message"),
        ({"type": "send", **TO, "recipient": "nobody"}, "recipient is not an address"),
        ({"type": "send", **TO, "recipient": f"{ADDRESS_TEXT}@"}, "behind the @"),
        ({"type": "send", **TO, "recipient": f"2.{ADDRESS_TEXT}"}, "another network"),
        ({"type": "send", **TO, "connectionId": -1}, "connectionId"),
        ({"type": "send", **TO, "connectionId": True}, "connectionId"),
        ({"type": "send", **TO, "connectionId": 1 << 64}, "connectionId"),
        ({"type": "sendAnonymous", "message": "hi", "senderTag": "x"}, "recipient"),
        (
            {"type": "reply", "senderTag": "short", "message": "hi"},
            "senderTag is not a tag: a tag has 16",
        ),
        ({"type": "reply", "senderTag": NO_TAG_BUT_BASE58, "message": "hi"}, "senderTag"),
        ({"type": "reply", "senderTag": "0OIl" * 5, "message": "hi"}, "senderTag"),
        ({"type": "reply", "senderTag": None, "message": "hi"}, "senderTag"),
        ({"type": "reply", "replySurb": "x" * 400, "message": "hi"}, "replySurb"),
    ],
)
def test_a_broken_text_request_is_told_why(body: dict[str, Any], why: str) -> None:
    assert texts.is_request(body)
    with pytest.raises(IncompleteDataError, match=why) as caught:
        texts.decode(body)
    error = json.loads(TEXT.error(caught.value))
    assert error == {"type": "error", "message": str(caught.value), "code": "incomplete"}


def test_text_answers() -> None:
    at = f"{ADDRESS_TEXT}@"
    assert json.loads(TEXT.own_address(OWN))["address"] == at + encode_base58(IDENTITY)
    by_key = OWN._replace(provider_identity=None)
    assert json.loads(TEXT.own_address(by_key))["address"] == at + encode_base58(KEY)
    nowhere = OwnDetails(KnownClient(ADDRESS))
    assert json.loads(TEXT.own_address(nowhere)) == {
        "type": "selfAddress",
        "address": ADDRESS_TEXT,
    }
    assert json.loads(TEXT.queue_length(42, 3)) == {
        "type": "laneQueueLength",
        "lane": 42,
        "queue_length": 3,
    }
    received = {"type": "received", "message": "hi \ufffd☃"}
    tag = encode_base58(TAG)
    assert json.loads(b"".join(TEXT.received(RECEIVED))) == received | {"senderTag": None}
    assert json.loads(b"".join(TEXT.received(ANSWERABLE))) == received | {"senderTag": tag}
    assert json.loads(b"".join(EARLY_TEXT.received(ANSWERABLE))) == received | {"replySurb": tag}


@given(pieces=st.lists(st.binary(max_size=9), min_size=1))
def test_a_message_is_the_same_whatever_its_pieces(pieces: list[bytes]) -> None:
    for form in (TEXT, BINARY):
        in_pieces = form.received(RECEIVED._replace(message=Pieces(pieces)))
        whole = form.received(RECEIVED._replace(message=b"".join(pieces)))
        assert b"".join(in_pieces) == b"".join(whole)


KEYS = st.binary(min_size=32, max_size=32)


@given(address=KEYS, provider=st.none() | KEYS.filter(any))
def test_what_is_an_own_address_is_a_recipient(address: bytes, provider: bytes | None) -> None:
    own = OwnDetails(KnownClient(address, b""), provider_identity=provider)
    recipient = Recipient(address, provider)
    assert addresses.parse(json.loads(TEXT.own_address(own))["address"]) == recipient
    data = BINARY.own_address(own)[1:]
    assert len(data) == addresses.LENGTH
    assert addresses.decode(data) == recipient
    # What applications make of the bytes when they show them: CLIENT.ENCRYPTION@GATEWAY.
    client, encryption, gateway = (encode_base58(data[i : i + 32]) for i in (0, 32, 64))
    assert addresses.parse(f"{client}.{encryption}@{gateway}") == recipient


def test_zeros_are_a_point_of_ed25519() -> None:
    """x^2 = (y^2 - 1) / (d y^2 + 1) (RFC 8032, 5.1.3) is -1 for y = 0, which has a root."""
    p = 2**255 - 19
    root = pow(2, (p - 1) // 4, p)
    assert root * root % p == p - 1
