"""The client's registration at one provider, with its token (docs/protocol/provider.md)."""

import logging

from nym.errors import ProviderRefusedError
from nym.net.transport import exchange
from nym.topology import ProviderNode
from nym.wire.keys import encode_base58
from nym.wire.provider import (
    LONGEST_ANSWER,
    TOKEN_LENGTH,
    Pull,
    Pulled,
    Register,
    decode_pull,
    decode_token,
)

log = logging.getLogger(__name__)


class Registration:
    """Registers at a provider, and pulls from it. `token` is None while the client has none."""

    def __init__(self, address: bytes, node: ProviderNode, token: bytes | None = None) -> None:
        self.node = node
        self.token = token
        self._address = address

    def follow(self, node: ProviderNode) -> None:
        """Take over a new record of the provider."""
        # A token goes to no other place than the one that gave it: anybody can list the provider's
        # key elsewhere, and could then pull in the client's place. Another key at the same place
        # changes nothing. If a provider of 0.4 has one, it has restarted, and refuses the token.
        if node.client_address != self.node.client_address:
            self.token = None
        self.node = node

    def register(self) -> None:
        """Ask for a token. Raises RemoteError."""
        request = Register(self._address).encode()
        # One byte more than a token, so that a longer answer is noticed.
        answer = exchange(self.node.client_address, request, TOKEN_LENGTH + 1)
        self.token = decode_token(answer)
        log.info("registered at provider %s", encode_base58(self.node.public_key))

    def pull(self) -> Pulled:
        """Return what waited at the provider. There must be a token. Raises RemoteError.

        If the provider refuses the token, it is forgotten, because the provider has restarted.
        """
        request = Pull(self._address, self.token or b"").encode()
        answer = exchange(self.node.client_address, request, LONGEST_ANSWER)
        try:
            return decode_pull(answer)
        except ProviderRefusedError:
            self.token = None
            raise
