"""`chat` sends each typed line as a message, and shows messages that arrive above that line.

One greenlet waits for the client and for the keyboard together, so the two never write to the
screen at the same time. Without a terminal, it works the same way with pipes: lines in, lines out.
"""

import base64
import os
import shlex
import shutil
import signal
import sys
import termios
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gevent

from nym.cli import Options
from nym.cli.contacts import name_of, names_of_contacts
from nym.cli.control import STARTING, Control, RefusedError, control
from nym.cli.daemon import exit_on_signals
from nym.cli.line_editor import LineEditor
from nym.cli.options import nym_folder
from nym.cli.output import complain, say, write
from nym.cli.progress import is_terminal
from nym.cli.receive import how_to_answer, shown
from nym.contacts import Contact, find_recipient
from nym.errors import NymError
from nym.wire.text import visible

# How many messages the client hands over that aren't acknowledged yet. Messages that are left for
# `receive` stay unacknowledged, so once there are this many of them, the chat shows no new ones.
WINDOW = 64
MOST_PENDING = 64  # requests without an answer; until there are fewer, no more input is read
LONGEST_SHOWN = 4096  # bytes of a message that is shown; a longer one is left for `receive`
LONGEST_READ = 1 << 16
# Returns to the beginning of the terminal's line, and clears it.
_CLEAR_LINE = "\r\x1b[K"


def chat(options: Options) -> int:
    """Chat until Ctrl-D, or until the end of standard input."""
    if sys.stdin is None:
        raise NymError("standard input is closed, so nothing can be typed")
    contact = find_recipient(nym_folder(), options["TO"], is_manner_given=options["--anonymous"])
    with (
        control(options["--id"], is_reader=True, patience=STARTING) as client,
        _keyboard() as is_typed,
    ):
        talk = _Chat(client, options, contact, is_typed=is_typed)
        talk.run()
    _tell_what_waits(options["--id"], talk.sent)
    return 0


