"""One message's way out: which piece of it is due, what became of it, and when it is over.

There are two kinds, `unacknowledged.py` and `reliable.py`. How long it may take is decided
elsewhere. Clock readings are passed in.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum
from math import inf
from typing import NamedTuple

from nym.envelope import Fragment, fragment_count
from nym.store.outbox import Manner, Outgoing


class Way(NamedTuple):
    """What the client's own loops say of the way through the network (nym/loops.py).

    `loss` is the share of packets to reckon with, None where it isn't known yet. `is_dead`: nothing
    comes back, for whatever reason. `was_carried` says whether what left at a moment had a way
    through, None where that isn't known yet. That both aren't known has a bound there, so that
    whoever floods a client doesn't hold up its messages. `open_since` is when answers could come
    again, after a long time in which they couldn't: a silence before it is nobody's.
    """

    loss: float | None
    is_dead: bool = False
    was_carried: Callable[[float], bool | None] = lambda at: True
    open_since: float = -inf


class Piece(NamedTuple):
    """What one packet carries of a message: a fragment of it, and which copy of that."""

    copy: int  # 0 is the first
    fragment: int


class Stage(Enum):
    """What a message that isn't done waits for: a word for programs, a sentence for people."""

    NETWORK = "network", "no network is known yet"
    REGISTRATION = "registration", "this client isn't registered at its provider yet"
    RECIPIENT = "recipient", "the directory lists no client with the recipient's address"
    TURN = "turn", "it waits for its turn"
    HAND_OVER = "hand_over", "a packet of it is being handed to a mixnode"
    LOOPS = "loops", "nothing that this client sends to itself comes back, so it would be lost, too"
    KNOWLEDGE = "loss", "it has left; whether that was enough shows when loops have come back"
    ACKNOWLEDGEMENT = "acknowledgement", "the recipient hasn't acknowledged it yet"
    WHOLE = "whole", "the recipient has acknowledged all parts of it, but not the whole"

    def __init__(self, word: str, sentence: str) -> None:
        self.word = word
        self.sentence = sentence


class Delivery(ABC):
    """What is left to be sent of one message."""

    def __init__(self, outgoing: Outgoing) -> None:
        self.id = outgoing.id
        self.recipient = outgoing.recipient
        self.outgoing = outgoing
        is_reliable = outgoing.manner is Manner.RELIABLE
        self.count = (
            1
            if outgoing.manner is Manner.PLAIN
            else fragment_count(len(outgoing.message), reliable=is_reliable)
        )

    @abstractmethod
    def content(self, piece: Piece) -> Fragment | bytes:
        """What the packet with this piece carries."""

    @abstractmethod
    def next(self, now: float, way: Way) -> Piece | None:
        """The piece to send now, if any; it is `taken` or `refused` later, once."""

    @abstractmethod
    def taken(self, piece: Piece, now: float) -> bytes | None:
        """A mixnode took the piece; returns the progress when it should be noted."""

    @abstractmethod
    def refused(self, piece: Piece) -> None:
        """No mixnode took the piece."""

    @property
    @abstractmethod
    def left(self) -> int:
        """Fragments that are still to be taken by a mixnode, or to be acknowledged."""

    @property
    def has_failed(self) -> bool:
        """Whether it can't be delivered, for a reason that `stage` gives."""
        return False

    @abstractmethod
    def is_done(self, way: Way) -> bool:
        """Whether nothing is left to be sent."""

    @abstractmethod
    def stage(self, now: float, way: Way) -> Stage:
        """What it waits for."""
