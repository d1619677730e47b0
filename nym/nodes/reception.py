"""Where a provider's clients register and pull (docs/protocol/provider.md).

A connection brings one request: a plain one, as in 0.4, or one on a sealed line, which proves whose
address it is. An address that was proven once belongs to whoever has its key: nobody gets a token
for it any more, and no token that was given before opens its inbox.
"""

import hmac
import logging
import socket
from collections.abc import Callable
from typing import Any

from gevent.pool import Pool

from nym._secrets import Secret
from nym.errors import OverloadError, RemoteError, RemoteFormatError, StoreError
from nym.net.line import Caller, Keys
from nym.net.listening import listen, listening_address
from nym.net.sources import REFUSALS, GuardedServer, SourceLimits, Sources
from nym.net.streams import read_to_end
from nym.nodes.counts import Counts
from nym.nodes.inboxes import Inboxes
from nym.nodes.newcomers import Newcomers
from nym.sphinx import is_public_key
from nym.wire import line
from nym.wire.addresses import NodeAddress
from nym.wire.line import Outcome
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
REGISTER, PULL, REFUSE = "register", "pull", "refused"  # kinds of requests that are counted

log = logging.getLogger(__name__)


class Reception:
    """A server for clients. It makes their tokens with the key `tokens`.

    `own` are its keys for sealed lines; without them, there are none. `registered` is called after
    each registration, `say` is told why a request was refused.
    """

    def __init__(
        self,
        place: NodeAddress,
        inboxes: Inboxes,
        tokens: Secret,
        own: Keys | None,
        registered: Callable[[], None],
        say: Callable[[str], None],
        counts: Counts,
        limits: SourceLimits,
    ) -> None:
        self.inboxes = inboxes
        self.tokens = tokens
        self._newcomers = Newcomers()
        self._own = own
        self._registered = registered
        self._say = say
        refused = counts.kinds(
            "nym_provider_client_connections_refused_total",
            "Connections of clients that were closed unread.",
            "reason",
            REFUSALS,
        )
        visits = Pool(MOST_CLIENTS_AT_ONCE)
        self._server = GuardedServer(place, self._visit, Sources(limits, refused), spawn=visits)
        self._requests = counts.kinds(
            "nym_provider_requests_total",
            "What clients asked for; `refused`: what they didn't get.",
            "kind",
            (REGISTER, PULL, REFUSE),
        )
        self._sealed = counts.kinds(
            "nym_provider_sealed_requests_total",
            "How many of these came on a sealed line.",
            "kind",
            (REGISTER, PULL, REFUSE),
        )
        self._handed_over = counts.count(
            "nym_provider_messages_handed_over_total",
            "Messages that clients pulled; on a sealed line, again until they had them.",
        )
        counts.gauge(
            "nym_provider_client_connections",
            "Connections of clients that are open.",
            visits.__len__,
        )

    @property
    def address(self) -> NodeAddress:
        """Where clients register and pull."""
        return listening_address(self._server)

    def listen(self) -> None:
        """Begin. Raises ListenError."""
        listen(self._server, "--clients")

    def stop(self) -> None:
        """Stop accepting, and close all connections."""
        self._server.stop(timeout=0)

    def _visit(self, connection: socket.socket, _: Any) -> None:
        """Answer one request of a client; an error ends this connection alone."""
        with connection:
            try:
                connection.settimeout(SILENCE)
                self._serve(connection)
            except (OSError, RemoteError) as error:
                log.debug("%s lost a client's connection: %s", self.address, error)
            except Exception:
                log.exception("%s ended a client's connection", self.address)

    def _serve(self, connection: socket.socket) -> None:
        ip = connection.getpeername()[0]
        beginning = b"".join(read_to_end(connection, len(line.BEGINNING)))
        if beginning == line.BEGINNING and self._own is not None:
            self._serve_sealed(connection, ip, self._own)
            return
        # One byte more than the longest request, so that a longer one is seen to be too long.
        rest = read_to_end(connection, LONGEST_REQUEST + 1 - len(beginning))
        connection.sendall(self._answer(beginning + b"".join(rest), ip))

    def _serve_sealed(self, connection: socket.socket, ip: str, own: Keys) -> None:
        try:
            caller = Caller(connection, own)
        except RemoteError as error:
            # Most likely the client means a provider that was here before. It should hear that at
            # once, and nothing can be sealed for it.
            self._refuse(error, is_sealed=True)
            connection.sendall(REFUSED)
            return
        caller.answer(self._answer_sealed(caller.client, caller.request, ip).encode())

    def _answer(self, data: bytes, ip: str) -> bytes:
        """The answer to a plain request."""
        try:
            match decode_request(data):
                case Register(address):
                    self._check_unproven(address)
                    self._register(address, ip, is_sealed=False)
                    return self._token(address)
                case Pull(address, token):
                    self._check(address, token)
                    self._check_unproven(address)
                    # An answer always has five messages, as in 0.4. Dummies stand for those that
                    # are missing.
                    messages = self.inboxes.take(address, MESSAGES_A_PULL)
                    self._pulled(len(messages), is_sealed=False)
                    return encode_messages(messages + [DUMMY] * (MESSAGES_A_PULL - len(messages)))
        except (RemoteError, StoreError) as error:
            self._refuse(error, is_sealed=False)
        return REFUSED

    def _answer_sealed(self, client: bytes, data: bytes, ip: str) -> line.Answer:
        """The answer to a request of a client that has the private key of its address."""
        try:
            request = line.decode_request(data)
            if not (self.inboxes.is_proven(client) or is_public_key(client)):
                raise RemoteFormatError("the client has no valid address")
            if request.registers:
                self._register(client, ip, is_sealed=True)
                return line.Answer(Outcome.GRANTED)
            messages = self.inboxes.hand_over(client, request.delivered, MESSAGES_A_PULL)
            if not self.inboxes.is_proven(client):
                # The inbox was opened for a plain request, or another process has noted the proof.
                self.inboxes.open(client, is_proven=True)
            self._pulled(len(messages), is_sealed=True)
            return line.Answer(Outcome.GRANTED, messages)
        except RemoteError as error:
            self._refuse(error, is_sealed=True)
            return line.Answer(Outcome.REFUSED)
        except StoreError as error:
            # The client need not register again, as it would after a refusal.
            self._refuse(error, is_sealed=True)
            return line.Answer(Outcome.FAILED)

    def _register(self, address: bytes, ip: str, *, is_sealed: bool) -> None:
        """Make an inbox for whoever asks from this IP address. Raises RemoteError, StoreError."""
        places = self.inboxes.settings.clients - len(self.inboxes)
        if address not in self.inboxes and places > 0:
            self._newcomers.admit(ip, places)
        self.inboxes.open(address, is_proven=is_sealed)
        self._count(REGISTER, is_sealed=is_sealed)
        self._registered()

    def _pulled(self, messages: int, *, is_sealed: bool) -> None:
        self._count(PULL, is_sealed=is_sealed)
        self._handed_over.value += messages

    def _count(self, kind: str, *, is_sealed: bool) -> None:
        self._requests[kind] += 1
        if is_sealed:
            self._sealed[kind] += 1

    def _refuse(self, error: Exception, *, is_sealed: bool) -> None:
        self._count(REFUSE, is_sealed=is_sealed)
        if isinstance(error, (OverloadError, StoreError)):
            self._say(f"refused a client: {error}")
        else:
            log.debug("%s refused a client: %s", self.address, error)

    def _check_unproven(self, address: bytes) -> None:
        """Raises RemoteFormatError if only a sealed line opens this client's inbox."""
        if self.inboxes.is_proven(address):
            raise RemoteFormatError("the address belongs to a client that uses a sealed line")

    def _token(self, address: bytes) -> bytes:
        # Made from a key, so nothing has to be stored: as long as the provider keeps that key, a
        # token stays valid, and registering again gives the same one.
        return hmac.digest(self.tokens, address, "sha256")

    def _check(self, address: bytes, token: bytes) -> None:
        """Raises RemoteFormatError for another client's token, or an invented one."""
        # compare_digest takes the same time for every wrong token: otherwise the time could tell
        # how many bytes of a guess are right.
        if not hmac.compare_digest(token, self._token(address)):
            raise RemoteFormatError("the token isn't this client's")
