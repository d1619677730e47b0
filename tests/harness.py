"""What tests of running parts share: servers that do as told, clients, programs, waiting."""

import base64
import json
import os
import re
import resource
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, TypeVar

import gevent
import pytest
from gevent.pywsgi import WSGIServer
from gevent.server import StreamServer

from nym.client.client import Client
from nym.client.deliveries import Deliveries
from nym.client.delivery import Stage, Way
from nym.config import ClientSettings, Config, PrivacySettings, SocketSettings, TrafficSettings
from nym.contacts import CurrentContacts
from nym.errors import NymError
from nym.identity import Identity, generate_identity
from nym.localnet.network import Network
from nym.net.listening import listen
from nym.service import Service
from nym.sockets.local import ApplicationSocket
from nym.sockets.tcp import TcpSocket
from nym.sphinx import public_key
from nym.store.inbox import Inbox
from nym.store.journal import Journal
from nym.store.outbox import Manner, Outbox
from nym.topology import ProviderNode, Topology
from nym.wire.addresses import NodeAddress
from nym.wire.keys import decode_base58, encode_base58
from nym.wire.provider import decode_messages
from nym.wire.requests import Received, StatusReport

# What is tested as a program: the checkout's, or the one that NYM_CLIENT names.
PROGRAM = os.environ.get("NYM_CLIENT", f"{sys.executable} -m nym")
# Where it is one file, this is it, without what may start it.
FILE = Path(shlex.split(PROGRAM)[-1]).absolute()
for_one_file = pytest.mark.skipif("NYM_CLIENT" not in os.environ, reason="NYM_CLIENT names no file")

PATIENCE = 600.0  # seconds until a test gives up: on a busy machine, too, a passing one doesn't
FAST = TrafficSettings(
    average_packet_delay=0.01,
    message_sending_average_delay=0.02,
    loop_cover_traffic_average_delay=0.1,
    fetch_message_delay=0.05,
    topology_refresh_rate=0.2,
)


Result = TypeVar("Result")


def wait_until(condition: Callable[[], object], what: str = "it") -> None:
    """Wait for a condition, not for seconds."""
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up, f"{what} did not happen within {PATIENCE} s"
        gevent.sleep(0.01)


def beside(wait: Callable[..., Result], *arguments: Any, **named: Any) -> Result:
    """What `wait` gives, which waits for a process: in a thread, so that greenlets go on."""
    return gevent.get_hub().threadpool.apply(wait, arguments, named)


@contextmanager
def serving(
    serve: Callable[[socket.socket], None], host: str = "127.0.0.1", port: int = 0
) -> Iterator[NodeAddress]:
    """A TCP server that does as told with each connection."""

    def handle(connection: socket.socket, peer: object) -> None:
        with connection:
            try:
                serve(connection)
            except OSError:
                return  # a peer that is gone is the test's business, not the server's

    server = StreamServer((host, port), handle)
    address = listen(server)
    try:
        yield address
    finally:
        server.stop(timeout=0)


