"""Addresses in this dialect, as bytes and as text.

An address there is three keys: CLIENT.ENCRYPTION@GATEWAY as text, 96 bytes in binary messages. Some
applications check that CLIENT and GATEWAY are points of Ed25519, so not any 32 bytes can stand in
their places. Here, ENCRYPTION is the address of a client, and GATEWAY the identity of its provider.
CLIENT is zeros, as is GATEWAY where no identity is known. Zeros are such a point.
"""

from nym.wire.keys import encode_base58
from nym.wire.recipients import Recipient, parse_recipient
from nym.wire.sizes import KEY_LENGTH

LENGTH = 3 * KEY_LENGTH
_ZEROS = bytes(KEY_LENGTH)
_CLIENT = f"{encode_base58(_ZEROS)}."
_OF_ANOTHER = "this is an address of another network: its first key isn't zeros"


def encode(address: bytes, identity: bytes | None) -> bytes:
    """The 96 bytes for a client's address, and the identity of its provider."""
    return _ZEROS + address + (identity or _ZEROS)


def decode(data: bytes) -> Recipient:
    """The recipient in 96 bytes. Raises ValueError."""
    client, address, provider = (data[i : i + KEY_LENGTH] for i in range(0, LENGTH, KEY_LENGTH))
    if client != _ZEROS:
        raise ValueError(_OF_ANOTHER)
    return Recipient(address, None if provider == _ZEROS else provider)


def parse(text: str) -> Recipient:
    """The recipient in ADDRESS, ADDRESS@PROVIDER or CLIENT.ADDRESS@GATEWAY. Raises ValueError."""
    if "." not in text:
        return parse_recipient(text)
    if not text.startswith(_CLIENT):
        raise ValueError(_OF_ANOTHER)
    address, provider = parse_recipient(text.removeprefix(_CLIENT))
    return Recipient(address, None if provider == _ZEROS else provider)
