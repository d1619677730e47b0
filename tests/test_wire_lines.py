"""Lines come out of a stream whole, however the stream is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nym.errors import FrameError
from nym.wire.lines import LineBuffer
from nym.wire.sizes import LONGEST_LINE


@given(st.lists(st.binary(max_size=30).filter(lambda line: b"\n" not in line)), st.data())
def test_lines_come_out_however_they_are_cut(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    buffer, out = LineBuffer(), []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        out += buffer.feed(stream[:cut])
        stream = stream[cut:]
    assert out == [line for line in lines if line.strip()]
    assert buffer.rest() == b""


def test_a_line_without_end_is_refused() -> None:
    buffer = LineBuffer()
    assert buffer.feed(bytes(LONGEST_LINE)) == []
    with pytest.raises(FrameError):
        buffer.feed(b"x")
