"""The state of a running client: the only place that makes a status report."""

import time
from collections import Counter
from dataclasses import dataclass, field

from nym import __version__
from nym.client.assembly import Assembly
from nym.client.cover import DropCover, LoopCover
from nym.client.history import History
from nym.client.outgoing import OutgoingQueue
from nym.client.poller import Poller
from nym.client.receiver import Receiver
from nym.client.refresher import Refresher
from nym.client.reply_addresses import ReplyAddresses
from nym.client.session import ProviderSession
from nym.client.settling import Settling
from nym.client.tempo import Tempo, describe
from nym.client.trial import ProviderTrial
from nym.health import PROVIDER_SUSPECT, Health
from nym.reports import node_details
from nym.store.inbox import Inbox
from nym.store.outbox import Outbox
from nym.store.shares import Standing
from nym.topology import ProviderNode, Topology
from nym.wire.keys import encode_base58
from nym.wire.reports import (
    AvoidedNode,
    ByStanding,
    HistoryReport,
    HistorySample,
    LastLoop,
    LoopHop,
    LoopsReport,
    NetworkDetails,
    NodeLoops,
    State,
    StatusReport,
)
from nym.wire.text import visible_url

LONGEST_REFUSAL = 10.0  # seconds without a mixnode that takes packets, until the status says so


