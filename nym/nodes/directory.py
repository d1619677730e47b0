"""A directory: nodes post that they are alive, and clients ask which nodes there are.

docs/protocol/directory.md. `admission` decides which posts count, `listed` has the nodes, and
`rendered` is what clients get of them.
"""

import json
import re
import time
from collections.abc import Callable
from functools import cache
from random import SystemRandom
from typing import Any, NamedTuple

from nym.config.nodes import DirectorySettings
from nym.errors import NotAllowedError, OtherRunError, OwnFaultError, RemoteFormatError
from nym.net.listening import listen
from nym.net.resource import JSON, Resource, body_of, said
from nym.net.sources import REFUSALS
from nym.net.threads import beside_the_hub
from nym.net.watch import Watch
from nym.net.web import Answer, Environment, Headers, Upgrade, WebServer
from nym.nodes.admission import Admission
from nym.nodes.allowed import AllowList
from nym.nodes.counts import Counts
from nym.nodes.feed import PATH as FEED_PATH
from nym.nodes.feed import Feed
from nym.nodes.list_service import ListService
from nym.nodes.listed import Listed
from nym.nodes.lists import ClientLists
from nym.nodes.metrics import Metric, Metrics
from nym.nodes.metrics import read as read_metric
from nym.nodes.openapi import DESCRIPTION
from nym.nodes.rendered import Seal, Topology
from nym.signing import Signer
from nym.web.page import Page
from nym.wire.directory import (
    BY_DIGEST,
    COCONODES_PATH,
    HEALTH_PATH,
    LEAVING_PATH,
    LISTS_PATH,
    METRICS_PATH,
    MIXNODES_PATH,
    PROVIDERS_PATH,
    SINCE_HEADER,
    TAKES_HEADER,
    TOPOLOGY_PATH,
    CocoNode,
    Lists,
    Provider,
    Records,
    decode_coconode,
    decode_mixnode,
    decode_provider,
)
from nym.wire.signed import RUN_HEADER, Purpose

LONGEST_RECORD = 10_000  # bytes of a mixnode's or coconode's post
LONGEST_PROVIDER = 4 << 20  # bytes of a provider's, which may list each of its clients
LONGEST_METRIC = 1 << 20
LONGEST_LEAVING = 1000
SHORT = 10_000  # bytes of a post; a longer one is read in a thread
MOST_CONNECTIONS = 1000
SILENCE = 30.0  # seconds for which a connection may be silent

ACCEPTED, REFUSED, OTHER = "accepted", "refused", "other"  # what is counted

DASHBOARD = Page(
    "dashboard",
    (
        *("dashboard.css", "dashboard.js", "directory.js", "icon.svg", "layers.js", "network.js"),
        *("table.js", "traffic.js"),
    ),
)
_PAGE = "/"  # in the count of requests: the dashboard and its files

_OK = Resource(b'{"ok": true}', JSON)


