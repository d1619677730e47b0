"""A provider: it keeps messages for its clients until they pull them.

docs/protocol/provider.md
"""

import hmac
import logging
import socket
from functools import partial
from typing import Any

import gevent
from gevent.event import Event
from gevent.pool import Pool

from nym._secrets import Secret
from nym.config.nodes import LimitSettings
from nym.errors import NotForThisNodeError, NymError, RemoteError, RemoteFormatError, StoreError
from nym.net.listening import listen, listening_address
from nym.net.sources import REFUSALS, GuardedServer, Sources
from nym.net.transport import read_to_end
from nym.nodes.door import Answer
from nym.nodes.inboxes import Inboxes
from nym.nodes.keys import Keyring
from nym.nodes.limits import LIMITS, source_limits
from nym.nodes.newcomers import Newcomers
from nym.nodes.node import Node, Trace
from nym.signing import Signer
from nym.sphinx import Final, Forward
from nym.wire import directory as records
from nym.wire.addresses import NodeAddress
from nym.wire.provider import (
    DUMMY,
    LONGEST_REQUEST,
    MESSAGES_A_PULL,
    REFUSED,
    Pull,
    Register,
    decode_request,
    encode_messages,
)

MOST_CLIENTS_AT_ONCE = 10_000  # connections
SILENCE = 60.0  # seconds for which a client's connection may be silent
AGE_PERIOD = 60.0  # seconds between two looks for what is too old
MESSAGES, CLIENTS = "messages", "clients"  # what goes when it is too old
REGISTER, PULL, REFUSE = "register", "pull", "refused"  # kinds of requests that are counted

log = logging.getLogger(__name__)


