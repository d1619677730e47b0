"""The dialect of a connection is recognised by its first bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nym.wire import mix_pb2
from nym.wire.detection import PROTOBUF_REQUESTS, UNDECIDED, Unframed, detect, is_protobuf
from nym.wire.framing import Framing
from nym.wire.sizes import PACKET_LENGTH


@pytest.mark.parametrize(
    ("data", "dialect"),
    [
        (b"\x00", Framing.FIXED),
        (b"\x00\x00\x00\x00\x00\x00\x00\x02\x2a\x00", Framing.FIXED),
        (b"\x01" + bytes(40), Unframed.RAW),
        (b"\x02", Unframed.RAW),
        (b"\x03", Unframed.RAW),
        (b"\x04", UNDECIDED),
        (b"\x04\x2a\x00", Framing.VARINT),
        (b"\x06", Framing.VARINT),
        (b"\x7e", Framing.VARINT),
        (b"\x80\x01", Framing.VARINT),
        (b"\xff", Framing.VARINT),
        (b"P", Framing.VARINT),
        (b"POST / HTTP/1.1\r\n", Unframed.RAW),
        (b"HEAD /", Unframed.RAW),
        (b"OPTIONS * HTTP/1.1", Unframed.RAW),
        (b"GET /", Unframed.RAW),
        (b"2 / HTTP/1.1\r\n", Unframed.RAW),
        (b"`*.z*AAAA / HTTP/1.1\r\n", Unframed.RAW),
        (b"B" + b"*" * 32 + b" / HTTP/1.1\r\n", Unframed.RAW),
        (b"`\x12\x2e", Framing.VARINT),
        (b"\x05", Unframed.RAW),
        (b"{", Unframed.JSON),
        (b"\x20" + bytes(PACKET_LENGTH - 1), Unframed.RAW),
        (b"\x20" + bytes(2 * PACKET_LENGTH - 1), Unframed.RAW),
        (b"\x20" + bytes(PACKET_LENGTH), Framing.VARINT),
    ],
)
def test_first_bytes(data: bytes, dialect: object) -> None:
    assert detect(data, is_all=False) is dialect


def test_a_lone_04_is_raw_when_nothing_follows() -> None:
    assert detect(b"\x04", is_all=True) is Unframed.RAW


@given(st.binary(min_size=1, max_size=20))
def test_every_beginning_has_a_dialect(data: bytes) -> None:
    assert detect(data, is_all=True) is not UNDECIDED


@pytest.mark.parametrize(
    ("body", "anywhere", "at_mix"),
    [
        ({"type": "fetch"}, False, False),
        ({"type": "fetch", "fetch": {}}, False, False),
        ({"fetch": {}}, True, True),
        ({"send": None}, True, True),
        ({"fetch": {}, "send": {}}, False, True),
        ({"nonsense": {}}, False, True),
        ({}, False, True),
    ],
)
def test_a_message_tells_its_dialect(body: dict[str, object], anywhere: bool, at_mix: bool) -> None:
    assert is_protobuf(body, is_mix=False) is anywhere
    assert is_protobuf(body, is_mix=True) is at_mix


def test_protobuf_requests_are_those_of_the_schema() -> None:
    fields = mix_pb2.Request.DESCRIPTOR.fields
    assert {field.name for field in fields} == PROTOBUF_REQUESTS
