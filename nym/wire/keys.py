"""Public keys as text: base58 in 2020, URL-safe base64 with padding in 2019.

Each encoding has exactly one text for a key. Any other text that would decode to the same key is
refused, so that comparing texts and comparing keys gives the same result.
"""

import base64
import re
from functools import lru_cache

import base58

from nym.wire.base64 import decode_url_safe
from nym.wire.sizes import KEY_LENGTH, TAG_LENGTH

# Characters that 32 bytes take, at most, in either encoding. Checked first, because the time to
# decode base58 grows with the square of the length.
LONGEST_TEXT = 44
_BASE58 = re.compile(f"[{base58.BITCOIN_ALPHABET.decode()}]*")


def encode_base58(key: bytes) -> str:
    """The key as people and the 2020 directory write it."""
    return base58.b58encode(key).decode("ascii")


@lru_cache(maxsize=1 << 16)  # the directory's answer, every ten seconds, has mostly the same
def decode_base58(text: str) -> bytes:
    """The key, 32 bytes. Raises ValueError."""
    return _checked(_decoded(text, "a key"))


def decode_tag(text: str) -> bytes:
    """The tag, 16 bytes. Raises ValueError."""
    tag = _decoded(text, "a tag")
    if len(tag) != TAG_LENGTH:
        raise ValueError(f"a tag has {TAG_LENGTH} bytes, not {len(tag)}")
    return tag


def is_tag(text: str) -> bool:
    """Whether this is a tag."""
    try:
        return bool(decode_tag(text))
    except ValueError:
        return False


def encode_base64(key: bytes) -> str:
    """The key as the 2019 directory writes it."""
    return base64.urlsafe_b64encode(key).decode("ascii")


def decode_base64(text: str) -> bytes:
    """The key, 32 bytes. Raises ValueError."""
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"a key in base64 has at most {LONGEST_TEXT} characters, not {len(text)}")
    try:
        return _checked(decode_url_safe(text))
    except ValueError as error:
        raise ValueError(f"not a key in base64: {error}") from error


def _decoded(text: str, what: str) -> bytes:
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"{what} in base58 has at most {LONGEST_TEXT} characters, not {len(text)}")
    # The library would ignore white space at the end.
    if not _BASE58.fullmatch(text):
        raise ValueError(f"{what} in base58 has letters and digits, but no 0, O, I and l")
    # Each 1 at the beginning is a zero byte. The library's b58decode takes twice as long for the
    # bytes of a number, and a directory lists thousands of keys.
    digits = text.lstrip("1")
    number = base58.b58decode_int(digits)
    return number.to_bytes(len(text) - len(digits) + (number.bit_length() + 7) // 8, "big")


def _checked(key: bytes) -> bytes:
    if len(key) != KEY_LENGTH:
        raise ValueError(f"a key has {KEY_LENGTH} bytes, not {len(key)}")
    return key
