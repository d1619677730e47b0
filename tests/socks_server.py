"""A SOCKS 5 proxy (RFC 1928, RFC 1929), written without the program's own code for it."""

import ipaddress
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress

import gevent

Place = tuple[str, int]


class SocksServer:
    """Makes connections; `asked` has the hosts and ports that clients named.

    `places` has where a connection really goes, for hosts that aren't as they are called. With
    `login`, clients have to give this user name and password. `replies` has codes by which a
    request for a place is refused. While it `is_away`, it closes all new connections.
    """

    def __init__(
        self,
        places: Mapping[Place, Place] | None = None,
        login: tuple[str, str] | None = None,
        replies: Mapping[Place, int] | None = None,
    ) -> None:
        self.asked: list[Place] = []
        self.is_away = False
        self.missed = 0  # connections that it closed
        self._places = places or {}
        self._login = login
        self._replies = replies or {}

    def serve(self, client: socket.socket) -> None:
        """Serve one connection."""
        if self.is_away:
            self.missed += 1
            return
        version, count = take(client, 2)
        methods = take(client, count)
        method = 2 if self._login else 0
        assert version == 5
        if method not in methods:
            client.sendall(b"\5\xff")
            return
        client.sendall(bytes([5, method]))
        if self._login and not self._knows(client):
            return
        version, command, zero, kind = take(client, 4)
        assert (version, command, zero) == (5, 1, 0)
        if kind == 3:
            host = take(client, take(client, 1)[0]).decode()
        else:
            host = str(ipaddress.ip_address(take(client, {1: 4, 4: 16}[kind])))
        place = host, int.from_bytes(take(client, 2), "big")
        self.asked.append(place)
        code = self._replies.get(place, 0)
        client.sendall(bytes([5, code, 0, 3, 5]) + b"proxy" + bytes(2))
        if not code:
            with socket.create_connection(self._places.get(place, place)) as peer:
                relay(client, peer)

    def _knows(self, client: socket.socket) -> bool:
        assert take(client, 1) == b"\1"
        given = tuple(take(client, take(client, 1)[0]).decode() for _ in range(2))
        client.sendall(bytes([1, given != self._login]))
        return given == self._login


def take(connection: socket.socket, length: int) -> bytes:
    """So many bytes. Raises ConnectionError if there are fewer."""
    read = b""
    while len(read) < length:
        if not (chunk := connection.recv(length - len(read))):
            raise ConnectionError("the client has gone")
        read += chunk
    return read


def relay(one: socket.socket, other: socket.socket) -> None:
    """Pass on what comes, and its end, both ways."""

    def pass_on(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):  # one of them has gone; the other one learns of it
            while chunk := source.recv(1 << 16):
                sink.sendall(chunk)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    gevent.joinall([gevent.spawn(pass_on, one, other), gevent.spawn(pass_on, other, one)])


def answering(*answers: bytes) -> Callable[[socket.socket], None]:
    """What a broken proxy does: it gives one answer for each thing that it reads, and closes."""

    def serve(client: socket.socket) -> None:
        for answer in answers:
            client.recv(1 << 10)
            client.sendall(answer)

    return serve
