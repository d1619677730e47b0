"""A sealed line between a client and a provider: one request, and its answer (nym/wire/line.py).

The provider is whom the client means, and the client has the private key of its address; otherwise
neither a request nor an answer is read. Nothing that was recorded can be used again.
"""

import socket
import time
from collections.abc import Callable
from contextlib import closing
from functools import lru_cache

from nym._noise import Session, initiate, respond
from nym._secrets import Secret, exchange_public_key
from nym.errors import LineError, UnreachableError
from nym.net.boundary import deadline, translated
from nym.net.streams import read_to_end
from nym.net.transport import TIMEOUT, arriving, connect_to_any
from nym.wire.addresses import NodeAddress
from nym.wire.line import (
    BEGINNING,
    FIRST_LENGTH,
    FOURTH_LENGTH,
    PROLOGUE,
    SECOND_LENGTH,
    THIRD_LENGTH,
)

Keys = tuple[Secret, bytes]  # a private key, and its public key

# A client asks a few providers again and again.
_exchange_key = lru_cache(maxsize=64)(exchange_public_key)


def ask(place: NodeAddress, own: Keys, identity: bytes, request: Callable[[], bytes]) -> bytes:
    """Connect to a provider, and return its answer to a request.

    `own` are the keys of the client's address, and `identity` is the provider's. `request` is
    called when the provider has proven that identity; it must not wait. Raises
    UnreachableError, and LineError if it isn't that provider; GroupElementError if nobody can have
    that identity.
    """
    line = initiate(own, _exchange_key(identity), PROLOGUE)
    until = time.monotonic() + TIMEOUT
    with translated(place), closing(connect_to_any(place, TIMEOUT)) as connection:
        # Both messages are short, so there is always room for them.
        connection.send(BEGINNING + line.write(b""))
        second = b"".join(arriving(connection, place, SECOND_LENGTH, until))
        if not second:  # a server that has too much to do closes connections like that
            raise UnreachableError(f"{place} closed the connection without an answer")
        line.read(second)
        connection.send(line.write(request()))
        answer = b"".join(arriving(connection, place, FOURTH_LENGTH, until))
        if len(answer) < FOURTH_LENGTH:
            raise UnreachableError(f"{place} broke off its answer")
        return line.read(answer)


class Caller:
    """What a client asks on a connection that began as a sealed line.

    `client` is its address, of which it has the private key. Other encodings of the same key can't
    be told from it here. Raises LineError, UnreachableError, OSError.
    """

    def __init__(self, connection: socket.socket, own: Keys) -> None:
        self._connection = connection
        self._line: Session = respond(own, PROLOGUE)
        # All that is said here is short, so a time is set for the whole.
        with deadline("a client", TIMEOUT):
            self._line.read(_read(connection, FIRST_LENGTH))
            connection.sendall(self._line.write(b""))
            self.request = self._line.read(_read(connection, THIRD_LENGTH))
        if self._line.remote is None:
            raise LineError("the client didn't say who it is")
        self.client = self._line.remote

    def answer(self, answer: bytes) -> None:
        """Answer the request."""
        with deadline("a client", TIMEOUT):
            self._connection.sendall(self._line.write(answer))


def _read(connection: socket.socket, length: int) -> bytes:
    """So many bytes, or fewer if the connection ends before."""
    return b"".join(read_to_end(connection, length))
