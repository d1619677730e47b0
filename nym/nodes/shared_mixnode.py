"""A mixnode whose packets are taken by several processes, to use all processors of a machine.

docs/architecture.md, "A packet through a node"
"""

from typing import Any

from gevent.event import Event

from nym.nodes.mixnode import LONGEST_FINISH, Mixnode
from nym.nodes.workers import LAST_WORDS, Workers
from nym.wire.addresses import NodeAddress


class SharedMixnode(Mixnode):
    """A mixnode that takes no packet itself; for the rest of the world, it is like any other."""

    _takes_packets = False

    def __init__(self, *arguments: Any, workers: Workers, **named: Any) -> None:
        """See Mixnode, for all but the workers."""
        super().__init__(*arguments, **named)
        self.workers = workers
        self._address = self._door.address
        self.keys.passed_on = workers.pass_keys_on
        self.counts.elsewhere = workers.figures
        workers.ended = self.workers_ended

    def listen(self) -> None:
        """See Node."""
        self._address = self.workers.listen(self._door.address)

    def stop(self) -> None:
        """See Node."""
        super().stop()
        self.workers.stop()

    @property
    def address(self) -> NodeAddress:
        """See Node."""
        return self._address

    def take_traffic(self) -> tuple[int, dict[str, int]]:
        """See Mixnode."""
        return self.workers.take_traffic()

    def _close(self) -> None:
        self.workers.close()

    def _finish(self, hurry: Event) -> None:
        # Each worker takes LONGEST_FINISH at most.
        self.workers.wait_ended(hurry, LONGEST_FINISH + LAST_WORDS)
