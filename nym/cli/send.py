"""`send` and `reply` hand messages to the client: a text, a file, a pipe, or the lines of one."""

import base64
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO

from nym.cli import Options
from nym.cli.control import STARTING, Control, RefusedError, control
from nym.cli.homes import client_folder
from nym.cli.options import nym_folder
from nym.cli.output import complain, say
from nym.cli.progress import bar, is_shown
from nym.config.file import load_config
from nym.contacts import find_recipient
from nym.envelope import fragment_count
from nym.errors import NymError, UsageError
from nym.timing import duration
from nym.wire.sizes import LONGEST_SEALED

MOST_AT_ONCE = 64  # messages that are handed over together
FIRST_WAIT, LONGEST_WAIT = 0.2, 5.0  # seconds between two attempts with a full outbox
# Seconds until the user is told again why messages wait here. They double each time: a full outbox
# has room within minutes, a free address for an answer may take hours.
FIRST_SILENCE, LONGEST_SILENCE = 60.0, 3600.0
LOOK = 0.2  # seconds between two looks for an acknowledgement
MOST_NAMED = 10  # refused lines that an error names
_LATER = {"busy", "no_reply_address"}  # there is no room, or no address for an answer is free
_ENDS = {"failed": "given up", "cancelled": "cancelled"}
WORTH_SAYING = 10.0  # seconds; if something will take longer, the user is told


class SendError(NymError):
    """A message that can't be read, was not accepted, or did not arrive."""


def send(options: Options) -> int:
    """Hand over everything; with --wait, also wait for the acknowledgements."""
    return _hand_over(options, _request_to(options))


def reply(options: Options) -> int:
    """Answer a message that came with a tag."""
    request = {"type": "reply", "tag": options["TAG"]}
    return _hand_over(options, request | _flags(options))


def _hand_over(options: Options, request: dict[str, Any]) -> int:
    with ExitStack() as stack:
        client = stack.enter_context(control(options["--id"], patience=STARTING))
        batches = _batches(options, stack)
        # A client that doesn't answer this gets no messages, so nobody has to wonder whether it has
        # taken them.
        client.ask(type="ownDetails")
        outbox = _Outbox(client, request)
        for batch in batches:
            for message_id in outbox.accept(batch):
                if options["--json"]:
                    say(json.dumps({"id": message_id}))
            # The client can't write to its disk. It would refuse the other lines, too, and whatever
            # is read from a pipe and refused is lost. So the rest isn't read.
            if any(why.code == "storage" for _, why in outbox.refused):
                break
        outbox.check()
        if options["--wait"]:
            _wait(client, outbox.accepted)
    return 0


def _flags(options: Options) -> dict[str, bool]:
    flags = {
        "reliable": options["--reliable"] or options["--wait"],
        "anonymous_reply": options["--reply"],
    }
    return {name: True for name, is_given in flags.items() if is_given}


def _request_to(options: Options) -> dict[str, Any]:
    flags = _flags(options)
    is_reliable = "reliable" in flags
    is_manner_given = options["--plain"] or is_reliable
    contact = find_recipient(nym_folder(), options["TO"], is_manner_given=is_manner_given)
    is_plain = options["--plain"] or contact.is_plain
    if is_plain and is_reliable:
        raise UsageError(
            "recipients that run the published client don't acknowledge anything, so --plain, and "
            "contacts added with it, can't be combined with --reliable or --wait"
        )
    if is_plain and options["--reply"]:
        raise UsageError(
            "recipients that run the published client can't answer a message that is sent with "
            "--reply, so it can't be combined with --plain"
        )
    request: dict[str, Any] = {"type": "send", "recipient_address": str(contact.recipient)}
    if is_plain:
        request["plain"] = True
    return request | flags


def _batches(options: Options, stack: ExitStack) -> Iterator[list[bytes]]:
    """The messages, in groups that are handed over together."""
    if options["--message"] is not None:
        if options["FILE"] is not None:
            raise UsageError("--message and FILE can't be used together")
        # As bytes, so that a text in any encoding arrives as it was typed.
        return iter([[_checked(os.fsencode(options["--message"]), options)]])
    source = _open(options["FILE"], stack)
    if options["--lines"]:
        return _lines(source)
    return iter([[_checked(_read_message(source), options)]])


def _open(name: str | None, stack: ExitStack) -> BinaryIO:
    if name not in (None, "-"):
        try:
            return stack.enter_context(open(name, "rb"))
        except FileNotFoundError as error:
            raise SendError(
                f"there is no file {name}; to send a text, use --message TEXT"
            ) from error
        except OSError as error:
            raise SendError(f"{name} can't be read: {error.strerror}") from error
    if sys.stdin is None:
        raise SendError("standard input is closed, and no file is named")
    if sys.stdin.isatty():
        complain("type the message; Ctrl-D at the beginning of a line ends it")
    return sys.stdin.buffer


