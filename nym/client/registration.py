"""The client at one provider: its token there (docs/protocol/provider.md)."""

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
    """Registers where there is no token, and pulls where there is one."""

    def __init__(self, address: bytes, node: ProviderNode, token: bytes | None = None) -> None:
        self.node = node
        self.token = token
        self._address = address

    def follow(self, node: ProviderNode) -> None:
        """The provider's record is a new one; under a new key, it has forgotten its tokens."""
        if node.public_key != self.node.public_key:
            self.token = None
        self.node = node

    def register(self) -> None:
        """Ask for a token. Raises RemoteError."""
        request = Register(self._address).encode()
        answer = exchange(self.node.client_address, request, TOKEN_LENGTH + 1)
        self.token = decode_token(answer)
        log.info("registered at provider %s", encode_base58(self.node.public_key))

    def pull(self) -> Pulled:
        """What waited. Raises RemoteError; there must be a token.

        Where the provider refuses the token, it is forgotten: the provider was started anew.
        """
        request = Pull(self._address, self.token or b"").encode()
        answer = exchange(self.node.client_address, request, LONGEST_ANSWER)
        try:
            return decode_pull(answer)
        except ProviderRefusedError:
            self.token = None
            raise
