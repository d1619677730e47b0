"""Frames of the framed dialect, in both framings, however the stream is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nym.errors import FrameError
from nym.wire.framing import FrameBuffer, Framing, encode_frame
from nym.wire.sizes import LONGEST_FRAME

framings = st.sampled_from(Framing)

HEADS = [
    (Framing.FIXED, 0, "0000000000000000"),
    (Framing.FIXED, 190, "00000000000000be"),
    (Framing.VARINT, 0, "00"),
    (Framing.VARINT, 2, "04"),
    (Framing.VARINT, 63, "7e"),
    (Framing.VARINT, 64, "8001"),
    (Framing.VARINT, 190, "fc02"),
    (Framing.VARINT, LONGEST_FRAME, "80808001"),
]


@pytest.mark.parametrize(("framing", "length", "head"), HEADS)
def test_lengths(framing: Framing, length: int, head: str) -> None:
    frame = encode_frame(framing, bytes(length))
    assert frame == bytes.fromhex(head) + bytes(length)
    assert list(FrameBuffer(framing).feed(frame)) == [bytes(length)]


@given(framings, st.lists(st.binary(max_size=300), max_size=5), st.data())
def test_frames_come_out_however_they_are_cut(
    framing: Framing, messages: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(encode_frame(framing, message) for message in messages)
    buffer = FrameBuffer(framing)
    received: list[bytes] = []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        received += buffer.feed(stream[:cut])
        stream = stream[cut:]
    assert received == messages


@pytest.mark.parametrize("framing", Framing)
def test_byte_by_byte(framing: Framing) -> None:
    messages = [b"", b"hello", bytes(200)]
    buffer = FrameBuffer(framing)
    stream = b"".join(encode_frame(framing, message) for message in messages)
    assert [m for byte in stream for m in buffer.feed(bytes([byte]))] == messages


@pytest.mark.parametrize(
    ("framing", "data"),
    [
        (Framing.FIXED, (LONGEST_FRAME + 1).to_bytes(8, "big")),
        (Framing.FIXED, b"\xff" * 8),
        (Framing.VARINT, b"\x03"),  # a length of -2: the published varints are signed
        (Framing.VARINT, b"\xff" * 10),
        (Framing.VARINT, encode_frame(Framing.VARINT, bytes(LONGEST_FRAME + 1))[:5]),
    ],
)
def test_lengths_that_cannot_be_believed(framing: Framing, data: bytes) -> None:
    good = encode_frame(framing, b"good")
    received: list[bytes] = []
    with pytest.raises(FrameError):
        received.extend(FrameBuffer(framing).feed(data))
    buffer = FrameBuffer(framing).feed(good + data)
    assert next(buffer) == b"good"
    with pytest.raises(FrameError):
        next(buffer)
    assert not received


@given(framings, st.lists(st.binary(max_size=40)))
def test_any_bytes_are_frames_or_refused(framing: Framing, reads: list[bytes]) -> None:
    buffer, length = FrameBuffer(framing), 0
    try:
        for data in reads:
            length += sum(map(len, buffer.feed(data)))
    except FrameError as error:
        assert str(error)
    assert length <= sum(map(len, reads))