class _Chat:
    """Sends typed lines to the client, and shows what the client receives."""

    def __init__(
        self, client: Control, options: Options, contact: Contact, *, is_typed: bool
    ) -> None:
        self._client = client
        self._id = options["--id"]
        self._to = visible(options["TO"])
        self._names = names_of_contacts()
        self._manner: dict[str, Any] = {"recipient_address": str(contact.recipient)}
        if contact.is_plain:
            self._manner["plain"] = True
        elif not options["--anonymous"]:
            self._manner["reliable"] = True
        self._line = LineEditor()
        self._is_typed = is_typed
        self._is_drawn = is_typed and is_terminal(sys.stdout)
        self._is_over = False
        self._asked: deque[str] = deque()  # types of requests without an answer yet, in order
        self.sent: list[str] = []  # ids of the messages that the client has accepted

    def run(self) -> None:
        """Run until the input has ended and every request is answered. Raises NotRunningError."""
        if self._is_typed:
            complain(self._welcome())
        self._client.ask(type="subscribe", window=WINDOW, follow=True)
        self._draw()
        while self._asked or not self._is_over:
            listens = not self._is_over and len(self._asked) < MOST_PENDING
            try:
                said = self._client.news(beside=[sys.stdin.fileno()] if listens else [])
            except RefusedError as error:
                # Answers come in the order of requests, so this is about the oldest one. A message
                # that is refused, as when the outbox is full, doesn't end the chat.
                if self._asked.popleft() != "send":
                    raise
                self._print(f"not sent: {error}")
                continue
            if said is None:
                self._read()
            else:
                self._hear(said)
        if self._is_drawn:
            write(b"\n")

    def _welcome(self) -> str:
        if "reliable" in self._manner:
            learns = f"{self._to} learns that you write"
        elif "plain" in self._manner:
            learns = "your messages are plain: the recipient's provider can read them"
        else:
            learns = f"{self._to} does not learn that you write"
        return f"{self._id} to {self._to}: {learns}. Ctrl-D ends the chat."

    def _read(self) -> None:
        data = os.read(sys.stdin.fileno(), LONGEST_READ)
        lines = self._line.feed(data)
        if not data and self._line.text:
            lines.append(self._line.text)  # the last line of a file may lack its end
        for line in lines:
            if line:
                self._send(line)
        self._is_over = not data or self._line.is_over
        self._draw()

    def _send(self, line: str) -> None:
        # `_keyboard` has turned off the terminal's display of keys, so the line is printed here.
        if self._is_drawn:
            self._print(f"{self._id}: {visible(line, 10 * len(line) + 1)}")
        data = base64.b64encode(line.encode()).decode()
        self._ask(type="send", data=data, **self._manner)

    def _hear(self, said: dict[str, Any]) -> None:
        match said["type"]:
            case "message":
                self._show(said)
            case "send":
                self._asked.popleft()
                self.sent.append(said["id"])
            case "ack":
                self._asked.popleft()
            case "failed":
                self._print(f"message {said['id']} was not acknowledged: given up")

    def _show(self, said: dict[str, Any]) -> None:
        """Show and acknowledge a message if it is a short text. Others are left for `receive`."""
        message = base64.b64decode(said["data"])
        sender = self._sender(said)
        try:
            text = message.decode()
        except UnicodeDecodeError:
            text = None
        if text is None or len(message) > LONGEST_SHOWN:
            self._print(
                f"{sender} sent {len(message)} bytes of data; get them with: "
                f"nym-client receive --id {shlex.quote(self._id)}"
            )
            return
        head = f"{sender}: "
        lines = shown(text.rstrip("\r\n").encode()).decode().split("\n")
        # All lines but the first are indented. Otherwise a message with line ends in it could look
        # as if another contact had written a part of it.
        self._print(head + ("\n" + " " * len(head)).join(lines))
        # The chat itself doesn't answer it: what is typed here goes to somebody else, or tells this
        # client's address. The tag isn't shown again, because the message leaves the client.
        if hint := how_to_answer(said, self._id):
            self._print(hint)
        self._ask(type="ack", id=said["id"])

    def _ask(self, **request: object) -> None:
        self._client.say(**request)
        self._asked.append(str(request["type"]))

    def _sender(self, said: dict[str, Any]) -> str:
        # Only the one to whom an address was given can write to it.
        if known := said["sender"] or said.get("reply_from"):
            return name_of(self._names, known) or str(known)
        return "(anonymous)" if said["sealed"] else "(plain)"

    def _print(self, text: str) -> None:
        """Print text above the line that is being typed, and draw that line again."""
        if self._is_drawn:
            write(_CLEAR_LINE.encode())
        say(text)
        self._draw()

    def _draw(self) -> None:
        if self._is_drawn:
            columns = shutil.get_terminal_size().columns
            write(f"{_CLEAR_LINE}{self._line.picture(columns)}".encode())


def _tell_what_waits(client_id: str, sent: list[str]) -> None:
    """Tell the user how many messages may not have arrived. The chat itself doesn't show it."""
    with control(client_id) as client:
        states = [client.ask(type="progress", id=message_id)["state"] for message_id in sent]
    if waiting := states.count("waiting"):
        complain(
            f"not confirmed yet: {waiting} of {len(sent)}. The client keeps sending; see what "
            f"waits with: nym-client outbox list --id {shlex.quote(client_id)}"
        )


@contextmanager
def _keyboard() -> Iterator[bool]:
    """Make the terminal deliver each key at once, without showing it; False without a terminal.

    The terminal's settings are restored however this ends, and while Ctrl-Z has stopped the
    program. Otherwise the shell would be left with a terminal that shows no keys.
    """
    if not is_terminal(sys.stdin):
        yield False
        return
    file = sys.stdin.fileno()
    before = termios.tcgetattr(file)
    keys = termios.tcgetattr(file)
    # Index 3 is lflag (termios(3)). ISIG stays, so Ctrl-C and Ctrl-Z still send signals.
    keys[3] &= ~(termios.ICANON | termios.ECHO)

    def restore() -> None:
        termios.tcsetattr(file, termios.TCSADRAIN, before)

    def take() -> None:
        termios.tcsetattr(file, termios.TCSADRAIN, keys)

    def pause() -> None:
        restore()
        # Not SIGTSTP, which is handled here and so doesn't stop the program.
        os.kill(os.getpid(), signal.SIGSTOP)

    handlers = [
        gevent.signal_handler(signal.SIGTSTP, pause),
        gevent.signal_handler(signal.SIGCONT, take),
    ]
    try:
        with exit_on_signals():
            take()
            yield True
    finally:
        for handler in handlers:
            handler.cancel()
        restore()
