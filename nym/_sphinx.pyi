from collections.abc import Sequence
from typing import Literal

from nym._secrets import Secret

def create_packet(
    payload: bytes,
    route: Sequence[tuple[bytes, bytes, int]],
    destination: bytes,
    identifier: bytes,
    secret: bytes | None,
    padding: bytes | None,
) -> bytes: ...
def process_packet(
    packet: bytes, private_key: bytes | Secret
) -> (
    tuple[Literal["forward"], bytes, bytes, int, bytes]
    | tuple[Literal["final"], bytes, bytes, bytes, bytes]
): ...
