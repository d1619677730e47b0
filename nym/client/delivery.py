"""The sending of one message: which piece is due, what became of each, and when it is done.

There are two kinds, `unacknowledged.py` and `reliable.py`. How long a message may take is decided
in `deliveries.py`. Clock readings are passed in.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum
from math import inf
from typing import NamedTuple

from nym.envelope import Fragment, Reply, fragment, fragment_count
from nym.store.outbox import Manner, Outgoing


class Way(NamedTuple):
    """What the client's own loops show about the way through the network (nym/loops.py).

    - `loss` is the share of packets that will probably be lost, or None if it isn't known yet.
    - `is_dead` tells whether no loops come back at all, for whatever reason.
    - `was_carried` takes a time, and returns whether packets that left then got through the
      network, or None if that isn't known yet.
    - `open_since` is when answers could arrive again, after a long time in which none could. A
      silence before that says nothing about a recipient.

    `loss` and `was_carried` don't stay unknown for longer than a limit in nym/loops.py. So a flood,
    which keeps loops waiting at the provider, can't hold up messages for longer than that.
    """

    loss: float | None
    is_dead: bool = False
    was_carried: Callable[[float], bool | None] = lambda at: True
    open_since: float = -inf


class Piece(NamedTuple):
    """What one packet carries of a message: a fragment, and which copy of that fragment it is."""

    copy: int  # 0 is the first copy
    fragment: int


class Stage(Enum):
    """What a message that isn't done waits for, as a word for programs and a text for people."""

    NETWORK = "network", "no network is known yet"
    REGISTRATION = "registration", "this client isn't registered at its provider yet"
    RECIPIENT = (
        "recipient",
        "the directory lists no client with the recipient's address; ADDRESS@PROVIDER would do",
    )
    EXPIRED = "expired", "the address for its answer, or the one that it answers, has expired"
    PROVIDER = "provider", "the provider that was named for the recipient isn't in the directory"
    TURN = "turn", "it waits for its turn"
    HAND_OVER = "hand_over", "a packet of it is being handed to a mixnode"
    LOOPS = (
        "loops",
        "no packet that this client sends to itself comes back, so the message would be lost, too",
    )
    KNOWLEDGE = "loss", "it was sent; loops have yet to show whether it has to be sent again"
    ACKNOWLEDGEMENT = "acknowledgement", "the recipient hasn't acknowledged it yet"
    WHOLE = "whole", "the recipient has acknowledged all parts of it, but not the whole message"

    def __init__(self, word: str, sentence: str) -> None:
        self.word = word
        self.sentence = sentence


class Delivery(ABC):
    """One message that is being sent."""

    def __init__(self, outgoing: Outgoing, own_address: bytes) -> None:
        self.id = outgoing.id
        self.ends = outgoing.ends
        self.outgoing = outgoing
        is_reliable, is_reply = outgoing.manner is Manner.RELIABLE, self.ends.is_reply
        # Messages to and from reply addresses name a sender, whether or not they are acknowledged:
        # that shows who may write to the address.
        self._sender = (self.ends.own or own_address) if is_reliable or is_reply else None
        self._reply = Reply(is_reliable, bool(self.ends.own)) if is_reply else None
        self.count = (
            1
            if outgoing.manner is Manner.PLAIN
            else fragment_count(len(outgoing.message), reliable=self._sender is not None)
        )

    def content(self, piece: Piece) -> Fragment | bytes:
        """Return the content of the packet for this piece."""
        message = self.outgoing.message
        if self.outgoing.manner is Manner.PLAIN:
            return bytes(message)
        return fragment(message, bytes.fromhex(self.id), piece.fragment, self._sender, self._reply)

    @abstractmethod
    def next(self, now: float, way: Way) -> Piece | None:
        """Return the piece to send now, or None. Later, `taken` or `refused` is called for it."""

    @abstractmethod
    def rests_until(self, now: float, way: Way) -> float:
        """Return until when `next` needn't be called again; a time that is past: it has to be.

        A rest is cut short when a piece is settled, when something of the message is acknowledged,
        and when its recipient is heard after a silence.
        """

    def waits_for_loops(self, way: Way) -> bool:
        """Whether only what loops show has yet to come: whether it is done, or goes out again."""
        return False

    @abstractmethod
    def taken(self, piece: Piece, now: float) -> bytes | None:
        """Note that a mixnode took the piece. Returns the progress if it should be stored now."""

    @abstractmethod
    def refused(self, piece: Piece) -> None:
        """Note that no mixnode took the piece."""

    @property
    @abstractmethod
    def left(self) -> int:
        """How many fragments are still to be taken by a mixnode, or to be acknowledged."""

    @property
    def has_failed(self) -> bool:
        """Whether the message can't be delivered, for the reason that `stage` returns."""
        return False

    @abstractmethod
    def is_done(self, way: Way) -> bool:
        """Whether nothing is left to be sent."""

    @abstractmethod
    def stage(self, now: float, way: Way) -> Stage:
        """Return what the message waits for."""