@contextmanager
def serving_http(body: Callable[[], bytes], status: str = "200 OK") -> Iterator[str]:
    """An HTTP server that answers everything with `body()`; gives its URL."""

    def answer(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response(status, [])
        return [body()]

    server = WSGIServer(("127.0.0.1", 0), answer, log=None)
    address = listen(server)
    try:
        yield f"http://{address}"
    finally:
        server.stop(timeout=0)


@contextmanager
def running(network: Network) -> Iterator[Network]:
    """A network that runs for a while."""
    network.start()
    try:
        yield network
    finally:
        network.stop()


def contents(messages: Iterable[Received]) -> list[bytes]:
    """What is in them."""
    return [bytes(received.message) for received in messages]


def deliver(
    inbox: Inbox, message: bytes, sender: bytes | None = None, *, is_sealed: bool = True
) -> bool:
    """A message came in, and is on disk; False if there was no room."""
    is_kept = inbox.deliver(message, sender, is_sealed=is_sealed)
    inbox.settle()
    return is_kept


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def without_descriptors() -> Iterator[None]:
    """Nothing can be opened inside."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


class SmallDisk:
    """A disk with room for so many bytes, of which others take some."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._other = folder / "others"

    def fill(self) -> None:
        """Leave no room."""
        with self._other.open("ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(1024))

    def empty(self) -> None:
        """All is free again."""
        self._other.unlink()


# Addresses that somebody can have, in the order in which they are listed.
OWN, OTHER = sorted(public_key(bytes([number]).ljust(32, b"\0")) for number in (2, 3))
_AT = NodeAddress("127.0.0.1", 1)
TOPOLOGY = Topology((), (ProviderNode(_AT, _AT, bytes(32), frozenset({OWN, OTHER})),))


class Unconnected:
    """What a client without a network knows; see service.View."""

    def __init__(self, outbox: Outbox, inbox: Inbox, topology: Topology | None = None) -> None:
        self.topology = topology
        self.provider: ProviderNode | None = None
        self._outbox, self._inbox = outbox, inbox

    def report(self) -> StatusReport:
        """How it runs."""
        own = encode_base58(OWN)
        return StatusReport("0.4.0", own, outbox=len(self._outbox), inbox=len(self._inbox))

    def network(self) -> None:
        """None."""


def undelivered(outbox: Outbox, lifetime: float = 0.0) -> Deliveries:
    """The messages of an outbox, in a client without a network."""
    return Deliveries(
        outbox, OWN, 1.0, lambda recipient: Stage.NETWORK, lambda: Way(None), lifetime
    )


class Served:
    """A socket for applications in this process, and behind it a client without a network."""

    def __init__(self, kind: type[ApplicationSocket], **settings: Any) -> None:
        self.folder = TemporaryDirectory()
        self.journal = Journal(Path(self.folder.name), bytes(32))
        self.outbox, self.inbox = Outbox(self.journal), Inbox(self.journal)
        self.view = Unconnected(self.outbox, self.inbox)
        self._service = Service(
            OWN, self.outbox, self.inbox, self.view, undelivered(self.outbox), Manner.SEALED
        )
        self.socket = kind(self._service, SocketSettings(**{"port": 0, **settings}))

    def __enter__(self) -> "Served":
        try:
            self.place = self.socket.start()
        except NymError:
            self._clean_up()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.stop()
        self._clean_up()

    def _clean_up(self) -> None:
        self.journal.close()
        self.folder.cleanup()

    def deliver(self, *messages: bytes) -> None:
        """Messages came in."""
        assert all(self.inbox.deliver(message, is_sealed=True) for message in messages)
        self.inbox.settle()

    @property
    def port(self) -> int:
        """Where it listens."""
        assert isinstance(self.place, int)
        return self.place

    def connect(self) -> socket.socket:
        """An application's connection."""
        if isinstance(self.place, int):
            return socket.create_connection(("127.0.0.1", self.place), timeout=PATIENCE)
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE)
        connection.connect(str(self.place))
        return connection


class Lines:
    """An application that speaks JSON, a line each."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._file = connection.makefile("rwb")

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # what was not written yet, to a peer that is gone
            self._file.close()
        self.connection.close()

    def say(self, **request: object) -> None:
        """One request."""
        self._file.write(json.dumps(request).encode() + b"\n")
        self._file.flush()

    def hear(self) -> Any:
        """The next line."""
        return json.loads(self._file.readline())

    def ask(self, **request: object) -> Any:
        """One request, one answer."""
        self.say(**request)
        return self.hear()

    def send(self, recipient: bytes, message: bytes, **flags: bool) -> str:
        """Send, and expect it to be accepted; returns the message's id."""
        answer = self.ask(
            type="send",
            recipient_address=encode_base58(recipient),
            data=base64.b64encode(message).decode(),
            **flags,
        )
        assert answer["type"] == "send", answer
        return str(answer["id"])

    def receive(self) -> Received:
        """The next message of a subscription, acknowledged."""
        while (line := self.hear())["type"] != "message":
            # An acknowledgement is answered so where the disk fails just then.
            assert line["type"] in ("ack", "subscribe") or line["code"] == "storage", line
        self.say(type="ack", id=line["id"])
        return self.read(line)

    @staticmethod
    def read(line: dict[str, Any]) -> Received:
        """The message of a line."""
        sender = line["sender"] and decode_base58(line["sender"])
        return Received(line["id"], base64.b64decode(line["data"]), line["received"], sender)


class Application:
    """A client in this process, and a connection to its socket, as an application has one."""

    def __init__(
        self,
        directory: str,
        *,
        traffic: TrafficSettings = FAST,
        identity: Identity | None = None,
        revive: Callable[[], bool] | None = None,
        folder: Path | None = None,
        seal: bool = True,
        **settings: Any,
    ) -> None:
        self._own_folder = TemporaryDirectory()
        self.identity = identity or generate_identity()
        self.address = self.identity.public_key
        config = Config(
            client=replace(ClientSettings(id="test", directory=directory), **settings),
            socket=SocketSettings(port=0),
            traffic=traffic,
            privacy=PrivacySettings(seal=seal),
        )
        self.folder = folder or Path(self._own_folder.name)
        self.client = Client(
            self.identity, config, self.folder, TcpSocket, CurrentContacts(self.folder), revive
        )
        port = self.client.listen()
        assert isinstance(port, int)
        self.connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.client.start()

    def __enter__(self) -> "Application":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
        self.client.stop()
        self._own_folder.cleanup()

    def lines(self) -> Lines:
        """Another connection, that speaks JSON."""
        port = self.connection.getpeername()[1]
        return Lines(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))

    def ask(self, request: bytes) -> bytes:
        """One raw request, one answer."""
        self.connection.sendall(request)
        return self.connection.recv(1 << 20)

    def send(self, recipient: bytes, message: bytes) -> None:
        """Send, and expect it to be accepted."""
        assert self.ask(b"\x01" + recipient + message) == b"ok"

    def receive(self, count: int) -> list[bytes]:
        """The next `count` messages, in the order in which they came."""
        received: list[bytes] = []

        def enough() -> bool:
            received.extend(decode_messages(self.ask(b"\x02")))
            return len(received) >= count

        wait_until(enough, f"the arrival of {count} messages")
        return received

    def clients(self) -> list[bytes]:
        """The addresses that it knows of; the answer to say that there are none is no bytes."""
        self.connection.settimeout(0.2)
        try:
            listed = self.ask(b"\x03")
        except TimeoutError:
            listed = b""
        self.connection.settimeout(PATIENCE)
        return [listed[i : i + 32] for i in range(0, len(listed), 32)]


