"""A mixnode: it unwraps a packet, waits as long as the packet says, and sends it on.

docs/protocol/mixnode.md
"""

import logging
import socket
import time
from collections import Counter
from functools import partial
from typing import Any

import gevent
from gevent.event import Event

from nym.config.nodes import MixnodeLimitSettings
from nym.errors import DelayTooLongError, NotForThisNodeError, NymError, OverloadError
from nym.net.transport import send_packet
from nym.nodes.counts import STOPPED
from nym.nodes.delays import Delays
from nym.nodes.keyring import Keys
from nym.nodes.limits import LIMITS
from nym.nodes.node import Node, Trace
from nym.nodes.posting import Channel, Desk
from nym.nodes.visits import Answer
from nym.routes import NANOSECONDS
from nym.signing import Signer
from nym.sphinx import Final, Forward
from nym.wire.addresses import NodeAddress, decode_address
from nym.wire.directory import (
    METRICS_PATH,
    MIXNODES_PATH,
    Metric,
    MixNode,
    encode_metric,
    encode_presence,
)
from nym.wire.sizes import PACKET_LENGTH

METRICS_PERIOD = 3.0  # seconds
# Seconds. Clients ask for far less. A packet that asks for more would take memory for as long as
# its sender likes.
LONGEST_DELAY = 600.0
LONGEST_FINISH = 10.0  # seconds for which a node that stops still forwards what it holds
# Bounds of histograms, in seconds.
_DELAYS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
_LATENESSES = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)

log = logging.getLogger(__name__)


class Mixnode(Node):
    """A mixnode in one layer."""

    role = "mixnode"
    _takes_packets = True

    def __init__(
        self,
        keys: Keys[Any],
        packets: NodeAddress,
        layer: int,
        *,
        announced: NodeAddress | None = None,
        trace: Trace | None = None,
        signer: Signer | None = None,
        limits: MixnodeLimitSettings = LIMITS,
    ) -> None:
        super().__init__(keys, packets, announced, trace, signer, limits)
        self.layer = layer
        self._delays = Delays(limits.held)
        self._received = 0
        self._sent: Counter[NodeAddress] = Counter()
        self._metrics: list[Channel] = []
        self._forwarded = self.counts.count(
            "nym_node_packets_forwarded_total", "Packets that the next node took."
        )
        self._asked = self.counts.histogram(
            "nym_node_delay_seconds", "The delays that packets asked for.", _DELAYS
        )
        self._lateness = self.counts.histogram(
            "nym_node_lateness_seconds",
            "How much later than its time a packet was sent on.",
            _LATENESSES,
        )
        self.counts.gauge(
            "nym_node_workers", "Processes that take packets.", lambda: int(self._takes_packets)
        )
        self.workers_ended = self.counts.count(
            "nym_node_workers_ended_total",
            "Processes that took packets, ended by themselves, and were started again.",
        )
        self.counts.gauge(
            "nym_node_packets_held",
            "Packets that wait for their time, or are being sent.",
            self._delays.__len__,
        )
        self.counts.gauge(
            "nym_node_packets_held_bytes",
            "The same in bytes.",
            lambda: len(self._delays) * PACKET_LENGTH,
        )

    @property
    def held(self) -> int:
        """How many packets wait for their time, or are being sent."""
        return len(self._delays)

    def listen_at(self, listener: socket.socket) -> None:
        """Take packets from a socket that listens already, as a worker does."""
        self._door.listen(listener)

    def start(self, *directories: str) -> None:
        """See Node; also starts to report metrics."""
        super().start(*directories)
        self._metrics = self._channels("metrics")
        self._watch.start(f"metrics of {self.address}", self._keep_reporting)

    def stop(self) -> None:
        """See Node."""
        super().stop()
        self._door.dropped[STOPPED] += len(self._delays)
        self._delays.stop()

    def take_traffic(self) -> tuple[int, dict[str, int]]:
        """How many packets came since the last call, and how many each next node took."""
        sent = {str(node): count for node, count in self._sent.items()}
        received, self._received = self._received, 0
        self._sent.clear()
        return received, sent

    def _post(self, desk: Desk) -> None:
        desk.post("presence", MIXNODES_PATH, lambda: encode_presence(self._presence()))

    def _presence(self) -> MixNode:
        key = self.keys.current.public_key
        return MixNode(str(self.place), key, self.layer, self._version)

    def _finish(self, hurry: Event) -> None:
        self._delays.wait_empty(hurry, LONGEST_FINISH)

    def _unwrap(self, packets: list[bytes]) -> list[Forward | Final | NymError]:
        try:
            self._delays.require_room()  # before any work
        except OverloadError as error:
            return [error] * len(packets)
        return super()._unwrap(packets)

    def _handle(self, unwrapped: Forward | Final, answer: Answer) -> None:
        self._received += 1
        if isinstance(unwrapped, Final):
            raise NotForThisNodeError("its route ends at a mixnode")
        if unwrapped.delay > LONGEST_DELAY * NANOSECONDS:
            raise DelayTooLongError(f"it asks for a delay of more than {LONGEST_DELAY:.0f} s")
        next_hop, delay = decode_address(unwrapped.address), unwrapped.delay / NANOSECONDS
        due = time.monotonic() + delay
        forward = partial(self._forward, next_hop, unwrapped.packet, due, answer)
        self._delays.hold(delay, forward)
        self._asked.note(delay)

    def _forward(self, next_hop: NodeAddress, packet: bytes, due: float, answer: Answer) -> None:
        self._lateness.note(max(0.0, time.monotonic() - due))
        try:
            send_packet(next_hop, packet)
        except Exception as error:  # noqa: BLE001 - the packet is dropped for it
            # Without the error's text: it names the next node, which is a part of the route.
            why = "the next node on its way can't be reached, or refuses it"
            self._door.drop(answer, error, why)
        else:
            self._forwarded.add()
            self._sent[next_hop] += 1
            answer.give()

    def _keep_reporting(self) -> None:
        while True:
            gevent.sleep(METRICS_PERIOD)
            # Packets that come while it is posted belong to the next report.
            metric = Metric(self.keys.current.address, *self.take_traffic())
            body = encode_metric(metric)
            for channel in self._metrics:
                channel.offer(partial(_report, body))


def _report(body: bytes, desk: Desk) -> None:
    desk.post("metrics", METRICS_PATH, lambda: body)
