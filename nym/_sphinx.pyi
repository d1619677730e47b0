from collections.abc import Sequence

def create_packet(
    payload: bytes,
    route: Sequence[tuple[bytes, bytes, int]],
    destination: bytes,
    identifier: bytes,
    secret: bytes | None,
    padding: bytes | None,
) -> bytes: ...
def process_packet(
    packet: bytes, private_key: bytes
) -> tuple[bytes, int, bytes] | tuple[bytes, bytes, bytes, None]: ...
