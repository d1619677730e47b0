"""A directory: nodes post that they are alive, and clients ask which nodes there are.

docs/protocol/directory.md. `admission` decides which posts count, `presence` which nodes are
listed.
"""

import json
import re
import time
from collections import deque
from collections.abc import Callable
from functools import cache
from random import SystemRandom
from typing import Any, NamedTuple

from gevent.lock import RLock

from nym.config.nodes import DirectorySettings
from nym.errors import NotAllowedError, OtherRunError, OwnFaultError, RemoteFormatError
from nym.net.listening import listen
from nym.net.sources import REFUSALS
from nym.net.threads import beside_the_hub
from nym.net.watch import Watch
from nym.net.web import Answer, Environment, Headers, WebServer, answer_with
from nym.nodes.admission import Admission
from nym.nodes.allowed import AllowList
from nym.nodes.counts import Counts
from nym.nodes.openapi import DESCRIPTION
from nym.nodes.presence import MOST_NODES, Presences
from nym.nodes.resource import Resource
from nym.signing import Signer, Stamps
from nym.wire.directory import (
    COCONODES_PATH,
    LEAVING_PATH,
    METRICS_PATH,
    MIXNODES_PATH,
    PROVIDERS_PATH,
    TOPOLOGY_PATH,
    CocoNode,
    MixNode,
    Provider,
    Records,
    decode_coconode,
    decode_metric,
    decode_mixnode,
    decode_provider,
    encode_topology,
)
from nym.wire.signed import HEADER, RUN_HEADER, Claim, Purpose

LIFETIME = 10.0  # seconds after its last post for which a node is listed; nodes post every 5
FRESH = 5.0  # seconds after which the topology is rendered again, only for the new times in it
KEEP = 1  # seconds for which others may keep the topology; clients ask every 10
# Seconds for which a signed topology counts. A cache that has stopped can show it to clients for so
# long, and no longer. It is also how far a client's clock may be ahead.
EXPIRY = 600.0
WINDOW = 3.0  # seconds; mixnodes post metrics every 3, so that the list has one of each
LONGEST_RECORD = 10_000  # bytes of a mixnode's or coconode's post
LONGEST_PROVIDER = 4 << 20  # bytes of a provider's, which lists each of its clients
LONGEST_METRIC = 1 << 20
LONGEST_LEAVING = 1000
MOST_METRICS = 16 << 20  # bytes in one window
MOST_CONNECTIONS = 1000
SILENCE = 30.0  # seconds for which a connection may be silent

JSON = "application/json; charset=utf-8"
ACCEPTED, REFUSED, OTHER = "accepted", "refused", "other"  # what is counted

_OK = Resource(b'{"ok": true}', JSON)