@dataclass
class Overview:
    """Reads the state of a client's parts; see service.View."""

    address: bytes
    refresher: Refresher
    session: ProviderSession
    poller: Poller
    settling: Settling
    health: Health
    trial: ProviderTrial
    assembly: Assembly
    receiver: Receiver
    outgoing: OutgoingQueue
    loops: LoopCover
    drops: DropCover
    outbox: Outbox
    inbox: Inbox
    tempo: Tempo
    reply_addresses: ReplyAddresses
    started: float = field(default_factory=time.monotonic)

    past: History = field(init=False)

    def __post_init__(self) -> None:
        self.past = History(self.sample)

    @property
    def topology(self) -> Topology | None:
        """The network to use, or None while there is none."""
        return self.refresher.topology

    @property
    def provider(self) -> ProviderNode | None:
        """The provider that the client uses, or None before one was found."""
        return self.session.provider

    def network(self) -> NetworkDetails | None:
        """Return the nodes that the client uses, or None while no network is known."""
        details = self.refresher.view.details()
        return details and details._replace(
            directory=self._directory, directory_verified=self.refresher.is_verified
        )

    def report(self) -> StatusReport:
        """Return how the client is doing now (docs/protocol/sockets.md has the fields)."""
        now = time.monotonic()
        state, since, reason = self._state(now)
        provider, loops = self.provider, self.health.loops
        identity = provider and provider.identity
        return StatusReport(
            version=__version__,
            address=encode_base58(self.address),
            state=state,
            state_seconds=round(now - since, 1),
            reason=reason,
            directory=self._directory,
            directory_verified=self.refresher.is_verified,
            network=self.refresher.view.report(),
            provider=encode_base58(provider.public_key) if provider else None,
            provider_identity=encode_base58(identity) if identity else None,
            registered=self.session.registered.is_set(),
            provider_sealed=self.session.is_sealed,
            backlog=self.poller.backlog.report(now),
            tempo=self.tempo.report(),
            uptime=round(now - self.started, 3),
            outbox=len(self.outbox),
            inbox=len(self.inbox),
            inbox_lost=self.inbox.refusals.counts[Standing.ANONYMOUS],
            inbox_refused=_by_standing(self.inbox.refusals.counts),
            plain_refused=self.receiver.plain_refused,
            partial=len(self.assembly),
            partial_lost=self.assembly.given_up.total(),
            partial_given_up=_by_standing(self.assembly.given_up),
            failed=self.outbox.failed,
            packets_real=self.outgoing.sent,
            packets_cover=self.loops.sent + self.drops.sent,
            packets_received=self.receiver.received,
            loops_sent=loops.sent_count,
            loops_returned=loops.returned_count,
            loop_time=_rounded(loops.loop_time()),
            loss=_rounded(loops.loss(now)),
            avoided_nodes=[
                AvoidedNode(
                    key=encode_base58(node.public_key),
                    address=str(node.address),
                    why=why,
                    seconds=round(seconds, 1),
                )
                for node, why, seconds in self.health.avoided(now).values()
            ],
            reply_addresses=self.reply_addresses.report(),
        )

    def sample(self) -> HistorySample:
        """Return the numbers of this moment that are kept over time."""
        loops = self.health.loops
        return HistorySample(
            packets_real=self.outgoing.sent,
            packets_cover=self.loops.sent + self.drops.sent,
            packets_received=self.receiver.received,
            loops_returned=loops.returned_count,
            outbox=len(self.outbox),
            inbox=len(self.inbox),
            loop_time=loops.loop_time(),
            loss=loops.loss(time.monotonic()),
        )

    def history(self) -> HistoryReport:
        """Return what was counted over time."""
        return self.past.report()

    def loops_report(self) -> LoopsReport:
        """Return what loops show of the way through the network."""
        loops, last = self.health.loops, None
        if loops.last is not None:
            loop, seconds = loops.last
            hops: list[LoopHop] = [
                {**node_details(node), "delay": round(delay, 4)}
                for node, delay in zip(loop.route, loop.delays, strict=True)
            ]
            last = LastLoop(seconds=round(seconds, 4), hops=hops)
        nodes: dict[str, NodeLoops] = {
            encode_base58(node.public_key): {"loops": count, "lost": lost}
            for node, (count, lost) in loops.by_node().items()
        }
        return LoopsReport(last, nodes)

    @property
    def _directory(self) -> str:
        return visible_url(self.refresher.directories.used)

    def _state(self, now: float) -> tuple[State, float, str | None]:
        """Return (state, since when, reason): the first thing that a message needs and lacks.

        The order is that of a message's way: a directory, a network, the disk and a provider, and
        mixnodes that carry packets.
        """
        known_since, poller = self.refresher.known_since, self.poller
        if known_since is None:
            return "waiting_for_directory", self.started, self.refresher.outage.reason
        if (stale_since := self.refresher.view.stale_since) is not None:
            return "waiting_for_network", stale_since, self.refresher.outage.reason
        if not (self.session.registered.is_set() and poller.is_served(now)):
            since = max(known_since, poller.served_at)
            if self.settling.problem:
                return "waiting_for_disk", since, self.settling.problem
            return "waiting_for_provider", since, self.session.missed or poller.outage.reason
        loops, refused_since = self.health.loops, self.health.refused_since
        if refused_since is not None and now - refused_since > LONGEST_REFUSAL:
            return "waiting_for_network", refused_since, "no mixnode takes packets"
        if loops.is_dead:
            since = loops.silent_since or now
            reason = self.trial.reason or "no loop comes back: packets are lost on the way"
            return "waiting_for_network", since, reason
        # The client runs. A reason is given all the same if something is wrong that doesn't stop it
        # yet.
        return (
            "running",
            max(poller.served_since, loops.alive_since),
            self._doubt(now) or self.refresher.outage.reason or self._slowness(),
        )

    def _slowness(self) -> str | None:
        tempo = self.tempo.report()
        return tempo and describe(tempo)

    def _doubt(self, now: float) -> str | None:
        """Return what is wrong with a provider that works, or None."""
        return self.trial.reason or (
            PROVIDER_SUSPECT if self.health.is_provider_suspect(now) else None
        )


def _by_standing(counts: Counter[Standing]) -> ByStanding:
    return {
        "anonymous": counts[Standing.ANONYMOUS],
        "strangers": counts[Standing.STRANGER],
        "contacts": counts[Standing.CONTACT],
        "correspondents": counts[Standing.CORRESPONDENT],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
