"""`send`: a message from a file or a pipe, or one a line, to the running client."""

import base64
import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO

from nym.cli import Options
from nym.cli.control import Control, RefusedError, control
from nym.cli.options import client_folder, nym_folder
from nym.cli.output import complain, say
from nym.cli.progress import bar, is_shown
from nym.config.file import load_config
from nym.contacts import find_recipient
from nym.envelope import fragment_count
from nym.errors import NymError, UsageError
from nym.timing import duration
from nym.wire.keys import encode_base58
from nym.wire.sizes import LONGEST_SEALED

MOST_AT_ONCE = 64  # messages that are handed over together
FIRST_WAIT, LONGEST_WAIT = 0.2, 5.0  # seconds until a full outbox is tried again
SAY_AGAIN = 60.0  # seconds until it is said again that, and why, it is full
LOOK = 0.2  # seconds between looks for an acknowledgement
MOST_NAMED = 10  # refused lines
_ENDS = {"failed": "given up", "cancelled": "cancelled"}
WORTH_SAYING = 10.0  # seconds that a message takes


class SendError(NymError):
    """A message that can't be read, wasn't accepted, or did not arrive."""


def send(options: Options) -> int:
    """Hand over everything, and wait for acknowledgements where that is asked for."""
    manner = _manner(options)
    with ExitStack() as stack:
        client = stack.enter_context(control(options["--id"]))
        source = _open(options["FILE"], stack)
        if options["--lines"]:
            batches = _lines(source)
        else:
            message = _read_message(source)
            _announce(message, options)
            batches = iter([[message]])
        client.ask(type="ownDetails")  # one that doesn't answer gets nothing
        outbox = _Outbox(client, manner)
        for batch in batches:
            for message_id in outbox.accept(batch):
                if options["--json"]:
                    say(json.dumps({"id": message_id}))
            if any(why.code == "storage" for _, why in outbox.refused):
                break
        outbox.check()
        if options["--wait"]:
            _wait(client, outbox.accepted)
    return 0


def _manner(options: Options) -> dict[str, Any]:
    is_reliable = options["--reliable"] or options["--wait"]
    is_manner_given = options["--plain"] or is_reliable
    contact = find_recipient(nym_folder(), options["TO"], is_manner_given=is_manner_given)
    is_plain = options["--plain"] or contact.is_plain
    if is_plain and is_reliable:
        raise UsageError(
            "recipients that run the published client don't acknowledge anything, so --plain, and "
            "contacts added with it, can't be combined with --reliable or --wait"
        )
    manner: dict[str, Any] = {"recipient_address": encode_base58(contact.address)}
    if is_plain:
        manner["plain"] = True
    if is_reliable:
        manner["reliable"] = True
    return manner


def _open(name: str | None, stack: ExitStack) -> BinaryIO:
    if name not in (None, "-"):
        try:
            return stack.enter_context(open(name, "rb"))
        except OSError as error:
            raise SendError(f"{name} can't be read: {error.strerror}") from error
    if sys.stdin is None:
        raise SendError("standard input is closed, and no file is named")
    if sys.stdin.isatty():
        complain("type the message; Ctrl-D at the beginning of a line ends it")
    return sys.stdin.buffer


def _read_message(source: BinaryIO) -> bytes:
    with _reading():
        message = source.read(LONGEST_SEALED + 1)
    if len(message) > LONGEST_SEALED:
        raise SendError(
            f"this is longer than a message can be, {LONGEST_SEALED >> 20} MiB, and nothing of it "
            "was sent; split cuts it into pieces"
        )
    return message


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SendError(f"what is to be sent can't be read: {error.strerror}") from error


def _read_some(source: BinaryIO) -> bytes:
    with _reading():
        some: bytes = source.read1(1 << 16)  # type: ignore[attr-defined]
    return some


def _lines(source: BinaryIO) -> Iterator[list[bytes]]:
    """The lines that are there already together, so that the client writes them in one go."""
    rest, count = b"", 0
    while more := _read_some(source):
        *lines, rest = (rest + more).split(b"\n")
        for start in range(0, len(lines), MOST_AT_ONCE):
            yield lines[start : start + MOST_AT_ONCE]
        count += len(lines)
        if len(rest) > LONGEST_SEALED:
            raise SendError(
                f"line {count + 1} is longer than a message can be, {LONGEST_SEALED >> 20} MiB; it "
                "was not sent, nor what follows it"
            )
    if rest:
        yield [rest]


