"""What there is to be seen of a running client: the one place that makes a status report."""

import time
from dataclasses import dataclass, field

from nym import __version__
from nym.client.assembly import Assembly
from nym.client.cover import LoopCover
from nym.client.outgoing import OutgoingQueue
from nym.client.poller import Poller
from nym.client.refresher import Refresher
from nym.client.session import ProviderSession
from nym.health import Health
from nym.store.inbox import Inbox
from nym.store.outbox import Outbox
from nym.topology import ProviderNode, Topology
from nym.wire.keys import encode_base58
from nym.wire.requests import AvoidedNode, State, StatusReport


@dataclass(frozen=True)
class Overview:
    """Looks at a client's parts; see service.View."""

    address: bytes
    refresher: Refresher
    session: ProviderSession
    poller: Poller
    health: Health
    assembly: Assembly
    outgoing: OutgoingQueue
    cover: LoopCover
    outbox: Outbox
    inbox: Inbox
    started: float = field(default_factory=time.monotonic)

    @property
    def topology(self) -> Topology | None:
        """The network, once it is known."""
        return self.refresher.topology

    @property
    def provider(self) -> ProviderNode | None:
        """The provider that is used, once there is one."""
        return self.session.provider

    def report(self) -> StatusReport:
        """How the client runs just now."""
        now = time.monotonic()
        provider, loops = self.provider, self.health.loops
        return StatusReport(
            version=__version__,
            address=encode_base58(self.address),
            state=self._state(now),
            provider=encode_base58(provider.public_key) if provider else None,
            registered=self.session.registered.is_set(),
            uptime=round(now - self.started, 3),
            outbox=len(self.outbox),
            inbox=len(self.inbox),
            inbox_lost=self.inbox.lost,
            partial=len(self.assembly),
            partial_lost=self.assembly.given_up,
            failed=self.outbox.failed,
            packets_real=self.outgoing.sent,
            packets_cover=self.cover.sent,
            loops_sent=loops.sent_count,
            loops_returned=loops.returned_count,
            loop_time=_rounded(loops.loop_time()),
            loss=_rounded(loops.loss(now)),
            avoided_nodes=[
                AvoidedNode(key=encode_base58(node), why=why, seconds=round(seconds, 1))
                for node, why, seconds in self.health.avoided(now).values()
            ],
        )

    def _state(self, now: float) -> State:
        if self.topology is None:
            return "waiting_for_directory"
        is_served = self.session.registered.is_set() and self.poller.is_served(now)
        return "running" if is_served else "waiting_for_provider"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
