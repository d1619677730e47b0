"""What mixnodes and providers have in common: they take packets and post to the directory."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from random import SystemRandom

from gevent.event import Event

from nym.identity import Identity
from nym.net.directory import post
from nym.net.watch import Outage, Watch
from nym.nodes.door import Answer, Door
from nym.nodes.replays import Replays
from nym.sphinx import Final, Forward, unwrap
from nym.wire.addresses import NodeAddress
from nym.wire.directory import MixNode, Provider, encode_presence

PRESENCE_PERIOD = 5.0  # seconds between two posts
MOST_REASONS = 100  # different texts that one node logs as warnings

# Called with a node's address, the packet that it took, and what was in the packet once it was
# unwrapped. It sees what anyone who controls every node would see.
Trace = Callable[[NodeAddress, bytes, Forward | Final], None]

log = logging.getLogger(__name__)


class Node(ABC):
    """Takes packets at the place `packets`; subclasses say what is done with what is in one.

    For port 0, the system chooses a port. `announced` is where others find the node, if that isn't
    where it listens; its host may be a name.
    """

    presence_path: str

    def __init__(
        self,
        identity: Identity,
        replays: Replays,
        packets: NodeAddress,
        announced: NodeAddress | None,
        trace: Trace | None,
    ) -> None:
        self.identity = identity
        self._replays = replays
        self._announced = announced
        self._trace = trace
        self._door = Door(packets, self._take, self._say)
        self._directory = ""
        self.changed = Event()  # set when there is something to post before the period is over
        self._watch = Watch(SystemRandom())
        self.outage = Outage(log, "presence")
        self._said: set[str] = set()

    def listen(self) -> None:
        """Open all ports. Raises ListenError."""
        self._door.listen()

    def start(self, directory: str) -> None:
        """Post to the directory at this URL, now and from now on; it need not answer."""
        self._directory = directory
        # Once before this returns: whoever starts a network can then use it at once.
        with self.outage.noted():
            self.announce()
        self._watch.start(f"presence of {self.address}", self._keep_announcing)

    def leave(self, farewell: float, hurry: Event) -> None:
        """Stop in order: no packet that clients send in good faith is lost.

        For `farewell` seconds after it was last announced, the node still takes packets, because
        clients don't know yet that it has gone. Then it forwards what it holds, each packet at its
        time. `hurry` ends that at once.
        """
        self._watch.stop()
        if hurry.wait(farewell):
            return
        self._door.close()
        self._finish(hurry)

    def stop(self) -> None:
        """Stop listening and announcing; packets that wait are lost."""
        self._watch.stop()
        self._door.stop()
        self._replays.close()

    @property
    def address(self) -> NodeAddress:
        """Where this node takes packets."""
        return self._door.address

    @property
    def place(self) -> NodeAddress:
        """Where others find this node."""
        return self._announced or self.address

    def announce(self) -> None:
        """Tell the directory that this node is alive. Raises RemoteError."""
        post(self._directory, self.presence_path, encode_presence(self._presence()))

    @abstractmethod
    def _finish(self, hurry: Event) -> None:
        """Wait until what this node holds has left it, or `hurry` is set."""

    @abstractmethod
    def _presence(self) -> MixNode | Provider:
        """What this node posts to the directory."""

    @abstractmethod
    def _handle(self, unwrapped: Forward | Final, answer: Answer) -> None:
        """Forward or keep an unwrapped packet, and give the answer once that is done.

        Raises RemoteError or StoreError to drop it.
        """

    def _keep_announcing(self) -> None:
        while True:
            self.changed.wait(PRESENCE_PERIOD)
            self.changed.clear()
            with self.outage.noted():
                self.announce()

    def _take(self, packet: bytes, answer: Answer) -> None:
        task, tag = unwrap(packet, self.identity.private_key)
        # After the packet's MAC was checked: only packets that could be forwarded fill the memory.
        if not self._replays.is_new(tag):
            log.debug("%s dropped a packet that it has had before", self.address)
            answer.refuse()
            return
        if self._trace:
            self._trace(self.address, packet, task)
        self._handle(task, answer)

    def _say(self, what: str) -> None:
        # Each reason is a warning only once: anybody can send packets, and a flood of them must not
        # become a flood of lines.
        if what not in self._said and len(self._said) < MOST_REASONS:
            self._said.add(what)
            log.warning("%s %s; this is logged only once", self.address, what)
        else:
            log.debug("%s %s", self.address, what)
