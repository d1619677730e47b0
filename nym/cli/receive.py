"""`receive` writes messages from the running client to standard output.

The client removes a message only when this command tells it that the message has been written. So a
message may be printed twice if the command is killed in between, but no message is lost.
"""

import base64
import json
import shlex
import sys
import time
from math import inf
from typing import Any

from nym.cli import Options
from nym.cli.contacts import names_of_contacts
from nym.cli.control import STARTING, control
from nym.cli.options import number
from nym.cli.output import complain, write
from nym.errors import NymError
from nym.wire.keys import decode_base58
from nym.wire.text import visible

MOST = 10**8  # messages for --count
LONGEST_TIMEOUT = 10**8  # seconds
_LONGEST_SHOWN = 10  # characters that one character can become: \\U0010ffff
_PLAIN = b"(plain) "  # stands before a message that the provider could read, or could have made up


class TimeoutReachedError(NymError):
    """Fewer messages have arrived in time than were asked for."""


def receive(options: Options) -> int:
    """Write messages, and acknowledge each one once it is written."""
    count = _number("--count", options, 1, MOST)
    timeout = _number("--timeout", options, 0, LONGEST_TIMEOUT)
    waits = bool(options["--follow"] or count or timeout is not None)
    until = inf if timeout is None else time.monotonic() + timeout
    writer = _Writer(options)
    with control(options["--id"], is_reader=True, patience=STARTING) as client:
        # window=1: the client hands over one message at a time. While nobody reads the output, it
        # keeps the rest.
        client.ask(type="subscribe", window=1, follow=waits)
        acknowledged = 0
        while acknowledged != count:
            # Once a message is written, the client has to hear of it, or the message would come
            # again. So no time limit applies to that.
            said = client.news(inf if client.owes_word else until)
            if said is None:
                _check_count(acknowledged, count, timeout)
                break
            match said["type"]:
                case "message":
                    writer.write(said)
                    # From here on, it doesn't matter if the reader goes away: it has this message.
                    client.owes_word = True
                    client.say(type="ack", id=said["id"])
                case "ack":
                    client.owes_word = False
                    acknowledged += 1
                case "failed":
                    complain(f"message {said['id']} was not acknowledged: given up")
                case "end":
                    break
    return 0


def _number(name: str, options: Options, lowest: int, highest: int) -> int | None:
    return None if options[name] is None else number(name, options[name], lowest, highest)


def _check_count(acknowledged: int, count: int | None, timeout: int | None) -> None:
    """Raises TimeoutReachedError if more messages were wanted. The others stay with the client."""
    if count is not None and acknowledged < count:
        raise TimeoutReachedError(
            f"only {acknowledged} of {count} messages arrived within {timeout} s"
        )


class _Writer:
    """Writes messages to standard output, in the form that the options ask for."""

    def __init__(self, options: Options) -> None:
        self._id = options["--id"]
        self._is_json = options["--json"]
        is_terminal = sys.stdout is not None and sys.stdout.isatty()
        self._is_shown = is_terminal and not self._is_json
        self._is_lines = options["--lines"] or self._is_shown
        self._contacts = names_of_contacts()

    def write(self, said: dict[str, Any]) -> None:
        """Write one message. If this raises OutputError or BrokenPipeError, the client keeps it."""
        message = base64.b64decode(said["data"])
        if self._is_json:
            data = self._object(said, message)
        elif self._is_shown:
            data = shown(message) if said["sealed"] else _PLAIN + shown(message)
            if hint := how_to_answer(said, self._id):
                data += f"\n{hint}".encode()
        else:
            data = message
        write(data + b"\n" if self._is_lines or self._is_json else data)

    def _object(self, said: dict[str, Any], message: bytes) -> bytes:
        sender = said["sender"]
        try:
            text = message.decode()
        except UnicodeDecodeError:
            text = None
        fields = {
            "id": said["id"],
            "received": said["received"],
            "sender": sender,
            "contact": sender and self._contacts.name_of(decode_base58(sender)),
            "sealed": said["sealed"],
            "reply_to": said.get("reply_to"),
            "reply_from": said.get("reply_from"),
            "data": said["data"],
            "text": text,
        }
        return json.dumps(fields).encode()  # ASCII, so that nothing in it can control a terminal


def how_to_answer(said: dict[str, Any], client_id: str) -> str | None:
    """What people are told about a message that came with a tag; None for other messages."""
    if (tag := said.get("reply_to")) is None:
        return None
    return f"(to answer: nym-client reply --id {shlex.quote(client_id)} {tag})"


def shown(message: bytes) -> bytes:
    """A message for a terminal: line ends stay, other control characters are shown as escapes."""
    text = message.decode(errors="backslashreplace").replace("\r\n", "\n")
    lines = text.replace("\t", " " * 8).split("\n")
    return "\n".join(visible(line, _LONGEST_SHOWN * len(line) + 1) for line in lines).encode()
