"""The temporary client of a check: it registers at every provider, and sends loops to itself.

Its keys are only in memory. Its loops look like those of any client: the same packets, with delays
from the same distribution. So a node can't treat them better than the packets of its users. The
client knows the delays that it asked for, and what a loop takes beyond them is the network's.
"""

import logging
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from random import Random

import gevent
from gevent.event import Event
from gevent.pool import Pool

from nym.client.registration import Registration
from nym.config import TrafficSettings
from nym.envelope import ID_LENGTH, Cover, Envelopes
from nym.errors import OwnFaultError, RemoteError
from nym.identity import generate_identity
from nym.net.transport import send_packet
from nym.routes import NANOSECONDS, hops_through
from nym.sphinx import create_packet
from nym.timing import Fixed
from nym.topology import Mix, ProviderNode

AVERAGE_DELAY = TrafficSettings.average_packet_delay
PATIENCE = 10.0  # seconds beyond its delays after which a loop is lost
# While a loop is late, its provider is asked after so many seconds, and later whenever the loop is
# late by this share more. So what a loop took is told with that precision, and lost loops cause few
# pulls.
PULL_PERIOD = 0.02
PRECISION = 0.25
RETRY = 1.0  # seconds until the next pull after one that failed
AT_ONCE = 64  # registrations and packets on their way to a first mixnode
# Loops per second: to each provider no more than pulls bring, and altogether no more than one
# source may send to a mixnode without being in anybody's way.
PACE = 25.0
FASTEST = 100.0

Route = tuple[Mix | ProviderNode, ...]

log = logging.getLogger(__name__)


@dataclass
class Loop:
    """A packet from the client to itself through nodes with these keys, the last a provider's.

    Times are in seconds, `sent_at` is a monotonic one. `delay` is what was asked of the mixnodes.
    `took` is None until the loop is back. If it `is_refused`, its first node took no connection.
    """

    route: tuple[bytes, ...]
    delay: float
    sent_at: float
    took: float | None = None
    is_refused: bool = False

    @property
    def due(self) -> float:
        """When it would be back if nothing but its delays took time."""
        return self.sent_at + self.delay

    @property
    def lateness(self) -> float | None:
        """How much longer than its delays it took; None if it isn't back."""
        return None if self.took is None else self.took - self.delay


@dataclass
class _Post:
    """The client's registration at one provider, and the loops to it that are on their way.

    `trouble` is why the last request failed, if it did; `has_more` is set when a loop has left.
    """

    registration: Registration
    delivered: tuple[int, ...] = ()
    trouble: RemoteError | None = None
    out: dict[bytes, Loop] = field(default_factory=dict)  # by their names
    has_more: Event = field(default_factory=Event)

    def rest(self, now: float) -> float:
        """Seconds until the provider should be asked for loops."""
        return min((_rest(now - loop.due) for loop in self.out.values()), default=inf)


def _rest(late: float) -> float:
    return -late if late < 0 else max(PULL_PERIOD, PRECISION * late)


