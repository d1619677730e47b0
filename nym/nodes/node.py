"""What mixnodes and providers have in common: they take packets and post to the directory."""

import logging
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from random import SystemRandom
from typing import Any

from gevent.event import Event
from gevent.pool import Pool
from gevent.server import StreamServer

from nym.errors import DescriptorsError, RemoteError, StoreError
from nym.identity import Identity
from nym.net.directory import post
from nym.net.listening import Server, listen, listening_address
from nym.net.watch import Outage, Watch
from nym.sphinx import Final, Forward, process_packet
from nym.wire.addresses import NodeAddress
from nym.wire.directory import MixNode, Provider, encode_presence
from nym.wire.provider import ACKNOWLEDGED
from nym.wire.sizes import PACKET_LENGTH

PRESENCE_PERIOD = 5.0  # seconds between two posts
MOST_CONNECTIONS = 10_000
IDLE_TIMEOUT = 60.0  # seconds for which a connection may be silent
MOST_REASONS = 100  # different texts that one node logs as warnings

# Called with a node's address, the packet that it took, and what was in the packet once it was
# unwrapped. It sees what somebody sees who controls every node.
Trace = Callable[[NodeAddress, bytes, Forward | Final], None]

log = logging.getLogger(__name__)


class Node(ABC):
    """Listens for packets on `host`; subclasses say what is done with an unwrapped packet."""

    presence_path: str

    def __init__(self, identity: Identity, host: str, trace: Trace | None) -> None:
        self.identity = identity
        self._host = host
        self._trace = trace
        self._mixnet = self._server(self._serve_packets)
        self._directory = ""
        self.changed = Event()  # set when there is something to post before the period is over
        self._watch = Watch(SystemRandom())
        self._outage = Outage(log, "presence")
        self._said: set[str] = set()

    def start(self, directory: str) -> None:
        """Listen, and post to the directory at this URL. Raises RemoteError, ListenError."""
        self._directory = directory
        for server in self._servers():
            listen(server)
        # Once before this returns: whoever starts a network can then use it at once.
        self.announce()
        self._watch.start(f"presence of {self.address}", self._keep_announcing)

    def stop(self) -> None:
        """Stop listening and announcing."""
        self._watch.stop()
        for server in self._servers():
            server.stop(timeout=0)

    @property
    def address(self) -> NodeAddress:
        """Where this node takes packets."""
        return listening_address(self._mixnet)

    def announce(self) -> None:
        """Tell the directory that this node is alive. Raises RemoteError."""
        post(self._directory, self.presence_path, encode_presence(self._presence()))

    def _servers(self) -> list[StreamServer]:
        return [self._mixnet]

    @abstractmethod
    def _presence(self) -> MixNode | Provider:
        """What this node posts to the directory."""

    @abstractmethod
    def _handle(self, unwrapped: Forward | Final) -> None:
        """Forward or keep an unwrapped packet. Raises RemoteError or StoreError to drop it."""

    def _server(self, serve: Callable[[socket.socket], None]) -> StreamServer:
        """Make a server that calls `serve` for each connection; an error ends one connection."""

        def visit(connection: socket.socket, peer: Any) -> None:
            with connection:
                try:
                    connection.settimeout(IDLE_TIMEOUT)
                    serve(connection)
                except (DescriptorsError, OSError) as error:
                    # Not a warning: senders of one packet per connection close it before the
                    # answer is written. nym.net.descriptors has logged a lack of descriptors.
                    log.debug("%s lost a connection: %s", self.address, error)
                except (RemoteError, StoreError) as error:
                    self._say(f"{self.address} dropped a packet: {error}")
                except Exception:
                    log.exception("%s ended a connection", self.address)

        return Server((self._host, 0), visit, spawn=Pool(MOST_CONNECTIONS))

    def _keep_announcing(self) -> None:
        while True:
            self.changed.wait(PRESENCE_PERIOD)
            self.changed.clear()
            with self._outage.noted():
                self.announce()

    def _serve_packets(self, connection: socket.socket) -> None:
        # As nodes of 0.4 do: what one read returns is taken as one packet. The answer is written,
        # and the next packet read, when this one has been forwarded, after its delay.
        while packet := connection.recv(PACKET_LENGTH):
            unwrapped = process_packet(packet, self.identity.private_key)
            if self._trace:
                self._trace(self.address, packet, unwrapped)
            self._handle(unwrapped)
            connection.sendall(ACKNOWLEDGED)

    def _say(self, what: str) -> None:
        # Each reason is a warning only once: anybody can send packets, and a flood of them must not
        # become a flood of lines.
        if what not in self._said and len(self._said) < MOST_REASONS:
            self._said.add(what)
            log.warning("%s; this is logged only once", what)
        else:
            log.debug("%s", what)
