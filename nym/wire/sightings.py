"""What an observer of a client is told: one object for each packet that leaves, and for each pull.

Only the client's control socket tells it (nym.sockets.control), because it tells real packets from
cover. docs/protocol/sockets.md, "Observing".
"""

import json
from typing import Literal, NamedTuple

from nym.wire.line import BEGINNING, FIRST_LENGTH, FOURTH_LENGTH, SECOND_LENGTH, THIRD_LENGTH
from nym.wire.provider import LONGEST_REQUEST, Pulled, encode_messages

# An answer is an acknowledgement, or a note about the client's provider.
Carried = Literal["loop", "drop", "answer", "fragment"]


class PacketSeen(NamedTuple):
    """A packet is handed over, beginning `at` this time, in seconds of the monotonic clock."""

    at: float
    first_hop: str
    carries: Carried


class PullSeen(NamedTuple):
    """A pull that began `at` this time. `messages` is None if it failed.

    `provider` is where, and `other`: not the provider that the client uses now. The bytes are those
    that are written and read, without what TCP adds.
    """

    at: float
    seconds: float
    provider: str
    other: bool
    sealed: bool
    messages: int | None
    bytes_out: int
    bytes_in: int


Sighting = PacketSeen | PullSeen


class Observing(NamedTuple):
    """The observation has begun. The rates are those that the client runs with.

    `mean_gap` is the mean between two packets in seconds, `pull_period` the time between two pulls.
    """

    mean_gap: float
    pull_period: float


def pull_seen(
    at: float, seconds: float, provider: str, pulled: Pulled | None, *, other: bool, sealed: bool
) -> PullSeen:
    """The sighting of a pull; `pulled` is None if it failed."""
    bytes_out = len(BEGINNING) + FIRST_LENGTH + THIRD_LENGTH if sealed else LONGEST_REQUEST
    if pulled is None:
        messages, bytes_in = None, 0
    else:
        messages = pulled.waited
        bytes_in = (
            SECOND_LENGTH + FOURTH_LENGTH if sealed else len(encode_messages(pulled.messages))
        )
    return PullSeen(at, seconds, provider, other, sealed, messages, bytes_out, bytes_in)


def encode(said: Observing | Sighting) -> str:
    """What an observer is told, as JSON."""
    match said:
        case Observing():
            kind = "observe"
        case PacketSeen():
            kind = "packet"
        case PullSeen():
            kind = "pull"
    return json.dumps({"type": kind, **said._asdict()}, separators=(",", ":"))