class Provider(Node):
    """A provider: it listens for packets at one place, and for its clients at another.

    It makes clients' tokens with the key `tokens`.
    """

    presence_path = records.PROVIDERS_PATH
    role = "provider"

    def __init__(
        self,
        keys: Keyring,
        tokens: Secret,
        packets: NodeAddress,
        clients: NodeAddress,
        inboxes: Inboxes,
        *,
        announced: NodeAddress | None = None,
        announced_clients: NodeAddress | None = None,
        trace: Trace | None = None,
        signer: Signer | None = None,
        limits: LimitSettings = LIMITS,
    ) -> None:
        super().__init__(keys, packets, announced, trace, signer, limits)
        self._tokens = tokens
        self._inboxes = inboxes
        self._newcomers = Newcomers()
        self._announced_clients = announced_clients
        refused = self.counts.kinds(
            "nym_provider_client_connections_refused_total",
            "Connections of clients that were closed unread.",
            "reason",
            REFUSALS,
        )
        visits = Pool(MOST_CLIENTS_AT_ONCE)
        self._clients = GuardedServer(
            clients, self._visit, Sources(source_limits(limits), refused), spawn=visits
        )
        self._delivered = self.counts.count(
            "nym_node_packets_delivered_total", "Packets whose message is in an inbox."
        )
        self._requests = self.counts.kinds(
            "nym_provider_requests_total",
            "What clients asked for; `refused`: what they didn't get.",
            "kind",
            (REGISTER, PULL, REFUSE),
        )
        self._handed_over = self.counts.count(
            "nym_provider_messages_handed_over_total", "Messages that clients pulled."
        )
        self._aged = self.counts.kinds(
            "nym_provider_aged_out_total",
            "Messages that were too old, and clients that were silent for too long.",
            "kind",
            (MESSAGES, CLIENTS),
        )
        self.counts.gauge("nym_provider_inboxes", "Clients.", inboxes.__len__)
        self.counts.gauge("nym_provider_messages", "Messages that wait.", inboxes.count)
        self.counts.gauge(
            "nym_provider_client_connections",
            "Connections of clients that are open.",
            visits.__len__,
        )

    @property
    def client_address(self) -> NodeAddress:
        """Where clients register and pull."""
        return listening_address(self._clients)

    @property
    def client_place(self) -> NodeAddress:
        """Where clients find this provider."""
        return self._announced_clients or self.client_address

    def start(self, *directories: str) -> None:
        """See Node."""
        super().start(*directories)
        self._watch.start(f"ages at {self.address}", self._keep_aging)

    def stop(self) -> None:
        """See Node; the inboxes stay open."""
        super().stop()
        self._clients.stop(timeout=0)

    def listen(self) -> None:
        """See Node."""
        super().listen()
        listen(self._clients, "--clients")

    def _presence(self) -> records.Provider:
        return records.Provider(
            str(self.place),
            str(self.client_place),
            self.keys.current.public_key,
            tuple(self._inboxes.clients()),
            self._version,
        )

    def _finish(self, hurry: Event) -> None:
        self._inboxes.flush()

    def _handle(self, unwrapped: Forward | Final, answer: Answer) -> None:
        if isinstance(unwrapped, Forward):
            raise NotForThisNodeError("its route goes on behind a provider")
        kept = partial(self._kept, answer)
        self._inboxes.keep(unwrapped.destination, unwrapped.message(), kept)

    def _kept(self, answer: Answer, error: NymError | None) -> None:
        if error is None:
            self._delivered.add()
            answer.give()
        else:
            self._drop(error, answer)

    def _keep_aging(self) -> None:
        while True:
            try:
                gone = self._inboxes.age()
            except StoreError as error:  # which the inboxes have logged
                log.debug("%s keeps what is too old: %s", self.address, error)
                gevent.sleep(AGE_PERIOD)
                continue
            self._aged[MESSAGES] += gone.messages
            self._aged[CLIENTS] += gone.clients
            if gone.clients:
                self.changed.set()
            gevent.sleep(AGE_PERIOD if gone.is_all else 0)

    def _visit(self, connection: socket.socket, _: Any) -> None:
        """Answer one request of a client; an error ends this connection alone."""
        with connection:
            try:
                connection.settimeout(SILENCE)
                self._serve_client(connection)
            except OSError as error:
                log.debug("%s lost a client's connection: %s", self.client_address, error)
            except Exception:
                log.exception("%s ended a client's connection", self.client_address)

    def _serve_client(self, connection: socket.socket) -> None:
        # One byte more than the longest request, so that a longer one is seen to be too long.
        request = b"".join(read_to_end(connection, LONGEST_REQUEST + 1))
        connection.sendall(self._answer(request, connection.getpeername()[0]))

    def _answer(self, data: bytes, ip: str) -> bytes:
        try:
            match decode_request(data):
                case Register(address):
                    self._open(address, ip)
                    # Others can write to the client once the directory lists it, so the provider
                    # posts at once.
                    self.changed.set()
                    self._requests[REGISTER] += 1
                    return self._token(address)
                case Pull(address, token):
                    self._check(address, token)
                    answer = self._hand_over(address)
                    self._requests[PULL] += 1
                    return answer
        except RemoteError as error:
            log.debug("%s refused a client: %s", self.client_address, error)
        except StoreError as error:
            self._say(f"refused a client: {error}")
        self._requests[REFUSE] += 1
        return REFUSED

    def _open(self, address: bytes, ip: str) -> None:
        """Make an inbox for whoever asks from this IP address. Raises RemoteError, StoreError."""
        if address not in self._inboxes:
            self._newcomers.admit(ip, self._inboxes.settings.clients - len(self._inboxes))
        self._inboxes.open(address)

    def _token(self, address: bytes) -> bytes:
        # Made from a key, so nothing has to be stored: as long as the provider keeps that key, a
        # token stays valid, and registering again gives the same one.
        return hmac.digest(self._tokens, address, "sha256")

    def _check(self, address: bytes, token: bytes) -> None:
        """Raises RemoteFormatError for another client's token, or an invented one."""
        # compare_digest takes the same time for every wrong token: otherwise the time could tell
        # how many bytes of a guess are right.
        if not hmac.compare_digest(token, self._token(address)):
            raise RemoteFormatError("the token isn't this client's")

    def _hand_over(self, address: bytes) -> bytes:
        # An answer always has five messages, as in 0.4. Dummies stand for those that are missing.
        messages = self._inboxes.take(address, MESSAGES_A_PULL)
        self._handed_over.value += len(messages)
        return encode_messages(messages + [DUMMY] * (MESSAGES_A_PULL - len(messages)))
