"""Tells addresses and tags from contacts' names (docs/protocol/sockets.md, "JSON objects")."""

_DIGITS = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"  # base58
_ADDRESS_LENGTH, _TAG_LENGTH = 32, 16  # bytes
_LONGEST = 44  # characters that an address takes, at most


def is_address(recipient: str) -> bool:
    """Whether this is ADDRESS or ADDRESS@PROVIDER. No contact can be called so."""
    return all(_length(part) == _ADDRESS_LENGTH for part in recipient.split("@", 1))


def is_tag(recipient: str) -> bool:
    """Whether this is the tag of a message. A contact can be called so."""
    return _length(recipient) == _TAG_LENGTH


def _length(text: str) -> int | None:
    """How many bytes this stands for; None if it stands for none."""
    if len(text) > _LONGEST or not set(text) <= set(_DIGITS):
        return None
    number = 0
    for digit in text:
        number = number * len(_DIGITS) + _DIGITS.index(digit)
    zeros = len(text) - len(text.lstrip("1"))  # each 1 in front stands for a byte that is zero
    return zeros + (number.bit_length() + 7) // 8