def _announce(message: bytes, options: Options) -> None:
    """Say beforehand what takes long: cover traffic sets the pace, and nothing hurries it."""
    if options["--plain"] or not is_shown():
        return
    traffic = load_config(client_folder(options["--id"])).traffic
    packets = fragment_count(len(message), reliable=options["--reliable"] or options["--wait"])
    seconds = packets * traffic.message_sending_average_delay
    if seconds >= WORTH_SAYING:
        complain(
            f"{len(message)} bytes are {packets} packets; at the pace of the cover traffic they "
            f"take {duration(seconds)} or more"
        )


class _Outbox:
    """The client's, which may be full: then what it has no room for waits here, in order.

    A refused line stops nothing: the others were handed over with it.
    """

    def __init__(self, client: Control, manner: dict[str, Any]) -> None:
        self._client = client
        self._manner = manner
        self._wait = self._said = 0.0
        self._read = 0
        self.accepted: list[tuple[str, int]] = []  # (id, length)
        self.refused: list[tuple[int, RefusedError]] = []  # (which one, counted from 1, why)

    def accept(self, messages: list[bytes]) -> Iterator[str]:
        """The ids under which the client accepted them, as it does."""
        waiting = list(enumerate(messages, self._read + 1))
        self._read += len(messages)
        while waiting:
            for _, message in waiting:
                data = base64.b64encode(message).decode()
                self._client.say(type="send", data=data, **self._manner)
            answered = [(number, message, self._client.outcome()) for number, message in waiting]
            waiting, full = [], None
            for number, message, answer in answered:
                if not isinstance(answer, RefusedError):
                    self.accepted.append((answer["id"], len(message)))
                    yield answer["id"]
                elif answer.code == "busy":
                    waiting.append((number, message))
                    full = str(answer)
                else:
                    self.refused.append((number, answer))
            self._pause(full)

    def check(self) -> None:
        """Raises RefusedError or SendError where something was refused."""
        if not self.refused:
            return
        number, why = self.refused[0]
        if self._read == 1:
            raise why
        which = ", ".join(str(number) for number, _ in self.refused[:MOST_NAMED])
        more = ", ..." if len(self.refused) > MOST_NAMED else ""
        raise SendError(
            f"of {self._read} lines these were refused, the others accepted: {which}{more}. "
            f"Line {number}: {why}"
        )

    def _pause(self, full: str | None) -> None:
        """Wait for room, if it is `full`; that sentence is said, and from time to time again."""
        if full is None:
            self._wait = self._said = 0.0
            return
        if not self._wait or time.monotonic() - self._said > SAY_AGAIN:
            self._said = time.monotonic()
            complain(f"{full}. Waiting for room")
        self._wait = min(LONGEST_WAIT, self._wait * 2) or FIRST_WAIT
        time.sleep(self._wait)


def _wait(client: Control, accepted: list[tuple[str, int]]) -> None:
    """Until everything was acknowledged. Raises SendError for what was given up or cancelled."""
    failed = []
    said = {"turn", "hand_over"}  # which goes without saying
    began = time.monotonic()
    with bar(sum(length for _, length in accepted)) as shown:
        for message_id, length in accepted:
            done = 0
            while (progress := _progress(client, message_id))["state"] == "waiting":
                if fragments := progress["fragments"]:
                    now_done = length * (fragments - progress["left"]) // fragments
                    shown.update(now_done - done)
                    done = now_done
                if time.monotonic() - began > WORTH_SAYING and progress["waits_for"] not in said:
                    said.add(progress["waits_for"])
                    complain(f"waiting: {progress['why']}")
                time.sleep(LOOK)
            shown.update(length - done)
            if progress["state"] != "done":
                failed.append(f"{message_id} ({_ENDS[progress['state']]})")
    if failed:
        raise SendError(
            f"{len(failed)} of {len(accepted)} messages did not arrive: {', '.join(failed)}"
        )


def _progress(client: Control, message_id: str) -> dict[str, Any]:
    client.say(type="progress", id=message_id)
    return client.hear()