class Directory:
    """An HTTP server with the API of the published directory of January 2020.

    With a `signer`, it signs the topology. With `allowed`, it takes posts from these identities
    alone. Without `client_lists`, only published clients get lists of clients.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        signer: Signer | None = None,
        allowed: AllowList | None = None,
        client_lists: bool = True,
        connections_per_source: int = DirectorySettings.source_connections,
    ) -> None:
        self.counts = Counts("directory")
        self._allowed = allowed
        self._admission = Admission(allowed.identities if allowed else None)
        lists = ClientLists()
        self._listed = Listed(lists)
        self._list_service = ListService(lists, hands_out=client_lists)
        self._metrics = Metrics()
        self._feed = Feed()
        seal = Seal(signer)
        by_digest = Lists.BY_DIGEST if client_lists else Lists.NONE
        self._whole = Topology(self._listed, Lists.WHOLE, seal)
        self._by_digest = Topology(self._listed, by_digest, seal)
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
            MIXNODES_PATH: _Post("presence", LONGEST_RECORD, decode_mixnode, self._listed.note),
            PROVIDERS_PATH: _Post(
                "presence", LONGEST_PROVIDER, _named_provider, self._note_provider
            ),
            COCONODES_PATH: _Post("presence", LONGEST_RECORD, decode_coconode, self._note_coconode),
            LEAVING_PATH: _Post("leaving", LONGEST_LEAVING, bytes, self._let_go),
            METRICS_PATH: _Post("metrics", LONGEST_METRIC, read_metric, self._count),
        }
        self._gets: dict[str, Callable[[str], Resource]] = {
            TOPOLOGY_PATH: self._topology,
            METRICS_PATH: lambda _: self._metrics.resource(),
            HEALTH_PATH: lambda _: _OK,
            "/swagger/doc.json": lambda _: _description(),
        }
        self._asked = self.counts.kinds(
            "nym_directory_requests_total",
            "Requests that ask for something, by path.",
            "path",
            (*self._gets, LISTS_PATH, FEED_PATH, _PAGE, OTHER),
        )
        self._posted = self.counts.kinds(
            "nym_directory_posts_total",
            "What nodes posted, and whether it was accepted.",
            "outcome",
            (ACCEPTED, REFUSED),
        )
        self.counts.gauges(
            "nym_directory_nodes", "Nodes that are listed, by role.", "role", self._listed.by_role
        )
        self.counts.gauge(
            "nym_directory_connections",
            "Connections that are open.",
            self._server.connections,
        )
        self.counts.gauge(
            "nym_directory_listeners",
            "Connections that are told each metric.",
            lambda: len(self._feed),
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
            self._listed.keep_only(self._allowed.identities)

    def records(self) -> Records:
        """The records of all nodes that are listed now."""
        return self._listed.records()

    def _topology(self, query: str) -> Resource:
        form = self._by_digest if BY_DIGEST in query.split("&") else self._whole
        return form.resource()

    def _note_provider(self, node: Provider, identity: bytes | None) -> Headers:
        since = self._listed.note_provider(node, identity)
        return [] if since is None else [(SINCE_HEADER, str(since.digest))]

    def _note_coconode(self, node: CocoNode, _: bytes | None) -> None:
        self._listed.note_coconode(node)

    def _let_go(self, _: bytes, identity: bytes | None) -> None:
        if identity is not None:  # as Admission makes sure
            self._listed.leave(identity)

    def _count(self, metric: Metric, _: bytes | None) -> None:
        self._metrics.take(metric)
        self._feed.tell(metric.listed)

    def _respond(self, environ: Environment) -> Answer | Upgrade:
        answer = self._found(environ)
        # Everything here is public, and asks for no credentials: pages of any origin may read it.
        more = [("Access-Control-Allow-Origin", "*"), (TAKES_HEADER, BY_DIGEST)]
        return answer._replace(headers=[*answer.headers, *more])

    def _found(self, environ: Environment) -> Answer | Upgrade:
        method = environ["REQUEST_METHOD"]
        path = re.sub("/+", "/", environ["PATH_INFO"]).rstrip("/")
        if method == "OPTIONS" and path.startswith("/api"):
            allowed = [("Access-Control-Allow-Methods", "GET, HEAD, POST, OPTIONS")]
            allowed += [("Access-Control-Allow-Headers", "Content-Type")]
            return Answer("204 No Content", allowed, b"")
        if method in ("GET", "HEAD") and path in self._gets:
            self._asked[path] += 1
            return _safely(lambda: _kept(self._gets[path](environ["QUERY_STRING"]), environ))
        if method in ("GET", "HEAD") and (file := path or _PAGE) in DASHBOARD:
            self._asked[_PAGE] += 1
            # In a thread: it is read and packed when somebody first asks for it.
            return _safely(lambda: _kept(beside_the_hub(DASHBOARD.__getitem__, file), environ))
        if method in ("GET", "HEAD") and path == FEED_PATH:
            self._asked[FEED_PATH] += 1
            return self._feed.open(environ)
        if method == "POST" and path in self._posts:
            answer = _safely(lambda: self._take(path, environ))
            self._posted[ACCEPTED if answer.status.startswith("2") else REFUSED] += 1
            return answer
        place, _, name = path.rpartition("/")
        if place == LISTS_PATH and method in ("GET", "HEAD"):
            self._asked[LISTS_PATH] += 1
            return _safely(lambda: self._list_service.hand_out(name, environ["QUERY_STRING"]))
        if place == LISTS_PATH and method == "POST":
            return _safely(lambda: self._list_service.take(name, environ))
        self._asked[OTHER] += 1
        return said("404 Not Found", {"error": "there is nothing at this address"})

    def _take(self, path: str, environ: Environment) -> Answer:
        post = self._posts[path]
        body = body_of(environ, post.longest)
        is_long = len(body) > SHORT
        record = beside_the_hub(post.read, body) if is_long else None
        # Nothing from here on waits, so no other post comes between the check and the note.
        header = environ.get("HTTP_NYM_SIGNATURE")
        try:
            claim = self._admission.check(header, post.purpose, path, body, time.time())
        except OtherRunError as error:
            run = [(RUN_HEADER, self._admission.run)]
            return said("400 Bad Request", {"error": str(error)}, run)
        headers = post.take(record if is_long else post.read(body), claim and claim.key)
        if claim is not None:
            self._admission.note(claim)
        return said("201 Created", {"ok": True}, headers)


def _kept(resource: Resource, environ: Environment) -> Answer:
    """The answer with this resource, as this request wants it."""
    known, encodings = (
        environ.get(f"HTTP_{name}", "") for name in ("IF_NONE_MATCH", "ACCEPT_ENCODING")
    )
    return resource.answer(known, encodings)


def _safely(answer: Callable[[], Answer]) -> Answer:
    """The answer, or the one that says why there is none."""
    try:
        return answer()
    except OwnFaultError as error:
        return said("503 Service Unavailable", {"error": str(error)})
    except NotAllowedError as error:
        return said("403 Forbidden", {"error": str(error)})
    except RemoteFormatError as error:
        return said("400 Bad Request", {"error": str(error)})


class _Post(NamedTuple):
    """What is posted at one path: what a signature has to be for, what reads and takes the body.

    `take` is also told who signed it, and returns headers for the answer. Both raise
    RemoteFormatError.
    """

    purpose: Purpose
    longest: int  # bytes
    read: Callable[[bytes], Any]
    take: Callable[[Any, bytes | None], Headers | None]


@cache
def _description() -> Resource:
    return Resource(json.dumps(DESCRIPTION).encode(), JSON, 3600)


def _named_provider(body: bytes) -> Provider:
    """The provider that is posted, in either form, with the digest of its list of clients."""
    node = decode_provider(body)
    return node if node.digest else node._replace(digest=node.clients.digest)
