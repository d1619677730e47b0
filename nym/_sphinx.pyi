from collections.abc import Sequence
from typing import Literal, TypeAlias

from nym._secrets import Secret
from nym.errors import SphinxError

# The type of a route's hops is nym.sphinx.Hop.
_Request: TypeAlias = tuple[
    bytes, Sequence[tuple[bytes, bytes, int]], bytes, bytes, bytes | None, bytes | None
]
Found: TypeAlias = (
    tuple[Literal["forward"], bytes, bytes, int, bytes]
    | tuple[Literal["final"], bytes, bytes, bytes, bytes]
)

def create_packets(requests: list[_Request]) -> list[bytes]: ...
def process_packet(packet: bytes, private_key: bytes | Secret) -> Found: ...
def process_packets(
    packets: Sequence[bytes], private_key: bytes | Secret
) -> list[Found | SphinxError]: ...