class Program:
    """The program in a process of its own, with a home of its own."""

    command: Sequence[str] = shlex.split(PROGRAM)

    def __init__(
        self,
        home: Path,
        *arguments: str,
        umask: int = 0o022,
        environment: Mapping[str, str] | None = None,
        **how: Any,
    ) -> None:
        own = {"XDG_CONFIG_HOME": str(home), "PYTHONPATH": os.getcwd()}
        self.process = subprocess.Popen(
            [*self.command, *arguments],
            env={**os.environ, **own, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            umask=umask,
            **how,
        )

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def line(self, pattern: str) -> re.Match[str]:
        """Read standard output up to a line that matches."""
        return self._find(self.process.stdout, pattern)

    def logged(self, pattern: str) -> re.Match[str]:
        """Read standard error up to a line that matches."""
        return self._find(self.process.stderr, pattern)

    def _find(self, stream: IO[bytes] | None, pattern: str) -> re.Match[str]:
        for line in stream or ():
            if match := re.search(pattern, line.decode()):
                return match
        raise AssertionError(f"no line like {pattern!r}; {self.end()}")

    def end(self, number: int | None = None) -> tuple[int, str, str]:
        """Send a signal, if one is given; (exit code, standard output, standard error)."""
        if number is not None:
            self.process.send_signal(signal.Signals(number))
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out.decode(), err.decode()


def run_program(home: Path, *arguments: str, umask: int = 0o022) -> tuple[int, str, str]:
    """Run it to its end; (exit code, standard output, standard error)."""
    with Program(home, *arguments, umask=umask) as program:
        return program.end()


def run_in_own_network(module: str) -> tuple[Any, str]:
    """Run a module of the tests where it has network and mounts of its own, which root can have.

    (What it prints as JSON, its standard error.)
    """
    folder = Path(__file__).parent
    alone = [str(folder / "private-mounts"), "unshare", "--net"]
    ran = subprocess.run(
        [*alone, sys.executable, "-m", "gevent.monkey", "--module", module],
        capture_output=True,
        timeout=2 * PATIENCE,
        check=True,
        cwd=folder.parent,
    )
    return json.loads(ran.stdout), ran.stderr.decode()
