"""A mixnode: it unwraps a packet, waits as long as the packet says, and sends it on.

docs/protocol/mixnode.md
"""

import logging
from collections import Counter
from functools import partial

import gevent
from gevent.event import Event

from nym.errors import RemoteError, RemoteFormatError
from nym.net.transport import send_packet
from nym.nodes.delays import Delays
from nym.nodes.door import Answer
from nym.nodes.keys import Keyring
from nym.nodes.node import Node, Trace
from nym.nodes.posting import Channel
from nym.routes import NANOSECONDS
from nym.signing import Signer
from nym.sphinx import Final, Forward
from nym.wire.addresses import NodeAddress, decode_address
from nym.wire.directory import METRICS_PATH, MIXNODES_PATH, Metric, MixNode, encode_metric

METRICS_PERIOD = 3.0  # seconds
# Seconds. Clients ask for far less. A packet that asks for more would take memory for as long as
# its sender likes.
LONGEST_DELAY = 600.0
LONGEST_FINISH = 10.0  # seconds for which a node that stops still forwards what it holds

log = logging.getLogger(__name__)


class Mixnode(Node):
    """A mixnode in one layer."""

    presence_path = MIXNODES_PATH

    def __init__(
        self,
        keys: Keyring,
        packets: NodeAddress,
        layer: int,
        *,
        announced: NodeAddress | None = None,
        trace: Trace | None = None,
        signer: Signer | None = None,
    ) -> None:
        super().__init__(keys, packets, announced, trace, signer)
        self.layer = layer
        self._delays = Delays()
        self._received = 0
        self._sent: Counter[str] = Counter()
        self._metrics: list[Channel] = []

    @property
    def held(self) -> int:
        """How many packets wait for their time, or are being sent."""
        return len(self._delays)

    def start(self, *directories: str) -> None:
        """See Node; also starts to report metrics."""
        super().start(*directories)
        self._metrics = self._channels("metrics", METRICS_PATH)
        self._watch.start(f"metrics of {self.address}", self._keep_reporting)

    def stop(self) -> None:
        """See Node."""
        super().stop()
        self._delays.stop()

    def _presence(self) -> MixNode:
        key = self.keys.current.public_key
        return MixNode(str(self.place), key, self.layer, self._version)

    def _finish(self, hurry: Event) -> None:
        self._delays.wait_empty(hurry, LONGEST_FINISH)

    def _handle(self, unwrapped: Forward | Final, answer: Answer) -> None:
        self._received += 1
        if isinstance(unwrapped, Final):
            raise RemoteFormatError("its route ends at a mixnode")
        if unwrapped.delay > LONGEST_DELAY * NANOSECONDS:
            raise RemoteFormatError(f"it asks for a delay of more than {LONGEST_DELAY:.0f} s")
        next_hop = decode_address(unwrapped.address)
        forward = partial(self._forward, next_hop, unwrapped.packet, answer)
        self._delays.hold(unwrapped.delay / NANOSECONDS, forward)

    def _forward(self, next_hop: NodeAddress, packet: bytes, answer: Answer) -> None:
        try:
            send_packet(next_hop, packet)
        except RemoteError as error:
            self._say(f"dropped a packet: {error}")
            answer.refuse()
        except Exception:
            log.exception("%s lost a packet", self.address)
            answer.refuse()
        else:
            self._sent[str(next_hop)] += 1
            answer.give()

    def _keep_reporting(self) -> None:
        while True:
            gevent.sleep(METRICS_PERIOD)
            metric = Metric(self.keys.current.address, self._received, dict(self._sent))
            # Packets that come while it is posted belong to the next report.
            self._received = 0
            self._sent.clear()
            for channel in self._metrics:
                channel.offer(partial(encode_metric, metric))
