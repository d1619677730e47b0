"""Helpers for tests of running parts: servers with scripted behaviour, clients, programs, waiting.

Tests wait for a condition (`wait_until`) rather than for some seconds, because the machine that
runs them may be busy. `Served` is a local socket without a network behind it, `Application` is a
whole client in the test's process, and `Program` is the program in a process of its own.
"""

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
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import SystemRandom
from tempfile import TemporaryDirectory
from typing import IO, Any, Self, TypeVar

import base58
import gevent
import pytest
from gevent.pywsgi import WSGIServer
from gevent.server import StreamServer

from nym.client.client import Client
from nym.client.deliveries import Deliveries
from nym.client.delivery import Stage, Way
from nym.client.history import History
from nym.client.own_addresses import OwnAddresses
from nym.client.replies import Replies
from nym.client.reply_addresses import ReplyAddresses, Term
from nym.client.sender import Sender
from nym.client.session import ProviderSession
from nym.client.tags import Tags
from nym.client.tempo import describe
from nym.config import ClientSettings, Config, PrivacySettings, SocketSettings, TrafficSettings
from nym.contacts import CurrentContacts
from nym.envelope import Envelopes
from nym.errors import NymError, StoreError
from nym.identity import Identity, generate_identity
from nym.localnet.network import Network
from nym.net.listening import listen
from nym.nodes.inboxes.memory import MemoryInboxes
from nym.nodes.keys import Keyring, load_token_key
from nym.nodes.provider import Provider
from nym.onlookers import Onlookers
from nym.service import Service
from nym.sockets.local import ApplicationSocket
from nym.sockets.tcp import TcpSocket
from nym.sockets.token import Token
from nym.sphinx import public_key
from nym.store.inbox import Inbox
from nym.store.journal import Journal
from nym.store.outbox import Manner, Outbox
from nym.store.state import State
from nym.topology import ProviderNode, Topology
from nym.wire.addresses import NodeAddress
from nym.wire.answers import Received
from nym.wire.keys import decode_base58, decode_tag, encode_base58
from nym.wire.provider import decode_messages
from nym.wire.reports import HistoryReport, HistorySample, LoopsReport, StatusReport
from nym.wire.sightings import Observing

# The command line of the program under test: the checkout's, unless NYM_CLIENT names another one.
PROGRAM = os.environ.get("NYM_CLIENT", f"{sys.executable} -m nym")
# The one file, if NYM_CLIENT names it: the last word, because a launcher may stand in front.
FILE = Path(shlex.split(PROGRAM)[-1]).absolute()
for_one_file = pytest.mark.skipif("NYM_CLIENT" not in os.environ, reason="NYM_CLIENT names no file")
# PyInstaller's own file, which `build_binary.sh --standard` makes.
IS_STANDARD = FILE.name == "nym-client-standard"
for_launcher = pytest.mark.skipif(
    IS_STANDARD,
    reason="only the launcher promises this; docs/one-file.md says what the standard file can't",
)

# Where a server of a test listens: the system chooses the port.
ANYWHERE = NodeAddress("127.0.0.1", 0)

# Seconds after which a test gives up. It is far more than any test needs, so that a busy machine
# doesn't make one fail.
PATIENCE = 600.0

# Rates above the defaults, so that messages travel in a fraction of a second; and low enough that
# what comes in can be pulled on a busy machine, where a pull takes most of a second.
FAST = TrafficSettings(
    average_packet_delay=0.01,
    message_sending_average_delay=0.05,
    loop_cover_traffic_average_delay=0.1,
    fetch_message_delay=0.05,
    topology_refresh_rate=0.2,
)


Result = TypeVar("Result")


def wait_until(condition: Callable[[], object], what: str | Callable[[], object] = "it") -> None:
    """Wait until `condition()` is true, and fail after PATIENCE seconds.

    `what` names it then, or returns what shows why it isn't true.
    """
    give_up = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() >= give_up:
            shown = what if isinstance(what, str) else what()
            raise AssertionError(f"waited {PATIENCE} s for this in vain: {shown}")
        gevent.sleep(0.01)


def beside(wait: Callable[..., Result], *arguments: Any, **named: Any) -> Result:
    """Call `wait`, which blocks until a process ends, in a thread, and return its result.

    Greenlets of the test's process, such as servers that the process talks to, run meanwhile.
    """
    return gevent.get_hub().threadpool.apply(wait, arguments, named)


