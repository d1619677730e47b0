"""`demo` runs a local network and two clients on it, which send each other a message.

The clients are ordinary ones, each in a process of its own. The network runs in this process, so an
observer here sees what every node sees, and the demo also has the recipients' keys. That is why it
can show the routes. The clients tell them to nobody, and in a real network nobody sees all nodes.
"""

import ctypes
import fcntl
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import gevent
from gevent import subprocess  # noqa: TID251 - the network goes on while this waits for a client

from nym.cli import Options
from nym.cli.build import is_one_file
from nym.cli.daemon import exit_on_signals
from nym.cli.init import make_client
from nym.cli.output import say
from nym.config import ClientSettings, Config
from nym.errors import NymError, UnreachableError
from nym.files import FILE_MODE, os_errors_as
from nym.identity import Identity
from nym.localnet.network import Network
from nym.localnet.observer import Observer, Sighting
from nym.net.directory import fetch_topology
from nym.wire.provider import decode_messages

PATIENCE = 120.0  # seconds for one step: a machine may be busy with other things
# A machine may also be slow, as an emulated one is. The demo's own start has shown how slow it is:
# a step may take this many times the processor time that the demo has used until then.
STARTS = 100
LATE = 8.0  # seconds after which the user is told what the demo waits for
STOP_TIME = 30.0  # seconds for a client to end after SIGTERM, before it is killed
PERIOD = 0.05  # seconds between two looks at something that the demo waits for
FOLDER = "nym-demo-"  # how the folder's name begins; something random follows
# A new folder exists for a moment before it is locked. So a folder that is younger than this many
# seconds is never removed, even if it isn't locked.
MAKING_TIME = 60.0
PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>
# Requests of the raw dialect (docs/protocol/sockets.md).
FETCH, SEND, DETAILS = b"\x02", b"\x01", b"\x04"


class DemoError(NymError):
    """The demo couldn't start, or something in it went wrong."""


class Peer:
    """A client in a process of its own, and a connection to it, as an application has one."""

    def __init__(self, name: str, directory: str, home: Path) -> None:
        self.name = name
        folder = home / "nym" / "clients" / name
        config = Config(client=ClientSettings(id=name, directory=directory))
        self.identity: Identity = make_client(folder, config)
        self._log = folder / "log"
        with (
            os_errors_as(DemoError, f"{name}'s client can't be started"),
            # For the owner alone, like everything in a client's folder; the client would complain.
            os.fdopen(os.open(self._log, os.O_WRONLY | os.O_CREAT, FILE_MODE), "wb") as log,
        ):
            self._process = subprocess.Popen(
                # Port 0: the system chooses one that is free, and the client prints it.
                [*_this_program(), "tcpsocket", "--id", name, "--port", "0"],
                env=os.environ | {"XDG_CONFIG_HOME": str(home)},
                stdout=subprocess.PIPE,
                stderr=log,
                preexec_fn=_end_with_parent,
            )
        self._connection: socket.socket | None = None

    def connect(self) -> None:
        """Connect to the port that the client prints. Raises DemoError if its address is wrong."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(b"Starting TCP socket on port: "):
                self._connection = socket.create_connection(("127.0.0.1", int(line.split()[-1])))
                break
        if self.ask(DETAILS) != self.identity.public_key:
            raise DemoError(f"{self.name}'s client says that it has another address than expected")

    def ask(self, request: bytes) -> bytes:
        """Send one request; returns the answer, up to 64 KiB of it."""
        if self._connection is None:
            raise DemoError(f"{self.name}'s client ended:\n{self.log()}")
        self._connection.sendall(request)
        return self._connection.recv(1 << 16)

    def log(self) -> str:
        """What the client has written to standard error."""
        return self._log.read_text(errors="replace")

    def stop(self) -> int:
        """End the process with SIGTERM, or kill it if it doesn't end; returns its exit code."""
        if self._connection:
            self._connection.close()
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(timeout=STOP_TIME)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def demo(options: Options) -> int:
    """Run the demo; returns 0 only if both messages arrived."""
    observer = Observer()
    began = time.monotonic()
    # Whatever ends these blocks, the clients are stopped and their folder is removed.
    with exit_on_signals(), _folder() as folder, _network(observer) as network:
        peers: list[Peer] = []
        try:
            say("Starting a network of 3 mixnodes and a provider, and two clients on it ...\n")
            peers += [Peer(name, network.url, folder) for name in ("alice", "bob")]
            _converse(network, observer, *peers)
        except NymError as error:
            say(f"The demo failed: {error}")
            # The logs are in the folder, which is about to be removed.
            for peer in peers:
                say(f"\n{peer.name}'s log:\n{peer.log()}")
            return error.exit_code
        finally:
            codes = [peer.stop() for peer in peers]
    if any(codes):
        raise DemoError(f"the clients ended with {codes} instead of 0")
    say(f"Both messages arrived. All of it took {time.monotonic() - began:.1f} s.")
    return 0


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder for the clients. Folders of earlier demos that were killed are removed first."""
    try:
        parent = Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        raise DemoError(
            "there is no folder for temporary files; set TMPDIR to one that can be written"
        ) from error
    for path in parent.glob(f"{FOLDER}*"):
        # A folder that is locked belongs to a demo that still runs. Other users' folders may have
        # such a name, too; they are left alone.
        with suppress(OSError), _locked(path):
            found = path.stat()
            if found.st_uid == os.geteuid() and time.time() - found.st_mtime > MAKING_TIME:
                shutil.rmtree(path)
    with ExitStack() as stack:
        with os_errors_as(DemoError, f"{parent} can't be used; set TMPDIR to another folder"):
            made = tempfile.TemporaryDirectory(prefix=FOLDER, dir=parent)
            folder = Path(stack.enter_context(made))
            stack.enter_context(_locked(folder))
        yield folder


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock the folder while this demo uses it. Raises OSError if another demo has locked it.

    The kernel releases the lock when its process ends, even if the process is killed.
    """
    # O_NOFOLLOW: others can put links into /tmp.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _end_with_parent() -> None:
    """Runs in a new process before it becomes a client: the client ends if the demo is killed.

    A demo that is killed with SIGKILL can't stop its clients, so the kernel sends them SIGTERM.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@contextmanager
def _network(observer: Observer) -> Iterator[Network]:
    network = Network(trace=observer)
    network.start()
    try:
        yield network
    finally:
        network.stop()


def _converse(network: Network, observer: Observer, alice: Peer, bob: Peer) -> None:
    for peer in (alice, bob):
        with _patiently(f"{peer.name}'s client to start"):
            peer.connect()
        say(f"{peer.name:<8} {peer.identity.address}")
    addresses = {peer.identity.public_key for peer in (alice, bob)}
    with _patiently("both to be registered"):
        _wait(lambda: addresses <= _registered(network.url))
    say("\nBoth are registered at the provider, and send cover traffic all the time.\n")

    letters = [
        (alice, bob, b"Hello Bob! Nobody on the way knows that this is from me."),
        (bob, alice, b"Hello Alice! Nor that this is my answer."),
    ]
    sent = {}
    arrived: dict[bytes, float] = {}
    with _patiently("the messages to arrive"):
        for sender, recipient, text in letters:
            if sender.ask(SEND + recipient.identity.public_key + text) != b"ok":
                raise DemoError(f"{sender.name}'s client did not accept a message")
            sent[text] = time.monotonic()
        _wait(lambda: _fetch(letters, arrived))
    for sender, recipient, text in letters:
        route = observer.route(text, recipient.identity)
        _show(network, sender, recipient, text, sent[text], route, arrived[text])


def _registered(url: str) -> set[bytes]:
    """The addresses of the clients that the directory lists; none if it doesn't answer in time."""
    try:
        providers = fetch_topology(url, has_lists=True).records.providers
    except UnreachableError:
        return set()  # on a slow machine: it is asked again, as long as the demo is patient
    return {client for provider in providers for client in provider.clients}