class Prober:
    """The temporary client. A loop counts as lost after `patience` seconds beyond its delays."""

    def __init__(self, random: Random, patience: float = PATIENCE) -> None:
        self._own = generate_identity()
        self._envelopes = Envelopes(self._own)
        self._random = random
        self._patience = patience
        self._posts: dict[bytes, _Post] = {}
        self._all_back = Event()

    def register(self, providers: Iterable[ProviderNode]) -> None:
        """Register at these providers, and forget all others; `troubles` tells what failed."""
        before = {post.registration.node.place: post for post in self._posts.values()}
        self._posts = {}
        for node in providers:
            post = before.get(node.place) or _Post(Registration(self._own, node))
            post.registration.follow(node)
            self._posts[node.public_key] = post
        pool = Pool(AT_ONCE)
        for _ in pool.imap_unordered(_register, self._posts.values()):
            pass

    def troubles(self) -> dict[bytes, RemoteError]:
        """Why the client can't use providers, by their keys; those that it can use aren't there."""
        return {key: post.trouble for key, post in self._posts.items() if post.trouble}

    def send(self, routes: Iterable[Route]) -> list[Loop]:
        """Send a loop on each route, and wait until all are back or lost. Raises OwnFaultError."""
        routes = list(routes)
        if not routes:
            return []
        posts = [self._posts[key] for key in {route[-1].public_key for route in routes}]
        rate = min(FASTEST, PACE * len(posts))
        with self._pulling(posts):
            sent = Pool(AT_ONCE).imap(self._send, _paced(routes, rate))
            loops = [_as_loop(outcome) for outcome in sent]
            end = max((loop.due for loop in loops), default=0.0) + self._patience
            while any(post.out for post in posts) and time.monotonic() < end:
                self._all_back.wait(end - time.monotonic())
                self._all_back.clear()
        for post in posts:
            post.out.clear()
        return loops

    def _send(self, route: Route) -> Loop | OwnFaultError:
        hops = hops_through(route, AVERAGE_DELAY, self._random)
        # The last hop keeps what it gets, so its delay isn't in the packet.
        delay = sum(hop.delay for hop in hops[:-1]) / NANOSECONDS
        name, address = os.urandom(ID_LENGTH), self._own.public_key
        packet = create_packet(self._envelopes.seal(Cover(name), address), hops, address)
        loop = Loop(tuple(node.public_key for node in route), delay, time.monotonic())
        post = self._posts[loop.route[-1]]
        post.out[name] = loop
        post.has_more.set()
        try:
            send_packet(route[0].address, packet)
        except OwnFaultError as error:
            return error
        except RemoteError as error:
            log.debug("a loop was refused: %s", error)
            loop.is_refused = True
            self._end(post, name)
        return loop

    def _end(self, post: _Post, name: bytes) -> Loop | None:
        loop = post.out.pop(name, None)
        if not post.out:
            self._all_back.set()
        return loop

    @contextmanager
    def _pulling(self, posts: Iterable[_Post]) -> Iterator[None]:
        """Pull from these providers inside the block, while loops to them are on their way."""
        greenlets = [gevent.spawn(self._keep_pulling, post) for post in posts]
        try:
            yield
        finally:
            gevent.killall(greenlets)

    def _keep_pulling(self, post: _Post) -> None:
        while True:
            post.has_more.clear()
            rest = post.rest(time.monotonic())
            if post.has_more.wait(None if rest == inf else rest):
                continue
            with _troubles_of(post):
                if not post.registration.is_complete:  # it has forgotten the client
                    post.registration.register()
                self._pull(post)
            if post.trouble:
                gevent.sleep(RETRY)

    def _pull(self, post: _Post) -> None:
        is_drained = False
        while not is_drained:
            pulled = post.registration.pull(lambda _: post.delivered)
            post.delivered = pulled.numbers
            now = time.monotonic()
            for message in pulled.messages:
                content = self._envelopes.open(message)
                if isinstance(content, Cover) and (loop := self._end(post, content.id)):
                    loop.took = now - loop.sent_at
            is_drained = pulled.is_drained or not pulled.is_whole


def _paced(routes: Iterable[Route], rate: float) -> Iterator[Route]:
    """Yield so many routes per second."""
    pace = Fixed(1 / rate, time.monotonic())
    for route in routes:
        gevent.sleep(max(0.0, pace.deadline - time.monotonic()))
        pace.advance(time.monotonic())
        yield route


def _as_loop(outcome: Loop | OwnFaultError) -> Loop:
    if isinstance(outcome, OwnFaultError):
        raise outcome  # not in its greenlet, whose error gevent would report as a mistake
    return outcome


def _register(post: _Post) -> None:
    with _troubles_of(post):
        post.registration.register()


@contextmanager
def _troubles_of(post: _Post) -> Iterator[None]:
    """Note what fails inside the block, or that nothing does."""
    post.trouble = None
    try:
        yield
    except RemoteError as error:
        log.debug("%s: %s", post.registration.node.client_address, error)
        post.trouble = error
