"""Tells addresses from contacts' names (docs/protocol/sockets.md, "JSON objects")."""

_DIGITS = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"  # base58
_BYTES = 32
_LONGEST = 44  # characters that they take, at most


def is_address(recipient: str) -> bool:
    """Whether this is ADDRESS or ADDRESS@PROVIDER. No contact can be called so."""
    return all(map(_is_key, recipient.split("@", 1)))


def _is_key(text: str) -> bool:
    if len(text) > _LONGEST or not set(text) <= set(_DIGITS):
        return False
    number = 0
    for digit in text:
        number = number * len(_DIGITS) + _DIGITS.index(digit)
    zeros = len(text) - len(text.lstrip("1"))  # each 1 in front stands for a byte that is zero
    return zeros + (number.bit_length() + 7) // 8 == _BYTES
