"""A recipient as people write it: ADDRESS, or ADDRESS@PROVIDER (docs/protocol/provider.md).

The provider is named by its identity, or by its key if it has no identity, in base58.
"""

from typing import NamedTuple

from nym.wire.keys import decode_base58, encode_base58


class Recipient(NamedTuple):
    """An address of 32 bytes, and the name of its provider, 32 bytes, if that is given."""

    address: bytes
    provider: bytes | None = None

    def __str__(self) -> str:
        address = encode_base58(self.address)
        return f"{address}@{encode_base58(self.provider)}" if self.provider else address


def parse_recipient(text: str) -> Recipient:
    """The recipient in ADDRESS or ADDRESS@PROVIDER. Raises ValueError."""
    address, at, provider = text.partition("@")
    decoded = decode_base58(address)
    if not at:
        return Recipient(decoded)
    try:
        return Recipient(decoded, decode_base58(provider))
    except ValueError as error:
        raise ValueError(f"no provider behind the @: {error}") from error
