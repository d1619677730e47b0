"""Reads bodies of HTTP, which may have megabytes, and lets other greenlets have their turn."""

from collections.abc import Iterable

from nym.net.spell import Spell
from nym.net.threads import beside_the_hub

CHUNK = 1 << 16  # bytes to read at a time
_LONG = 1 << 20  # bytes; to make room for so many takes a millisecond


def gather(chunks: Iterable[bytes], longest: int) -> bytes | None:
    """The chunks as one body; None if they have more than `longest` bytes, of which few are read.

    Raises OwnFaultError, and what reading a chunk raises.
    """
    gathered, length = [], 0
    spell = Spell()  # a fast peer would leave no other greenlet its turn
    for chunk in chunks:
        gathered.append(chunk)
        length += len(chunk)
        if length > longest:
            return None
        spell.rest()
    return beside_the_hub(b"".join, gathered) if length > _LONG else b"".join(gathered)