class Directory:
    """An HTTP server with the API of the published directory of January 2020.

    With a `signer`, it signs the topology. With `allowed`, it takes posts from these identities
    alone.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        signer: Signer | None = None,
        allowed: AllowList | None = None,
        connections_per_source: int = DirectorySettings.source_connections,
    ) -> None:
        self.counts = Counts("directory")
        self._signer = signer
        self._stamps = Stamps()
        self._allowed = allowed
        self._admission = Admission(allowed.identities if allowed else None)
        self._present = Presences()
        self._coconodes: dict[str, tuple[CocoNode, float]] = {}
        self._metrics: deque[_Metric] = deque()
        self._topology: _Rendered | None = None
        self._rendering = RLock()
        self._watch = Watch(SystemRandom())
        refused = self.counts.kinds(
            "nym_directory_connections_refused_total",
            "Connections that were closed unread.",
            "reason",
            REFUSALS,
        )
        self._server = WebServer(
            (host, port), self._respond, MOST_CONNECTIONS, connections_per_source, SILENCE, refused
        )
        self._posts: dict[str, _Post] = {
            MIXNODES_PATH: _Post("presence", LONGEST_RECORD, self._note_mixnode),
            PROVIDERS_PATH: _Post("presence", LONGEST_PROVIDER, self._note_provider),
            COCONODES_PATH: _Post("presence", LONGEST_RECORD, self._note_coconode),
            LEAVING_PATH: _Post("leaving", LONGEST_LEAVING, self._let_go),
            METRICS_PATH: _Post("metrics", LONGEST_METRIC, self._count),
        }
        self._gets: dict[str, Callable[[], Resource]] = {
            TOPOLOGY_PATH: self._rendered_topology,
            METRICS_PATH: self._recent_metrics,
            "/api/healthcheck": lambda: _OK,
            "/swagger/doc.json": _description,
        }
        self._asked = self.counts.kinds(
            "nym_directory_requests_total",
            "Requests that ask for something, by path.",
            "path",
            (*self._gets, OTHER),
        )
        self._posted = self.counts.kinds(
            "nym_directory_posts_total",
            "What nodes posted, and whether it was accepted.",
            "outcome",
            (ACCEPTED, REFUSED),
        )
        self.counts.gauges(
            "nym_directory_nodes", "Nodes that are listed, by role.", "role", self._listed_by_role
        )
        self.counts.gauge(
            "nym_directory_connections",
            "Connections that are open.",
            self._server.connections,
        )

    def start(self, option: str = "--listen") -> str:
        """Listen; returns the directory's URL. Raises ListenError.

        `option` is the one with which users choose another port.
        """
        url = f"http://{listen(self._server, option)}"
        self._watch.start("lag of the directory", self.counts.keep_noting_lag)
        return url

    def stop(self) -> None:
        """Stop listening."""
        self._server.stop(timeout=0)
        self._watch.stop()

    def reload(self) -> None:
        """Read the list of identities again. Nodes that are no longer on it vanish at once."""
        if self._allowed is not None:
            self._allowed.reload()
            self._admission.allowed = self._allowed.identities
            self._present.keep_only(self._allowed.identities)
            self._coconodes.clear()  # nobody notes whose they are, and they soon post again

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

    def _listed_by_role(self) -> dict[str, int]:
        records = self.records()
        return {
            "mixnode": len(records.mixnodes),
            "provider": len(records.providers),
            "coconode": len(records.coconodes),
        }

    def _rendered_topology(self) -> Resource:
        with self._rendering:  # those that ask meanwhile get the same answer
            now, changes = time.monotonic(), self._changes()
            if (
                self._topology is None
                or self._topology.changes != changes
                or now >= self._topology.until
            ):
                ends = [seen + LIFETIME for _, seen in self._coconodes.values()]
                until = min(now + FRESH, self._present.next_end(now, LIFETIME), *ends)
                # In a thread: the lists of clients can have megabytes, and packets go on meanwhile.
                resource = beside_the_hub(self._topology_of, self.records())
                self._topology = _Rendered(resource, changes, until)
            return self._topology.resource

    def _changes(self) -> tuple[int, int]:
        return self._present.changes, len(self._coconodes)

    def _recent_metrics(self) -> Resource:
        self._forget_metrics()
        return beside_the_hub(_listed, [metric.listed for metric in self._metrics])

    def _topology_of(self, records: Records) -> Resource:
        body = encode_topology(records)
        return Resource(body, JSON, KEEP, self._signature(body))

    def _signature(self, body: bytes) -> Headers:
        if self._signer is None:
            return []
        created = self._stamps.next()
        claim = Claim(self._signer.public_key, created, expires=created + int(1000 * EXPIRY))
        return [(HEADER, claim.signed(self._signer.sign, "topology", TOPOLOGY_PATH, body))]

    def _note_mixnode(self, body: bytes, identity: bytes | None) -> None:
        self._note(decode_mixnode(body), identity)

    def _note_provider(self, body: bytes, identity: bytes | None) -> None:
        self._note(decode_provider(body), identity)

    def _note(self, node: MixNode | Provider, identity: bytes | None) -> None:
        self._present.note(node, time.monotonic(), time.time_ns(), LIFETIME, identity)

    def _let_go(self, _: bytes, identity: bytes | None) -> None:
        if identity is not None:  # as Admission makes sure
            self._present.leave(identity)

    def _note_coconode(self, body: bytes, _: bytes | None) -> None:
        node = decode_coconode(body)
        # No packet goes to a coconode, so it can't take another node's place, and is only counted.
        if node.public_key not in self._coconodes and len(self._coconodes) >= MOST_NODES:
            raise RemoteFormatError("too many nodes")
        seen = node._replace(last_seen=time.time_ns())
        self._coconodes[node.public_key] = seen, time.monotonic()

    def _count(self, body: bytes, _: bytes | None) -> None:
        metric = decode_metric(body)
        self._forget_metrics()
        if sum(kept.size for kept in self._metrics) + len(body) > MOST_METRICS:
            raise RemoteFormatError("too many metrics at once")
        listed = {
            "pubKey": metric.public_key,
            "received": metric.received,
            "sent": metric.sent,
            "timestamp": time.time_ns(),
        }
        self._metrics.append(_Metric(listed, len(body), time.monotonic()))

    def _forget_metrics(self) -> None:
        while self._metrics and self._metrics[0].seen < time.monotonic() - WINDOW:
            self._metrics.popleft()

    def _respond(self, environ: Environment) -> Answer:
        status, headers, body = self._found(environ)
        # Everything here is public, and asks for no credentials: pages of any origin may read it.
        return Answer(status, [*headers, ("Access-Control-Allow-Origin", "*")], body)

    def _found(self, environ: Environment) -> Answer:
        method = environ["REQUEST_METHOD"]
        path = re.sub("/+", "/", environ["PATH_INFO"]).rstrip("/")
        if method == "OPTIONS" and path.startswith("/api"):
            allowed = [("Access-Control-Allow-Methods", "GET, HEAD, POST, OPTIONS")]
            allowed += [("Access-Control-Allow-Headers", "Content-Type")]
            return Answer("204 No Content", allowed, b"")
        if method in ("GET", "HEAD") and path in self._gets:
            self._asked[path] += 1
            known, encodings = (
                environ.get(f"HTTP_{name}", "") for name in ("IF_NONE_MATCH", "ACCEPT_ENCODING")
            )
            try:
                return self._gets[path]().answer(known, encodings)
            except OwnFaultError as error:
                return _said("503 Service Unavailable", {"error": str(error)})
        if method == "POST" and path in self._posts:
            answer = self._take(path, environ)
            self._posted[ACCEPTED if answer.status.startswith("2") else REFUSED] += 1
            return answer
        self._asked[OTHER] += 1
        return _said("404 Not Found", {"error": "there is nothing at this address"})

    def _take(self, path: str, environ: Environment) -> Answer:
        post = self._posts[path]
        try:
            body = _body(environ, post.longest)
            # Nothing from here on waits, so no other post comes between the check and the note.
            header = environ.get("HTTP_NYM_SIGNATURE")
            claim = self._admission.check(header, post.purpose, path, body, time.time())
            post.take(body, claim and claim.key)
            if claim is not None:
                self._admission.note(claim)
        except NotAllowedError as error:
            return _said("403 Forbidden", {"error": str(error)})
        except OtherRunError as error:
            run = [(RUN_HEADER, self._admission.run)]
            return _said("400 Bad Request", {"error": str(error)}, run)
        except RemoteFormatError as error:
            return _said("400 Bad Request", {"error": str(error)})
        return _said("201 Created", {"ok": True})


class _Post(NamedTuple):
    """What is posted at one path: what a signature has to be for, and what takes the body.

    `take` is also told who signed it. It raises RemoteFormatError.
    """

    purpose: Purpose
    longest: int  # bytes
    take: Callable[[bytes, bytes | None], None]


class _Rendered(NamedTuple):
    """The topology, what it is made from, and until when it is right."""

    resource: Resource
    changes: tuple[int, int]
    until: float  # monotonic


class _Metric(NamedTuple):
    """A metric as it is listed, how many bytes it came in, and when."""

    listed: dict[str, Any]
    size: int
    seen: float  # monotonic


def _listed(metrics: list[dict[str, Any]]) -> Resource:
    return Resource(json.dumps(metrics).encode(), JSON)


@cache
def _description() -> Resource:
    return Resource(json.dumps(DESCRIPTION).encode(), JSON, 3600)


def _said(status: str, body: dict[str, Any], more: Headers | None = None) -> Answer:
    answer = answer_with(status, JSON, json.dumps(body).encode())
    return answer._replace(headers=answer.headers + (more or []))


def _body(environ: Environment, longest: int) -> bytes:
    body: bytes = environ["wsgi.input"].read(longest + 1)
    if len(body) > longest:
        raise RemoteFormatError(f"more than {longest} bytes")
    return body
