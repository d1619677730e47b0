"""`receive`: messages from the running client to standard output, each until it is written."""

import base64
import json
import sys
from typing import Any

from nym.cli import Options
from nym.cli.contacts import names_of_contacts
from nym.cli.control import control
from nym.cli.options import number
from nym.cli.output import complain, write
from nym.wire.keys import decode_base58
from nym.wire.text import visible

MOST = 10**8
_LONGEST_SHOWN = 10  # characters that one becomes: \\U0010ffff
_PLAIN = b"(plain) "  # before a message that the provider could read, and make up


def receive(options: Options) -> int:
    """Write messages, and acknowledge each when it is written."""
    count = None if options["--count"] is None else number("--count", options["--count"], 1, MOST)
    writer = _Writer(options)
    with control(options["--id"], is_reader=True) as client:
        # One at a time: as long as nobody reads here, the client writes nothing either.
        waits = bool(options["--follow"] or count)
        client.ask(type="subscribe", window=1, follow=waits)
        acknowledged = 0
        while acknowledged != count:
            said = client.news()
            match said["type"]:
                case "message":
                    writer.write(said)
                    # It was read, also where its reader has gone since: it isn't to come again.
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


class _Writer:
    """Puts messages on standard output in the form that is asked for."""

    def __init__(self, options: Options) -> None:
        self._is_json = options["--json"]
        is_terminal = sys.stdout is not None and sys.stdout.isatty()
        self._is_shown = is_terminal and not self._is_json
        self._is_lines = options["--lines"] or self._is_shown
        self._contacts = names_of_contacts()

    def write(self, said: dict[str, Any]) -> None:
        """All of a message. Raises OutputError, BrokenPipeError: then it stays with the client."""
        message = base64.b64decode(said["data"])
        if self._is_json:
            data = self._object(said, message)
        elif self._is_shown:
            data = shown(message) if said["sealed"] else _PLAIN + shown(message)
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
            "data": said["data"],
            "text": text,
        }
        return json.dumps(fields).encode()  # ASCII: a terminal carries nothing out


def shown(message: bytes) -> bytes:
    """A message for a terminal, which carries out nothing of it but line ends."""
    text = message.decode(errors="backslashreplace").replace("\r\n", "\n")
    lines = text.replace("\t", " " * 8).split("\n")
    return "\n".join(visible(line, _LONGEST_SHOWN * len(line) + 1) for line in lines).encode()
