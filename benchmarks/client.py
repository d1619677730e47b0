"""A client of the one file: its start, what it takes while nothing happens, and how much it sends.

dist/nym-client must have been built, and the first figure needs root. It is the time from the start
of a client that knows its network to its first packet, as the kernel stamps that, beside
`python3 -c pass`. An idle client, at the default rates, is beside a bare loop of gevent that only
connects as often: processor time for each second, and memory, which is in KiB instead of
microseconds.

The last figure is the time for each message, from one client to another one that pulls to match,
when more are there than can leave. Both share the machine with the local network that they use.
Beside it is the cryptography alone for a message, on one processor.
"""

import base64
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from benchmarks import ratios
from benchmarks.measure import Row, compare
from benchmarks.packets import USUAL_HOPS
from benchmarks.programs import START, Programs, memory, read, running
from benchmarks.relay import processor_time
from benchmarks.start import PROGRAM
from benchmarks.syns import Syns
from nym.client.pace import packet_rate
from nym.config import TrafficSettings

COMMAND = (str(PROGRAM),)
STARTS = 10
IDLE = 60.0  # seconds
GAP, PULLS = 0.001, 0.004  # seconds between two packets of the sender, and two pulls
WARM_UP, SENDING, END = 10.0, 30.0, 60.0  # seconds
TOGETHER = 50  # requests
_BODY = bytes(100)


def run() -> list[Row]:
    """Measure all of that, in some three minutes. Raises PermissionError without root."""
    with Syns() as syns, ExitStack() as stack:
        programs = Programs(stack, COMMAND)
        programs.init("alice")
        with _client(programs, "alice"):
            first_hops = programs.first_hops("alice")
        rows = [_start(programs, syns, first_hops), *_idle(programs)]
        return [*rows, _messages(programs)]


def _start(programs: Programs, syns: Syns, first_hops: list[int]) -> Row:
    times, yardstick = [], []
    for _ in range(STARTS):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        yardstick.append(time.perf_counter() - began)
        began = time.time()  # the clock of the kernel's stamps
        with programs.nym("tcpsocket", "--id", "alice", "--port", "0"):
            ((first,),) = syns.next([first_hops], 1, START)
        times.append(first - began)
    return compare("start to the first packet", times, yardstick)


def _idle(programs: Programs) -> list[Row]:
    mean = 1 / packet_rate(TrafficSettings())
    bare = running([sys.executable, "-m", "benchmarks.bare", str(mean)])
    with _client(programs, "alice") as client, bare as yardstick:
        read(yardstick, r"^\d+$")
        pids = client.pid, yardstick.pid
        before = [processor_time(pid) for pid in pids]
        time.sleep(IDLE)
        times = [(processor_time(pid) - at) / IDLE for pid, at in zip(pids, before, strict=True)]
        size = [memory(pid) / 1e6 for pid in pids]
    return [
        compare("idle, each second", times[:1], times[1:]),
        compare("idle, memory in KiB", size[:1], size[1:]),
    ]


def _messages(programs: Programs) -> Row:
    programs.init("carol", message_sending_average_delay=GAP)
    programs.init("bob", fetch_message_delay=PULLS)
    with _client(programs, "carol"), _client(programs, "bob"):
        recipient = programs.registered("bob")["address"]
        came: list[float] = []
        receiving = threading.Thread(
            target=_receive, args=(programs.connect("bob"), came), daemon=True
        )
        receiving.start()
        began = time.monotonic()
        sent = _send(programs.connect("carol"), recipient)
        give_up = time.monotonic() + END
        while len(came) < sent and time.monotonic() < give_up:
            time.sleep(0.1)
    # Without the first ones, and without the last ones, among which some come late.
    steady = [at for at in came if at > began + WARM_UP][: len(came) * 9 // 10]
    what = f"a message, {sent - len(came)} of {sent} lost"
    return compare(what, [(steady[-1] - steady[0]) / (len(steady) - 1)], [_cryptography()])


def _send(connection: socket.socket, recipient: str) -> int:
    """Send as many as the client takes, for WARM_UP and SENDING seconds; returns how many."""
    request = {
        "type": "send",
        "recipient_address": recipient,
        "data": base64.b64encode(_BODY).decode(),
    }
    lines = (json.dumps(request) + "\n") * TOGETHER
    sent, until = 0, time.monotonic() + WARM_UP + SENDING
    with connection, connection.makefile("r") as answers:
        while time.monotonic() < until:
            connection.sendall(lines.encode())
            taken = sum(json.loads(answers.readline())["type"] == "send" for _ in range(TOGETHER))
            sent += taken
            if taken < TOGETHER:  # there is no room until some have left
                time.sleep(TOGETHER * GAP)
    return sent


def _receive(connection: socket.socket, came: list[float]) -> None:
    # Until the client ends.
    with suppress(OSError), connection, connection.makefile("r") as lines:
        connection.sendall(b'{"type":"subscribe"}\n')
        for line in lines:
            message = json.loads(line)
            if message["type"] == "message":
                came.append(time.monotonic())
                acknowledged = {"type": "ack", "id": message["id"]}
                connection.sendall(json.dumps(acknowledged).encode() + b"\n")


def _cryptography() -> float:
    """Seconds for a message: an envelope, a packet, its four hops, the envelope again."""
    times = ratios.measured()
    return times["seal"] + times["create"] + USUAL_HOPS * times["process"] + times["open"]


@contextmanager
def _client(programs: Programs, name: str) -> Iterator[subprocess.Popen[str]]:
    with programs.nym("tcpsocket", "--id", name, "--port", "0") as process:
        programs.registered(name)
        yield process