def _read_message(source: BinaryIO) -> bytes:
    with _reading():
        message = source.read(LONGEST_SEALED + 1)  # one byte more shows that it is too long
    if len(message) > LONGEST_SEALED:
        raise SendError(
            f"this is longer than a message can be ({LONGEST_SEALED >> 20} MiB), and nothing was "
            "sent; the command split can cut it into pieces"
        )
    return message


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SendError(f"the input can't be read: {error.strerror}") from error


def _read_some(source: BinaryIO) -> bytes:
    with _reading():
        # Not `read`, which waits until it has all 64 KiB. With `tail -f`, lines come one by one.
        some: bytes = source.read1(1 << 16)  # type: ignore[attr-defined]
    return some


def _lines(source: BinaryIO) -> Iterator[list[bytes]]:
    """The lines, without their ends. Lines that are read together are handed over together.

    The client then writes them to its disk together, which is much faster than one by one.
    """
    rest, count = b"", 0
    while more := _read_some(source):
        *lines, rest = (rest + more).split(b"\n")
        for start in range(0, len(lines), MOST_AT_ONCE):
            yield lines[start : start + MOST_AT_ONCE]
        count += len(lines)
        if len(rest) > LONGEST_SEALED:
            raise SendError(
                f"line {count + 1} is longer than a message can be ({LONGEST_SEALED >> 20} MiB); "
                "neither this line nor those after it were sent"
            )
    if rest:
        yield [rest]


def _checked(message: bytes, options: Options) -> bytes:
    """`message`; the user is told if sending it will take long.

    It can't be sent faster: packets leave at the rate of the cover traffic, or they would show
    that somebody sends.
    """
    if options.get("--plain") or not is_shown():
        return message
    traffic = load_config(client_folder(options["--id"])).traffic
    packets = fragment_count(len(message), reliable=options["--reliable"] or options["--wait"])
    seconds = packets * traffic.message_sending_average_delay
    if seconds >= WORTH_SAYING:
        complain(
            f"{len(message)} bytes are {packets} packets, which take {duration(seconds)} or more: "
            "they leave at the rate of the cover traffic"
        )
    return message


class _Outbox:
    """Hands messages to the client. While the client's outbox is full, they wait here, in order.

    A refused line doesn't stop the others, which were handed over together with it.
    """

    def __init__(self, client: Control, request: dict[str, Any]) -> None:
        self._client = client
        self._request = request
        self._wait = self._silence = self._said = 0.0
        self._read = 0
        self.accepted: list[tuple[str, int]] = []  # (id, length)
        self.refused: list[tuple[int, RefusedError]] = []  # (which one, counted from 1, why)

    def accept(self, messages: list[bytes]) -> Iterator[str]:
        """Hand over messages; yields the id of each as soon as the client has accepted it."""
        waiting = list(enumerate(messages, self._read + 1))
        self._read += len(messages)
        while waiting:
            for _, message in waiting:
                data = base64.b64encode(message).decode()
                self._client.say(**self._request, data=data)
            answered = [(number, message, self._client.outcome()) for number, message in waiting]
            waiting, full = [], None
            for number, message, answer in answered:
                if not isinstance(answer, RefusedError):
                    self.accepted.append((answer["id"], len(message)))
                    yield answer["id"]
                elif answer.code in _LATER:
                    waiting.append((number, message))
                    full = str(answer)
                else:
                    self.refused.append((number, answer))
            # That doesn't mean that a message is bad, only that it has to wait.
            self._pause(full)

    def check(self) -> None:
        """Raises RefusedError or SendError if something was refused."""
        if not self.refused:
            return
        number, why = self.refused[0]
        if self._read == 1:
            raise why
        which = ", ".join(str(number) for number, _ in self.refused[:MOST_NAMED])
        more = ", ..." if len(self.refused) > MOST_NAMED else ""
        raise SendError(
            f"of {self._read} lines, these were refused: {which}{more}. The others were accepted. "
            f"Line {number}: {why}"
        )

    def _pause(self, full: str | None) -> None:
        """If there is no room, wait a moment. `full` says why; the user is told now and then."""
        if full is None:
            self._wait = 0.0
            return
        now = time.monotonic()
        if now - self._said >= self._silence:
            complain(f"{full}. Waiting")
            self._said = now
            self._silence = min(LONGEST_SILENCE, 2 * self._silence) or FIRST_SILENCE
        self._wait = min(LONGEST_WAIT, self._wait * 2) or FIRST_WAIT
        time.sleep(self._wait)


def _wait(client: Control, accepted: list[tuple[str, int]]) -> None:
    """Wait for all acknowledgements. Raises SendError if a message was given up or cancelled."""
    failed = []
    said = {"turn", "hand_over"}  # every message waits for these a while, so they aren't told
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
