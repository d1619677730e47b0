"""What the client tells, as values. Times are in seconds; addresses and keys are in base58."""

import base64
from typing import Any, Literal, NamedTuple, TypedDict

from nym.application import files
from nym.application.lines import Answer

SHOWN = 40  # bytes of a message, where one is shown to programmers


class Message(NamedTuple):
    """A message that came.

    `sender` is the address of the client that proved to have sent it, as for reliable messages and
    answers; None if the message is anonymous, or came from a reply address. `is_sealed`: nobody on
    the way could read or change it. `received`: when it came, in seconds since 1970. If a message
    comes again, it has the same `id`.

    `reply_to`: the tag with which `Connection.reply` answers it; None if it can't be answered like
    that. `reply_from`: to whom the address was given that this answer came to, an address or a tag.
    """

    id: str
    data: bytes
    sender: str | None
    is_sealed: bool
    received: float
    reply_to: str | None = None
    reply_from: str | None = None

    def __repr__(self) -> str:
        data = f"{self.data[:SHOWN]!r}"
        if len(self.data) > SHOWN:
            data += f"... ({len(self.data)} bytes)"
        fields = {**{name: repr(value) for name, value in self._asdict().items()}, "data": data}
        return f"Message({', '.join(f'{name}={shown}' for name, shown in fields.items())})"

    @property
    def correspondent(self) -> str | None:
        """Who wrote, as far as it is known: an address or a tag, the same in a conversation.

        It isn't `reply_to` where the message came to a reply address: that was given to one
        correspondent, who is known by it.
        """
        return self.reply_from or self.reply_to or self.sender

    @property
    def text(self) -> str:
        """The message as text. Raises UnicodeDecodeError if it is none."""
        return self.data.decode()

    @property
    def file(self) -> files.File | None:
        """The file in it; None if it has none."""
        return files.parse(self.data)


def message(answer: Answer) -> Message:
    """The message in an answer."""
    return Message(
        answer["id"],
        base64.b64decode(answer["data"]),
        answer["sender"],
        answer["sealed"],
        answer["received"],
        answer.get("reply_to"),
        answer.get("reply_from"),
    )


class Contact(NamedTuple):
    """A name for an address, which is perhaps ADDRESS@PROVIDER.

    `is_plain`: this recipient runs the published client, so it gets plain messages.
    """

    name: str
    address: str
    is_plain: bool


class Progress(NamedTuple):
    """How far a message has come.

    `state` is "waiting", "done", "failed" (it was given up) or "cancelled". `left` of `fragments`
    packets are still to be sent, or to be acknowledged; both are 0 unless the message waits. Of one
    that isn't reliable, only the first copy counts, and `left` grows when packets are sent again.
    `waits_for` is a word for programs, and `why` half a sentence for people; both are None unless
    the message waits.
    """

    state: Literal["waiting", "done", "failed", "cancelled"]
    left: int
    fragments: int
    waits_for: str | None
    why: str | None


def progress(answer: Answer) -> Progress:
    """The progress in an answer."""
    return Progress(
        answer["state"], answer["left"], answer["fragments"], answer["waits_for"], answer["why"]
    )


class WaitingMessage(TypedDict):
    """A message in the outbox, as docs/protocol/sockets.md ("What waits") describes it."""

    id: str
    recipient: str
    size: int
    manner: Literal["anonymous", "reliable", "plain"]
    anonymous_reply: bool
    accepted: float
    age: float
    expires: float | None
    fragments: int
    left: int
    waits_for: str
    why: str


class Status(TypedDict):
    """How the client runs, as docs/protocol/sockets.md ("Status") describes it."""

    version: str
    address: str
    state: str
    state_seconds: float
    reason: str | None
    uptime: float
    directory: str
    directory_verified: bool
    network: dict[str, Any] | None
    provider: str | None
    provider_identity: str | None
    registered: bool
    provider_sealed: bool
    backlog: dict[str, Any] | None
    tempo: dict[str, Any] | None
    outbox: int
    inbox: int
    inbox_lost: int
    inbox_refused: dict[str, int]
    plain_refused: int
    partial: int
    partial_lost: int
    partial_given_up: dict[str, int]
    failed: list[str]
    packets_real: int
    packets_cover: int
    packets_received: int
    loops_sent: int
    loops_returned: int
    loop_time: float | None
    loss: float | None
    avoided_nodes: list[dict[str, Any]]
    reply_addresses: dict[str, int]
