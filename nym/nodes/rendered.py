"""The topology as a directory hands it out: rendered when it has changed, and signed."""

import time
from typing import NamedTuple

from gevent.lock import RLock

from nym.net.resource import JSON, Resource
from nym.net.threads import beside_the_hub
from nym.net.web import Headers
from nym.nodes.listed import Listed
from nym.signing import Signer, Stamps
from nym.wire.directory import TOPOLOGY_PATH, Lists, Records, encode_topology
from nym.wire.signed import HEADER, Claim

FRESH = 5.0  # seconds after which the topology is rendered again, only for the new times in it
KEEP = 1  # seconds for which others may keep the topology; clients ask every 10
# Seconds for which a signed topology counts. A cache that has stopped can show it to clients for so
# long, and no longer. It is also how far a client's clock may be ahead.
EXPIRY = 600.0


class Seal:
    """Signs topologies, each with a later time than the one before; without a signer, none."""

    def __init__(self, signer: Signer | None) -> None:
        self._signer = signer
        self._stamps = Stamps()

    def now(self) -> int:
        """The time of the next signature. Not for threads: two could get the same one."""
        return self._stamps.next()

    def headers(self, body: bytes, created: int) -> Headers:
        """The headers that go with this topology."""
        if self._signer is None:
            return []
        claim = Claim(self._signer.public_key, created, expires=created + int(1000 * EXPIRY))
        return [(HEADER, claim.signed(self._signer.sign, "topology", TOPOLOGY_PATH, body))]


class Topology:
    """The topology in one form, which `lists` names: made only if somebody asks for it."""

    def __init__(self, listed: Listed, lists: Lists, seal: Seal) -> None:
        self._listed = listed
        self._lists = lists
        self._seal = seal
        self._rendering = RLock()
        self._rendered: _Rendered | None = None

    def resource(self) -> Resource:
        """The topology as it is now. Raises OwnFaultError where no thread can be started."""
        with self._rendering:  # those that ask meanwhile get the same answer
            now, changes = time.monotonic(), self._listed.changes()
            rendered = self._rendered
            if rendered is None or rendered.changes != changes or now >= rendered.until:
                until = min(now + FRESH, self._listed.next_end(now))
                # In a thread: the lists of clients can have megabytes, and packets go on meanwhile.
                resource = beside_the_hub(self._render, self._listed.records(), self._seal.now())
                self._rendered = rendered = _Rendered(resource, changes, until)
            return rendered.resource

    def _render(self, records: Records, created: int) -> Resource:
        body = encode_topology(records, self._lists)
        return Resource(body, JSON, KEEP, self._seal.headers(body, created))


class _Rendered(NamedTuple):
    """The topology, what it is made from, and until when it is right."""

    resource: Resource
    changes: tuple[int, int]
    until: float  # monotonic
