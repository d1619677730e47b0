"""Every message of the run, and what became of it."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from struct import Struct

_HEAD = Struct(">8sQQ16s")  # mark, run, number, digest of the rest
_MARK = b"nym soak"
SHORTEST = _HEAD.size
LONGEST_PLAIN = 975


class Kind(StrEnum):
    """What is promised of a message."""

    ANONYMOUS = "anonymous"
    RELIABLE = "reliable"
    PLAIN = "plain"


class Answer(StrEnum):
    """What its client said when it was handed over."""

    NONE = "none"  # the connection ended first: it may have been accepted
    REFUSED = "refused"
    ACCEPTED = "accepted"


@dataclass(slots=True)
class Message:
    """One message, and what is known of it."""

    number: int
    kind: Kind
    sender: str
    recipient: str
    size: int
    answer: Answer = Answer.NONE
    id: str = ""
    arrivals: set[str] = field(default_factory=set)  # the recipient's ids for it
    acknowledged: set[str] = field(default_factory=set)  # those whose acknowledgement was answered
    state: str = ""  # what the sender's client says of it at the end


class Ledger:
    """All messages of one run."""

    def __init__(self, run: int) -> None:
        self.messages: list[Message] = []
        self.violations: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self._run = run

    def new(self, kind: Kind, sender: str, recipient: str, size: int) -> Message:
        """A message that is about to be handed over."""
        message = Message(len(self.messages), kind, sender, recipient, max(size, SHORTEST))
        self.messages.append(message)
        return message

    def content(self, message: Message) -> bytes:
        """Its bytes, which are the same whenever they are asked for."""
        rest = Random(message.number).randbytes(message.size - SHORTEST)
        digest = hashlib.sha256(rest).digest()[:16]
        return _HEAD.pack(_MARK, self._run, message.number, digest) + rest

    def arrived(self, client: str, content: bytes, inbox_id: str) -> Message | None:
        """A client's application was given this; None where it is nothing of this run."""
        message = self._find(content)
        if message is None or content != self.content(message):
            self.violate("a message that nobody sent", f"{len(content)} bytes to {client}")
            return None
        if message.recipient != client:
            self.violate("a message at the wrong client", f"{message} at {client}")
        if message.answer is Answer.REFUSED:
            self.violate("a message that was refused arrived", str(message))
        if inbox_id in message.acknowledged:
            self.violate("a message came again though acknowledged", str(message))
        message.arrivals.add(inbox_id)
        return message

    def violate(self, what: str, example: str) -> None:
        """Something is not as promised."""
        self.violations[what] += 1
        self.examples.setdefault(what, example[:300])

    def accepted(self) -> list[Message]:
        """Those that count."""
        return [message for message in self.messages if message.answer is Answer.ACCEPTED]

    def _find(self, content: bytes) -> Message | None:
        if len(content) < SHORTEST:
            return None
        number: int
        mark, run, number, _ = _HEAD.unpack_from(content)
        if (mark, run) != (_MARK, self._run) or number >= len(self.messages):
            return None
        return self.messages[number]
