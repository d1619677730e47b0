"""A directory: nodes post that they are alive, and clients ask which nodes there are.

docs/protocol/directory.md. `presence` decides which nodes are listed.
"""

import json
import logging
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from gevent.pool import Pool
from gevent.pywsgi import WSGIHandler, WSGIServer

from nym.errors import RemoteFormatError
from nym.net.listening import PatientAccept, listen
from nym.nodes.presence import MOST_NODES, Presences
from nym.wire.directory import (
    CocoNode,
    Metric,
    MixNode,
    Provider,
    Records,
    decode_coconode,
    decode_metric,
    decode_mixnode,
    decode_provider,
    encode_topology,
)

LIFETIME = 10.0  # seconds after its last post for which a node is listed; nodes post every 5
MOST_METRICS = 1000  # of all mixnodes; the oldest go first
LONGEST_BODY = 4 << 20  # bytes; a provider lists each of its clients
MOST_CONNECTIONS = 1000
TIMEOUT = 30.0  # seconds for which a connection may be silent

StartResponse = Callable[[str, list[tuple[str, str]]], object]

log = logging.getLogger(__name__)


class _Handler(WSGIHandler):
    """Ends connections that are silent for TIMEOUT, even in the middle of a request."""

    def __init__(self, connection: socket.socket, address: Any, server: Any) -> None:
        connection.settimeout(TIMEOUT)
        super().__init__(connection, address, server)

    def log_error(self, message: str, *arguments: Any) -> None:
        """Log a malformed request in one debug line: gevent's text quotes the peer's bytes."""
        log.debug("a malformed request from %s", self.client_address)


class _Server(PatientAccept, WSGIServer):
    """gevent's HTTP server, which also goes on when a connection can't be accepted."""


class Directory:
    """An HTTP server with the API of the published directory of January 2020."""

    def __init__(self, host: str, port: int) -> None:
        self._present = Presences()
        self._coconodes: dict[str, tuple[CocoNode, float]] = {}
        self._metrics: deque[dict[str, Any]] = deque(maxlen=MOST_METRICS)
        self._server = _Server(
            (host, port),
            self._answer,
            log=None,
            error_log=log,
            handler_class=_Handler,
            spawn=Pool(MOST_CONNECTIONS),
        )
        self._posts: dict[str, Callable[[bytes], None]] = {
            "/api/presence/mixnodes": lambda body: self._note(decode_mixnode(body)),
            "/api/presence/mixproviders": lambda body: self._note(decode_provider(body)),
            "/api/presence/coconodes": lambda body: self._note_coconode(decode_coconode(body)),
            "/api/metrics/mixes": lambda body: self._count(decode_metric(body)),
        }
        self._gets: dict[str, Callable[[], bytes]] = {
            "/api/presence/topology": lambda: encode_topology(self.records()),
            "/api/metrics/mixes": lambda: json.dumps(list(self._metrics)).encode(),
            "/api/healthcheck": lambda: b'{"ok": true}',
        }

    def start(self) -> str:
        """Listen; returns the directory's URL. Raises ListenError."""
        return f"http://{listen(self._server)}"

    def stop(self) -> None:
        """Stop listening."""
        self._server.stop(timeout=0)

    def records(self) -> Records:
        """The records of all nodes that posted within LIFETIME."""
        now = time.monotonic()
        nodes = list(self._present.present(now, LIFETIME))
        self._coconodes = {
            key: (node, seen)
            for key, (node, seen) in self._coconodes.items()
            if seen > now - LIFETIME
        }
        return Records(
            tuple(node for node in nodes if isinstance(node, MixNode)),
            tuple(node for node in nodes if isinstance(node, Provider)),
            tuple(node for node, _ in self._coconodes.values()),
        )

    def _note(self, node: MixNode | Provider) -> None:
        self._present.note(node, time.monotonic(), time.time_ns(), LIFETIME)

    def _note_coconode(self, node: CocoNode) -> None:
        # No packet goes to a coconode, so it can't take another node's place, and is only counted.
        if node.public_key not in self._coconodes and len(self._coconodes) >= MOST_NODES:
            raise RemoteFormatError("too many nodes")
        seen = node._replace(last_seen=time.time_ns())
        self._coconodes[node.public_key] = seen, time.monotonic()

    def _count(self, metric: Metric) -> None:
        self._metrics.append(
            {
                "pubKey": metric.public_key,
                "received": metric.received,
                "sent": metric.sent,
                "timestamp": time.time_ns(),
            }
        )

    def _answer(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        status, body = self._respond(environ)
        headers = [
            ("Content-Type", "application/json; charset=utf-8"),
            ("Content-Length", str(len(body))),
        ]
        start_response(status, headers)
        return [body]

    def _respond(self, environ: dict[str, Any]) -> tuple[str, bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if method == "GET" and path in self._gets:
            return "200 OK", self._gets[path]()
        if method == "POST" and path in self._posts:
            try:
                self._posts[path](_body(environ))
            except RemoteFormatError as error:
                return "400 Bad Request", json.dumps({"error": str(error)}).encode()
            return "201 Created", b'{"ok": true}'
        return "404 Not Found", b'{"error": "there is nothing at this address"}'


def _body(environ: dict[str, Any]) -> bytes:
    body: bytes = environ["wsgi.input"].read(LONGEST_BODY + 1)
    if len(body) > LONGEST_BODY:
        raise RemoteFormatError(f"more than {LONGEST_BODY} bytes")
    return body