@contextmanager
def serving(
    serve: Callable[[socket.socket], None], host: str = "127.0.0.1", port: int = 0
) -> Iterator[NodeAddress]:
    """A TCP server that calls `serve` with each connection; gives its address.

    Nothing else listens on its port, at any address, before it starts and after it ends.
    """

    def handle(connection: socket.socket, peer: object) -> None:
        with connection:
            try:
                serve(connection)
            except OSError:
                return  # a peer that has gone is no fault of the server; the test judges it

    server = StreamServer((host, port or free_port()), handle)
    address = listen(server)
    try:
        yield address
    finally:
        server.stop(timeout=0)


@contextmanager
def serving_http(body: Callable[[], bytes], status: str = "200 OK") -> Iterator[str]:
    """An HTTP server that answers every request with `body()`; gives its URL."""

    def answer(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response(status, [])
        return [body()]

    server = WSGIServer(("127.0.0.1", 0), answer, log=None)
    address = listen(server)
    try:
        yield f"http://{address}"
    finally:
        server.stop(timeout=0)


class PlainNetwork(Network):
    """A network whose providers offer no sealed line, as published ones."""

    def _signer(self, name: str) -> None:
        return None


@contextmanager
def running(network: Network) -> Iterator[Network]:
    """Run the network inside the block."""
    network.start()
    try:
        yield network
    finally:
        network.stop()


def memory_provider(**settings: Any) -> Provider:
    """A provider that keeps nothing on disk, anywhere on this machine; it doesn't listen yet."""
    inboxes = MemoryInboxes()
    return Provider(Keyring(None), load_token_key(None), ANYWHERE, ANYWHERE, inboxes, **settings)


def onlookers() -> Onlookers:
    """Those of a client that sends four packets per second, as at default rates."""
    return Onlookers(Observing(mean_gap=0.25, pull_period=0.4))


def contents(messages: Iterable[Received]) -> list[bytes]:
    """The bytes of the messages, without their ids, times and senders."""
    return [bytes(received.message) for received in messages]


def noted_rounds(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> list[list[Any]]:
    """A list that gets the changes of each round that the journal writes, from now on."""
    rounds: list[list[Any]] = []
    transact = journal._database.transact

    def noted(changes: list[Any], **how: bool) -> StoreError | None:
        rounds.append(changes)
        return transact(changes, **how)

    monkeypatch.setattr(journal._database, "transact", noted)
    return rounds


def wait_until_handed_over(sender: Sender) -> None:
    """Wait until no packet is under way to its first mixnode."""
    crew = sender._crew
    wait_until(lambda: len(crew._members) == len(crew._idle), "the outcomes of all packets")


def deliver(
    inbox: Inbox, message: bytes, sender: bytes | None = None, *, is_sealed: bool = True
) -> bool:
    """Put a message into the inbox and wait until it is on disk; False if there was no room."""
    is_kept = inbox.deliver(message, sender, is_sealed=is_sealed)
    inbox.settle()
    return is_kept


# What keeps the ports of `free_port` until the test ends (see conftest.py).
held_ports = ExitStack()


def free_port() -> int:
    """A port on which nothing listens, at any address of this machine, unless the test does.

    A socket that is bound and doesn't listen keeps it: connections are refused, the system gives
    the port to nobody who asks for any, and a server that names it may listen (SO_REUSEADDR).
    """
    holder = held_ports.enter_context(
        socket.socket(socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET)
    )
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if holder.family == socket.AF_INET6:
        holder.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    holder.bind(("", 0))
    return int(holder.getsockname()[1])


@contextmanager
def without_descriptors() -> Iterator[None]:
    """No file and no socket can be opened inside the block, whatever is closed meanwhile."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


class SmallDisk:
    """A small file system (see the `disk` fixture) that a file of somebody else can fill up."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._other = folder / "others"

    def fill(self) -> None:
        """Write the other file until no room is left."""
        with self._other.open("ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(1024))

    def empty(self) -> None:
        """Delete the other file, so that there is room again."""
        self._other.unlink()


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[SmallDisk]:
    """A file system of this size, mounted at an empty folder."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("a small disk can be made by root only")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)  # noqa: S607


# Two valid public keys (not any 32 bytes are one), in the order in which clients are listed.
OWN, OTHER = sorted(public_key(bytes([number]).ljust(32, b"\0")) for number in (2, 3))
_AT = NodeAddress("127.0.0.1", 1)
TOPOLOGY = Topology.of((), (ProviderNode(_AT, _AT, bytes(32), frozenset({OWN, OTHER})),))


class Unconnected:
    """Stands in for service.View in a client without a network."""

    def __init__(self, outbox: Outbox, inbox: Inbox, topology: Topology | None = None) -> None:
        self.topology = topology
        self.provider: ProviderNode | None = None
        self._outbox, self._inbox = outbox, inbox
        self.past = History(lambda: HistorySample(7, 8, 9, 0, len(outbox), len(inbox), None, 0.25))

    def report(self) -> StatusReport:
        """See service.View."""
        own = encode_base58(OWN)
        return StatusReport("0.4.0", own, outbox=len(self._outbox), inbox=len(self._inbox))

    def loops_report(self) -> LoopsReport:
        """See service.View."""
        return LoopsReport(None, {})

    def history(self) -> HistoryReport:
        """See service.View."""
        return self.past.report()

    def network(self) -> None:
        """See service.View: there is no view of a network."""


def undelivered(outbox: Outbox, lifetime: float = 0.0) -> Deliveries:
    """Deliveries over this outbox in a client without a network: each message waits for one."""
    return Deliveries(
        outbox, OWN, 1.0, lambda recipient: Stage.NETWORK, lambda: Way(None), lifetime
    )


REPLY_LIFETIME = 4000.0  # client.reply_lifetime of `Addresses`


class Addresses:
    """All addresses of a client, by a clock that the test sets. Nothing is sent."""

    def __init__(
        self,
        journal: Journal,
        identity: Identity | None = None,
        session: ProviderSession | None = None,
        tags: Tags | None = None,
        *,
        count: int = 2,
        is_at_once: bool = True,
    ) -> None:
        self.identity = identity or generate_identity()
        self.now = 1e6
        self.gone: list[bytes] = []
        self.session = session or ProviderSession(
            self.identity, None, 600.0, State(journal), lambda: True
        )
        self.tags = tags or Tags(journal, time.time)
        random = SystemRandom()
        self.addresses = ReplyAddresses(
            journal,
            self.identity.private_key,
            self.session,
            lambda: self.now,
            Term(count, REPLY_LIFETIME, is_at_once),
            random,
            self.gone.append,
        )
        self.replies = Replies(self.addresses, self.tags)
        self.own = OwnAddresses(
            self.identity.public_key,
            Envelopes(self.identity),
            self.session,
            self.addresses,
            self.tags,
            random,
        )


class Served:
    """A socket for applications in this process, and behind it a client without a network."""

    def __init__(
        self,
        kind: type[ApplicationSocket],
        token: Token | None = None,
        page_token: Token | None = None,
        **settings: Any,
    ) -> None:
        self.folder = TemporaryDirectory()
        self.journal = Journal(Path(self.folder.name), bytes(32))
        self.outbox, self.inbox = Outbox(self.journal), Inbox(self.journal)
        self.view = Unconnected(self.outbox, self.inbox)
        self.addresses = Addresses(self.journal, count=0)
        self._service = Service(
            OWN,
            self.outbox,
            self.inbox,
            self.view,
            undelivered(self.outbox),
            Manner.SEALED,
            CurrentContacts(Path(self.folder.name)),
            self.addresses.replies,
        )
        settings = {"port": 0, **settings}

        def socket_of(**changed: Any) -> ApplicationSocket:
            return kind(self._service, SocketSettings(**{**settings, **changed}), token, page_token)

        self._socket_of = socket_of
        self.socket = socket_of()

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

    def restart(self) -> None:
        """End all connections, and listen at the same place again."""
        self.socket.stop()
        self.socket = (
            self._socket_of(port=self.port) if isinstance(self.place, int) else self._socket_of()
        )
        self.socket.start()

    def deliver(self, *messages: bytes, **origin: bytes) -> None:
        """Put messages into the inbox, as if they had arrived, and wait until they are on disk."""
        assert all(self.inbox.deliver(message, is_sealed=True, **origin) for message in messages)
        self.inbox.settle()

    @property
    def port(self) -> int:
        """The TCP port of the socket."""
        assert isinstance(self.place, int)
        return self.place

    def connect(self) -> socket.socket:
        """Connect as an application does, by TCP or, for the control socket, by its path."""
        if isinstance(self.place, int):
            return socket.create_connection(("127.0.0.1", self.place), timeout=PATIENCE)
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE)
        connection.connect(str(self.place))
        return connection


class Lines:
    """An application that speaks JSON lines over this connection."""

    NEWS = ("message", "gone", "failed", "end")  # the lines of a subscription that answer nothing

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._file = connection.makefile("rwb")
        self._news: deque[Any] = deque()  # came before an answer, and nobody has heard them yet

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # closing flushes, which fails if the peer has gone
            self._file.close()
        self.connection.close()

    def say(self, **request: object) -> None:
        """Write one request."""
        self._file.write(json.dumps(request).encode() + b"\n")
        self._file.flush()

    def hear(self) -> Any:
        """Read the next line."""
        return self._news.popleft() if self._news else self._read()

    def ask(self, **request: object) -> Any:
        """Write one request, and read its answer. News that comes before that is heard later."""
        self.say(**request)
        news = () if request.get("type") == "read" else self.NEWS  # which is answered by a message
        while (line := self._read())["type"] in news:
            self._news.append(line)
        return line

    def send(self, recipient: bytes, message: bytes, **flags: bool) -> str:
        """Send a message, which the client has to accept; return its id."""
        return self._hand_over(
            message, type="send", recipient_address=encode_base58(recipient), **flags
        )

    def reply(self, tag: bytes, message: bytes, **flags: bool) -> str:
        """Answer a tag, which the client has to accept; return the id of the message."""
        return self._hand_over(message, type="reply", tag=encode_base58(tag), **flags)

    def receive(self) -> Received:
        """Wait for the next message of a subscription, and acknowledge it."""
        while (line := self.hear())["type"] != "message":
            assert line["type"] == "subscribe", line
        answer = self.ask(type="ack", id=line["id"])
        assert answer["type"] == "ack" or answer["code"] == "storage", answer  # or the disk fails
        return self.read(line)

    @staticmethod
    def read(line: dict[str, Any]) -> Received:
        """The message in a line that was read."""
        sender = line["sender"] and decode_base58(line["sender"])
        reply_to, reply_from = line.get("reply_to"), line.get("reply_from")
        return Received(
            line["id"],
            base64.b64decode(line["data"]),
            line["received"],
            sender,
            reply_to=reply_to and decode_tag(reply_to),
            reply_from=reply_from and base58.b58decode(reply_from),
        )

    def _read(self) -> Any:
        return json.loads(self._file.readline())

    def _hand_over(self, message: bytes, **request: object) -> str:
        answer = self.ask(data=base64.b64encode(message).decode(), **request)
        assert answer["type"] == "send", answer
        return str(answer["id"])


class Application:
    """A client in this process, and an application's connection to its TCP socket.

    `connection` is for raw requests; `lines` opens another one for JSON lines. It has no reply
    addresses, so that each client has one address; tests/test_replies.py gives it some.
    """

    settings = ClientSettings(id="test", reply_addresses=0)

    def __init__(
        self,
        directory: str,
        *,
        traffic: TrafficSettings = FAST,
        identity: Identity | None = None,
        revive: Callable[[], bool] | None = None,
        folder: Path | None = None,
        seal: bool = True,
        kind: type[ApplicationSocket] = TcpSocket,
        port: int = 0,
        **settings: Any,
    ) -> None:
        self._own_folder = TemporaryDirectory()
        self.identity = identity or generate_identity()
        self.address = self.identity.public_key
        config = Config(
            client=replace(self.settings, directory=directory, **settings),
            socket=SocketSettings(port=port),
            traffic=traffic,
            privacy=PrivacySettings(seal=seal),
        )
        self.folder = folder or Path(self._own_folder.name)
        self.client = Client(
            self.identity, config, self.folder, kind, CurrentContacts(self.folder), revive
        )
        place = self.client.listen()
        assert isinstance(place, int)
        self.connection = socket.create_connection(("127.0.0.1", place), timeout=PATIENCE)
        self.client.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
        self.client.stop()
        self._own_folder.cleanup()

    def lines(self) -> Lines:
        """Open another connection, for JSON lines."""
        port = self.connection.getpeername()[1]
        return Lines(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))

    def status(self) -> Any:
        """What `status` says."""
        with self.lines() as lines:
            return lines.ask(type="status")

    def wait_until_sent(self) -> None:
        """Wait until nothing waits to be sent or acknowledged."""
        with self.lines() as lines:
            wait_until(
                lambda: not lines.ask(type="status")["outbox"],
                lambda: [lines.ask(type=about) for about in ("outbox", "status")],
            )

    def ask(self, request: bytes) -> bytes:
        """Write one raw request, and read one answer."""
        self.connection.sendall(request)
        return self.connection.recv(1 << 20)

    def send(self, recipient: bytes, message: bytes) -> None:
        """Send a message, which the client has to accept."""
        assert self.ask(b"\x01" + recipient + message) == b"ok"

    def receive(self, count: int) -> list[bytes]:
        """Fetch until there are `count` messages; return them in the order in which they came."""
        received: list[bytes] = []

        def enough() -> bool:
            received.extend(decode_messages(self.ask(b"\x02")))
            return len(received) >= count

        wait_until(enough, f"the arrival of {count} messages")
        return received

    def clients(self) -> list[bytes]:
        """The addresses of clients that this client knows."""
        # Not with a raw request: if the client knows none, the answer to that has no bytes.
        with self.lines() as lines:
            return [decode_base58(address) for address in lines.ask(type="getClients")["clients"]]


def is_well(status: Any) -> bool:
    """Whether a client says nothing against its network.

    It may say that this machine is too slow for its rates: tests don't depend on that.
    """
    tempo = status["tempo"]
    return bool(status["reason"] == (tempo and describe(tempo)))


def running_python(process: int) -> int:
    """The process that runs Python; in PyInstaller's file, that is a child of its bootloader."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return int(children[0]) if IS_STANDARD and children else process


def waits(pid: int) -> bool:
    """Whether the process has a connection to a client, and sleeps in epoll."""
    links = Path(f"/proc/{pid}/fd")
    try:
        sockets = [link for link in links.iterdir() if "socket:" in str(link.readlink())]
        return bool(sockets) and "epoll" in Path(f"/proc/{pid}/wchan").read_text()
    except OSError:
        return False


def read_all(connection: socket.socket) -> bytes:
    """What arrives until the other side ends its half."""
    return b"".join(iter(partial(connection.recv, 1 << 16), b""))


def read_terminal(terminal: int) -> bytes:
    """What is written to a terminal or a pipe until its other side is closed.

    For a terminal, Linux reports that as an error.
    """
    shown = bytearray()
    with suppress(OSError):
        while some := os.read(terminal, 4096):
            shown += some
    return bytes(shown)


class Program:
    """The program in a process of its own, with `home` as the folder for its configuration."""

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

    @property
    def pid(self) -> int:
        """The number of the process that runs Python."""
        return running_python(self.process.pid)

    def line(self, pattern: str) -> re.Match[str]:
        """Read standard output up to a line in which the pattern is found."""
        return self._find(self.process.stdout, pattern)

    def logged(self, pattern: str) -> re.Match[str]:
        """Read standard error up to a line in which the pattern is found."""
        return self._find(self.process.stderr, pattern)

    def _find(self, stream: IO[bytes] | None, pattern: str) -> re.Match[str]:
        for line in stream or ():
            if match := re.search(pattern, line.decode()):
                return match
        raise AssertionError(f"no line like {pattern!r}; {self.end()}")

    def end(self, number: int | None = None) -> tuple[int, str, str]:
        """Send the signal, if any, and wait; return (exit code, standard output, standard error).

        The outputs are what no call of `line` or `logged` has read before.
        """
        if number is not None:
            self.process.send_signal(signal.Signals(number))
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out.decode(), err.decode()


def run_program(home: Path, *arguments: str, umask: int = 0o022) -> tuple[int, str, str]:
    """Run the program to its end; return (exit code, standard output, standard error)."""
    with Program(home, *arguments, umask=umask) as program:
        return program.end()


def printed(program: str) -> str:
    """What some lines of Python print in a process of their own, which must succeed."""
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def run_in_own_network(module: str) -> tuple[Any, str]:
    """Run a module of the tests in a network namespace and a mount namespace of its own, as root.

    Returns (the JSON value that it prints, its standard error).
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
