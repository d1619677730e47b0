"""Base64 in its one canonical form (RFC 4648, 3.5), which Python's decoders don't insist on.

No white space, all of the padding and no more, and unused bits of zero: two texts never stand for
the same bytes, and a text that was cut or changed isn't taken for one.
"""

import binascii

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
