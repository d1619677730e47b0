"""The client's registration at one provider (docs/protocol/provider.md)."""

import logging
from collections.abc import Callable
from typing import Any

from nym.errors import LineError, ProviderRefusedError, UnreachableError
from nym.identity import Identity
from nym.net.line import ask
from nym.net.transport import exchange
from nym.topology import ProviderNode
from nym.wire.addresses import NodeAddress
from nym.wire.keys import decode_base58, encode_base58
from nym.wire.line import Answer, Outcome, Request, decode_answer
from nym.wire.provider import (
    LONGEST_ANSWER,
    MESSAGES_A_PULL,
    TOKEN_LENGTH,
    Pull,
    Pulled,
    Register,
    decode_pull,
    decode_token,
)

Delivered = Callable[[bytes], tuple[int, ...]]

log = logging.getLogger(__name__)


class Registration:
    """Registers at a provider, and pulls from it: on a sealed line if the provider offers one.

    - `token` is what a plain registration got, or None.
    - `line` is the identity of the provider once the client has spoken with it on a sealed line.
      From then on, the client speaks with nobody else there, and not plainly either, whatever the
      directory lists.
    - `is_proven`: the provider knows the client by its key, so that no token is needed.
    """

    def __init__(
        self,
        own: Identity,
        node: ProviderNode,
        token: bytes | None = None,
        line: bytes | None = None,
        *,
        is_proven: bool = False,
    ) -> None:
        self.node = node
        self.token = token
        self.line = line
        self.is_proven = is_proven
        self._own = own

    @classmethod
    def restored(cls, own: Identity, fields: dict[str, Any]) -> "Registration":
        """The registration that `to_json` was called for."""
        node = ProviderNode(
            NodeAddress(*fields["address"]),
            NodeAddress(*fields["client_address"]),
            decode_base58(fields["key"]),
            frozenset(),
        )
        token, line = fields["token"], fields.get("line")  # earlier versions had no line
        return cls(
            own,
            node,
            token and bytes.fromhex(token),
            line and decode_base58(line),
            is_proven=fields.get("proven", False),
        )

    def to_json(self) -> dict[str, Any]:
        """What the next start needs of it."""
        return {
            "key": encode_base58(self.node.public_key),
            "address": list(self.node.address),
            "client_address": list(self.node.client_address),
            "token": self.token and self.token.hex(),
            "line": self.line and encode_base58(self.line),
            "proven": self.is_proven,
        }

    @property
    def is_sealed(self) -> bool:
        """Whether the client uses a sealed line there."""
        return self.line is not None or self.node.offers_line

    @property
    def is_complete(self) -> bool:
        """Whether the client can pull. If not, it has to register first."""
        return self.is_proven if self.is_sealed else self.token is not None

    def follow(self, node: ProviderNode) -> None:
        """Take over a new record of the provider."""
        # A token goes to no other place than the one that gave it: anybody can list the provider's
        # key elsewhere, and could then pull in the client's place. Another key at the same place
        # changes nothing. If a provider of 0.4 has one, it has restarted, and refuses the token.
        if node.client_address != self.node.client_address:
            self.token, self.is_proven = None, False
        self.node = node

    def accept(self, identity: bytes) -> None:
        """Speak with the provider that has this identity, and with nobody else.

        That is for an identity that the settings name. It may have taken another one's place.
        """
        if identity != self.line:
            self.line, self.token, self.is_proven = identity, None, False

    def register(self) -> None:
        """Make the provider keep messages for the client. Raises RemoteError."""
        if self.is_sealed:
            self._ask(lambda: Request(registers=True))
            self.is_proven = True
        else:
            request = Register(self._own.public_key).encode()
            # One byte more than a token, so that a longer answer is noticed.
            answer = exchange(self.node.client_address, request, TOKEN_LENGTH + 1)
            self.token = decode_token(answer)
        log.info(
            "registered at provider %s%s",
            encode_base58(self.node.public_key),
            " on a sealed line" if self.is_sealed else "",
        )

    def pull(self, delivered: Delivered) -> Pulled:
        """Return what waited at the provider. It must be complete. Raises RemoteError.

        `delivered` is called with the provider's identity, and returns the numbers of the messages
        that the client has on its disk, so that the provider need not keep them any more.

        If the provider refuses, it doesn't know the client any more, which has to register again.
        """
        try:
            return self._pull_sealed(delivered) if self.is_sealed else self._pull_plainly()
        except ProviderRefusedError:
            self.token, self.is_proven = None, False
            raise

    def _pull_plainly(self) -> Pulled:
        request = Pull(self._own.public_key, self.token or b"").encode()
        return decode_pull(exchange(self.node.client_address, request, LONGEST_ANSWER))

    def _pull_sealed(self, delivered: Delivered) -> Pulled:
        keeper = self._provider
        # Asked as late as possible: what the last pull brought may reach the disk meanwhile.
        answer = self._ask(lambda: Request(registers=False, delivered=delivered(keeper)))
        return Pulled(
            [message for _, message in answer.messages],
            is_drained=len(answer.messages) < MESSAGES_A_PULL,
            numbers=tuple(number for number, _ in answer.messages),
            keeper=keeper,
        )

    @property
    def _provider(self) -> bytes:
        """The identity that the other end of the sealed line has to have."""
        identity = self.line or self.node.identity
        if identity is None:
            raise AssertionError("a provider without an identity offers no sealed line")
        return identity

    def _ask(self, request: Callable[[], Request]) -> Answer:
        """Ask on a sealed line. Raises RemoteError; ProviderRefusedError if it isn't granted."""
        provider, place = self._provider, self.node.client_address
        try:
            data = ask(place, self._own, provider, lambda: request().encode())
        except LineError as error:
            raise LineError(
                f"{place} doesn't prove that it is provider {encode_base58(provider)}, so it was "
                "told nothing. If its operator says that it has another identity now, name that "
                "one in client.provider"
            ) from error
        self.line = provider
        answer = decode_answer(data)
        if answer.outcome is Outcome.REFUSED:
            raise ProviderRefusedError("the provider refused: it doesn't know this client")
        if answer.outcome is Outcome.FAILED:
            raise UnreachableError(f"{place} answered that it can't serve clients now")
        return answer
