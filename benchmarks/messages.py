"""Messages from one client to another one that pulls to match, each 100 bytes and anonymous.

Both, the local network that they use, and the application that sends and receives share the
machine. Packets of the sender are GAP seconds apart. The first line is the time for each message
that came while the application kept the outbox full, the second one the same while it offered
OVERLOAD times as many messages as came then. Beside both is the cryptography alone for a message,
on one processor.

A message is lost if it was accepted and didn't come, though the sender has nothing left to send and
nothing has come for SILENCE seconds. It is late if it is still on its way PATIENCE seconds after
the last one was offered.
"""

import base64
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count, islice
from queue import Queue

from benchmarks import ratios
from benchmarks.measure import Row, compare
from benchmarks.packets import USUAL_HOPS
from benchmarks.programs import CHECKOUT, Programs

GAP, PULLS = 0.001, 0.001  # seconds between two packets of the sender, and two pulls
WARM_UP, SENDING, PATIENCE = 10.0, 30.0, 60.0  # seconds
SILENCE = 10.0  # seconds; hardly any route takes half of it
OVERLOAD = 4
TOGETHER = 50  # requests
_NUMBER = 8  # bytes: each message begins with its number
_REST = bytes(100 - _NUMBER)
_LOOK = 0.5  # seconds


def run() -> list[Row]:
    """Measure it with the clients of the checkout, in some three minutes."""
    with ExitStack() as stack:
        return measured(Programs(stack, CHECKOUT))


def measured(programs: Programs) -> list[Row]:
    """Measure it with these programs."""
    programs.init("carol", message_sending_average_delay=GAP)
    # Each pull is for one address in turn. So that each brings messages, there is only one.
    programs.init("bob", fetch_message_delay=PULLS)
    programs.set("bob", "client.reply_addresses", 0)
    with (
        programs.client("carol"),
        programs.client("bob"),
        _arrivals(programs.connect("bob")) as arrivals,
    ):
        # Before it knows how much the network loses, the client keeps all messages.
        while programs.ask("carol", type="status")["loss"] is None:
            time.sleep(_LOOK)
        trials = _Trials(programs, arrivals)
        peak = trials.measure("a message")
        rate = OVERLOAD * 1e6 / peak.us
        return [peak, trials.measure(f"a message, of {rate:.0f} offered per second", rate)]


class _Arrivals:
    """When each message came, by its number, and when the last one did."""

    def __init__(self) -> None:
        self.times: dict[int, float] = {}
        self.last = time.monotonic()


class _Trials:
    """Messages from carol to bob."""

    def __init__(self, programs: Programs, arrivals: _Arrivals) -> None:
        self._programs = programs
        self._arrivals = arrivals
        self._recipient = programs.registered("bob")["address"]
        self._numbers = count()

    def measure(self, what: str, rate: float | None = None) -> Row:
        """A line: at this rate per second, or with as many messages as the client takes."""
        began = time.monotonic() + WARM_UP
        with self._programs.connect("carol") as connection:
            accepted = self._offer(connection, began + SENDING, rate)
        times = list(self._arrivals.times.values())
        in_time = sum(began < at <= began + SENDING for at in times)
        lost, late = self._missing(accepted)
        what = f"{what}: {lost} of {len(accepted)} lost, {late} late"
        return compare(what, [SENDING / in_time], [_cryptography()])

    def _offer(self, connection: socket.socket, until: float, rate: float | None) -> set[int]:
        """Returns the numbers of those that were accepted."""
        accepted: set[int] = set()
        asked: Queue[list[int]] = Queue()
        reader = threading.Thread(target=_read, args=(connection, asked, accepted))
        reader.start()
        due = time.monotonic()
        while time.monotonic() < until:
            together, before = list(islice(self._numbers, TOGETHER)), len(accepted)
            asked.put(together)
            connection.sendall("".join(map(self._request, together)).encode())
            if rate is not None:
                due += TOGETHER / rate
                time.sleep(max(0.0, due - time.monotonic()))
                continue
            asked.join()
            if len(accepted) - before < TOGETHER:  # there is no room until some have left
                time.sleep(TOGETHER * GAP)
        asked.put([])
        reader.join()
        return accepted

    def _request(self, number: int) -> str:
        data = base64.b64encode(number.to_bytes(_NUMBER, "big") + _REST).decode()
        send = {"type": "send", "recipient_address": self._recipient, "data": data}
        return json.dumps(send) + "\n"

    def _missing(self, accepted: set[int]) -> tuple[int, int]:
        """Wait for these; returns how many were lost, and how many were late."""
        give_up = time.monotonic() + PATIENCE
        while missing := len(accepted - self._arrivals.times.keys()):
            now = time.monotonic()
            if now > give_up:
                return 0, missing
            is_silent = now - self._arrivals.last > SILENCE
            if is_silent and not self._programs.ask("carol", type="status")["outbox"]:
                return missing, 0
            time.sleep(_LOOK)
        return 0, 0


def _read(connection: socket.socket, asked: "Queue[list[int]]", accepted: set[int]) -> None:
    """Read the answers, which come in the order of the requests; an empty list is the end."""
    with connection.makefile("r") as answers:
        while together := asked.get():
            for number in together:
                if json.loads(answers.readline())["type"] == "send":
                    accepted.add(number)
            asked.task_done()


@contextmanager
def _arrivals(connection: socket.socket) -> Iterator[_Arrivals]:
    """What comes meanwhile, to a subscriber that acknowledges it."""
    arrivals = _Arrivals()
    subscriber = threading.Thread(target=_receive, args=(connection, arrivals))
    subscriber.start()
    try:
        yield arrivals
    finally:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        subscriber.join()


def _receive(connection: socket.socket, arrivals: _Arrivals) -> None:
    # Until the connection ends.
    with suppress(OSError), connection, connection.makefile("r") as lines:
        connection.sendall(b'{"type":"subscribe"}\n')
        for line in lines:
            message = json.loads(line)
            if message["type"] == "message":
                arrivals.last = time.monotonic()
                number = int.from_bytes(base64.b64decode(message["data"])[:_NUMBER], "big")
                arrivals.times.setdefault(number, arrivals.last)
                acknowledged = {"type": "ack", "id": message["id"]}
                connection.sendall(json.dumps(acknowledged).encode() + b"\n")


def _cryptography() -> float:
    """Seconds for a message: an envelope, a packet, its four hops, the envelope again."""
    times = ratios.measured()
    return times["seal"] + times["create"] + USUAL_HOPS * times["process"] + times["open"]
