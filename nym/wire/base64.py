"""Base64 in its one canonical form (RFC 4648, 3.5), which Python's decoders don't insist on.

No white space, all of the padding and no more, and unused bits of zero: two texts never stand for
the same bytes, and a text that was cut or changed isn't taken for one.
"""

import binascii
from collections.abc import Iterable, Iterator

from nym.wire.pieces import Message, Rest, cut, gather

_TO_STANDARD = str.maketrans("-_+/", "+/-_")


def decode(text: str) -> bytes:
    """The bytes. Raises ValueError."""
    data = binascii.a2b_base64(text, strict_mode=True)
    # Only the last four characters can be written in several ways.
    last = data[len(data) - (len(data) % 3 or 3) :] if data else b""
    if binascii.b2a_base64(last, newline=False).decode("ascii") != text[-4:]:
        raise ValueError("its end isn't as an encoder writes it")
    return data


def decode_url_safe(text: str) -> bytes:
    """The bytes, of the alphabet with - and _. Raises ValueError."""
    return decode(text.translate(_TO_STANDARD))


def decode_pieces(texts: Iterable[str], rest: Rest) -> Message:
    """The bytes of a long text in pieces. Raises ValueError."""
    return gather(_decoded(texts, rest))


def _decoded(texts: Iterable[str], rest: Rest) -> Iterator[bytes]:
    left = ""
    for text in texts:
        left += text
        # The last four characters, which may be padded, are left for the end.
        whole = max(0, (len(left) - 1) // 4 * 4)
        if "=" in left[:whole]:
            raise ValueError("padding is at the end only")
        yield binascii.a2b_base64(left[:whole], strict_mode=True)
        left = left[whole:]
        rest()
    yield decode(left)


def encode_pieces(message: Message) -> Iterator[str]:
    """The text of a message, in pieces."""
    left = b""
    for piece in cut(message):
        left += piece
        whole = len(left) // 3 * 3
        yield binascii.b2a_base64(left[:whole], newline=False).decode("ascii")
        left = left[whole:]
    yield binascii.b2a_base64(left, newline=False).decode("ascii")