def _fetch(letters: list[tuple[Peer, Peer, bytes]], arrived: dict[bytes, float]) -> bool:
    """Fetch once for each recipient, and note when each text arrived. True once all have."""
    for _, recipient, text in letters:
        for message in decode_messages(recipient.ask(FETCH)):
            if message != text:
                raise DemoError(f"{recipient.name} got a message that nobody sent")
            arrived[text] = time.monotonic()
    return len(arrived) == len(letters)


def _show(
    network: Network,
    sender: Peer,
    recipient: Peer,
    text: bytes,
    sent: float,
    route: list[Sighting],
    arrived: float,
) -> None:
    """Print one message's way, with the seconds since its application handed it over."""
    layers = {node.address: f"mixnode of layer {node.layer}" for node in network.mixnodes}
    say(f'{sender.name} -> {recipient.name}: "{text.decode()}"')
    say(f"  {0:6.3f} s  {sender.name}'s application hands it over")
    for hop in route:
        say(f"  {hop.seconds - sent:6.3f} s  {layers.get(hop.node, 'provider'):<20} {hop.node}")
    say(f"  {arrived - sent:6.3f} s  {recipient.name}'s application has it\n")


@contextmanager
def _patiently(what: str) -> Iterator[None]:
    """Tell the user what the demo waits for, if it takes LATE seconds.

    Raises UnreachableError after PATIENCE seconds, or later if the machine is slow.
    """
    patience = max(PATIENCE, STARTS * time.process_time())
    late = gevent.spawn_later(LATE, say, f"Waiting for {what}; this machine is slow, or busy ...")
    try:
        with gevent.Timeout(patience, UnreachableError(f"waited {patience:.0f} s for {what}")):
            yield
    finally:
        late.kill()


def _wait(condition: Callable[[], bool]) -> None:
    while not condition():
        gevent.sleep(PERIOD)


def _this_program() -> list[str]:
    return [sys.executable] if is_one_file() else [sys.executable, "-m", "nym"]
