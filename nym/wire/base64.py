"""Base64 in canonical form only (RFC 4648, section 3.5). Python's decoders accept other forms, too.

Canonical means: no white space, exactly the required padding, and unused bits that are zero. So no
two texts stand for the same bytes, and a text that was cut off or changed is more likely noticed.
"""

import binascii
from collections.abc import Iterable, Iterator

from nym.wire.pieces import Message, Rest, cut, gather, with_last

_TO_STANDARD = str.maketrans("-_+/", "+/-_")


def decode(text: str) -> bytes:
    """The bytes that `text` stands for. Raises ValueError."""
    data = binascii.a2b_base64(text, strict_mode=True)
    # After strict decoding, only the last four characters can still have several forms: their
    # unused bits. So encoding the last bytes again is enough of a check.
    last = data[len(data) - (len(data) % 3 or 3) :] if data else b""
    if binascii.b2a_base64(last, newline=False).decode("ascii") != text[-4:]:
        raise ValueError("its last characters aren't canonical")
    return data


def decode_url_safe(text: str) -> bytes:
    """The bytes; `text` uses the URL-safe alphabet with - and _. Raises ValueError."""
    return decode(text.translate(_TO_STANDARD))


def decode_pieces(texts: Iterable[str], rest: Rest) -> Message:
    """The bytes of a long text that comes in pieces. Raises ValueError."""
    return gather(_decoded(texts, rest))


def _decoded(texts: Iterable[str], rest: Rest) -> Iterator[bytes]:
    left = ""
    for text, is_last in with_last(texts):
        left += text
        if is_last:  # as one piece: short messages have no other
            break
        # Four characters make three bytes. What doesn't fill four is kept for the next piece, and
        # the last four always for the end, because only they may be padded.
        whole = max(0, (len(left) - 1) // 4 * 4)
        if "=" in left[:whole]:
            raise ValueError("padding is allowed at the end only")
        yield binascii.a2b_base64(left[:whole], strict_mode=True)
        left = left[whole:]
        rest()
    yield decode(left)


def encode_pieces(message: Message) -> Iterator[str]:
    """The base64 text of a message, in pieces."""
    left = b""
    for piece in cut(message):
        left += piece
        whole = len(left) // 3 * 3  # only whole groups of three bytes encode without padding
        yield binascii.b2a_base64(left[:whole], newline=False).decode("ascii")
        left = left[whole:]
    yield binascii.b2a_base64(left, newline=False).decode("ascii")
