"""kill -9 at random moments: no accepted message is lost, and no acknowledged one comes again.

The sleeps choose the moments. No test counts on anything being done by the end of a sleep.
"""

import os
import random
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import gevent
import pytest

from nym.config import TrafficSettings
from nym.config.file import load_config, save_config
from nym.identity import load_identity
from tests.harness import (
    PATIENCE,
    Application,
    Lines,
    Program,
    run_program,
    wait_until,
)

pytestmark = pytest.mark.no_cover  # a program that is killed can't say which lines it has entered

KILLS = 30  # per test; there are four
LONGEST_LIFE = 0.4  # seconds from when a client has begun to listen until it is killed
# Pulls bring messages faster than they are sent, even to a client that runs only half of the time.
# Otherwise the backlog would grow, and the tests would take longer and longer.
TRAFFIC = TrafficSettings(
    average_packet_delay=0.01,
    message_sending_average_delay=0.03,
    loop_cover_traffic_average_delay=0.2,
    fetch_message_delay=0.02,
    topology_refresh_rate=0.2,
)
GONE = (OSError, ValueError)  # what a connection raises whose other end was killed


class Victim:
    """A client in a process of its own that is killed again and again."""

    def __init__(self, home: Path, directory: str) -> None:
        run_program(home, "init", "--id", "victim", "--directory", directory)
        folder = home / "nym" / "clients" / "victim"
        save_config(replace(load_config(folder), traffic=TRAFFIC), folder)
        self.address = load_identity(folder).public_key
        self._home = home
        self._program: Program | None = None

    def start(self) -> Lines:
        """Start the client, and connect to it."""
        self._program = Program(self._home, "tcpsocket", "--id", "victim", "--port", "0")
        port = int(self._program.line("^Starting TCP socket on port: (.*)$")[1])
        return Lines(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))

    def kill(self) -> None:
        """Kill the client with SIGKILL."""
        assert self._program
        self._program.__exit__()


class Mailbox:
    """An application that receives messages over one connection after another."""

    def __init__(self) -> None:
        self.received: Counter[bytes] = Counter()
        self.acknowledged: set[bytes] = set()
        self.again: list[bytes] = []  # offered again after the client confirmed `ack`

    def subscribe(self, lines: Lines) -> None:
        """Subscribe, and acknowledge each message, until the connection ends."""
        offered: dict[str, bytes] = {}
        with suppress(*GONE):
            lines.say(type="subscribe")
            while True:
                line = lines.hear()
                if line["type"] == "message":
                    message = lines.read(line)
                    offered[message.id] = content = bytes(message.message)
                    self.received[content] += 1
                    if content in self.acknowledged:
                        self.again.append(content)
                    lines.say(type="ack", id=message.id)
                elif line["type"] == "ack":
                    self.acknowledged.add(offered[line["id"]])

    def fetch(self, lines: Lines) -> None:
        """Fetch messages again and again, until the connection ends."""
        with suppress(*GONE):
            while True:
                fetched = lines.ask(type="fetch", format="text")["messages"]
                self.received.update(message.encode() for message in fetched)
                gevent.sleep(0.02)


class Writer:
    """An application that sends one message after another."""

    def __init__(self, recipient: bytes, **flags: bool) -> None:
        self.accepted: set[bytes] = set()
        self._recipient, self._flags = recipient, flags

    def send(self, lines: Lines) -> None:
        """Send messages, until the connection ends: most in one fragment, some in several."""
        with suppress(*GONE):
            while True:
                size = random.choice((10, 10, 10, 700))
                message = os.urandom(size).hex().encode()
                lines.send(self._recipient, message, **self._flags)
                self.accepted.add(message)
                gevent.sleep(random.expovariate(10))


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[str]:
    """The URL of a directory, whose network runs in a process of its own.

    In the test's own process, the network would stand still whenever the test waits for a client
    to start.
    """
    with Program(tmp_path, "localnet", "--port", "0") as network:
        yield network.line("^directory +(.*)$")[1]


def torment(victim: Victim, work: object, is_enough: Callable[[], bool]) -> None:
    """Start the client, let `work` use its connection for a moment, and kill it; KILLS times.

    More often, until `is_enough`: on a busy machine, hardly anything gets done in such a moment.
    """
    kills = 0
    while kills < KILLS or not is_enough():
        kills += 1
        lines = victim.start()
        working = gevent.spawn(work, lines)  # type: ignore[call-overload]
        gevent.sleep(random.uniform(0, LONGEST_LIFE))
        victim.kill()
        working.join(PATIENCE)
        assert working.successful(), working.exception
        lines.__exit__()


def _has_accepted_enough(writer: Writer) -> bool:
    return len(writer.accepted) > KILLS / 2


@pytest.mark.parametrize("is_reliable", [True, False])
def test_a_killed_sender_loses_nothing(directory: str, tmp_path: Path, is_reliable: bool) -> None:
    victim, mailbox = Victim(tmp_path, directory), Mailbox()
    with ExitStack() as stack:
        bob = stack.enter_context(Application(directory, traffic=TRAFFIC))
        reading = gevent.spawn(mailbox.subscribe, stack.enter_context(bob.lines()))
        stack.callback(reading.kill)
        writer = Writer(bob.address, reliable=is_reliable)
        torment(victim, writer.send, partial(_has_accepted_enough, writer))
        victim.start()
        stack.callback(victim.kill)
        wait_until(lambda: mailbox.received.keys() >= writer.accepted, "the arrival of everything")
    assert set(mailbox.received.values()) == {1}


@pytest.mark.parametrize("take", [Mailbox.subscribe, Mailbox.fetch])
def test_a_killed_recipient_loses_nothing(directory: str, tmp_path: Path, take: object) -> None:
    victim, mailbox = Victim(tmp_path, directory), Mailbox()
    with ExitStack() as stack:
        alice = stack.enter_context(Application(directory, traffic=TRAFFIC))
        writer = Writer(victim.address, reliable=True)
        writing = gevent.spawn(writer.send, stack.enter_context(alice.lines()))
        is_enough = partial(_has_accepted_enough, writer)
        torment(victim, lambda lines: take(mailbox, lines), is_enough)  # type: ignore[operator]
        writing.kill()
        reading = gevent.spawn(take, mailbox, victim.start())  # type: ignore[call-overload]
        stack.callback(victim.kill)
        stack.callback(reading.kill)
        wait_until(lambda: mailbox.received.keys() >= writer.accepted, "the arrival of everything")
    assert mailbox.again == []
