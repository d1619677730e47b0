"""What mixnodes and providers have in common: they take packets and post to directories."""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from random import SystemRandom
from typing import Any

from gevent.event import Event

from nym import PROTOCOL_VERSION
from nym.config.nodes import LimitSettings
from nym.errors import NymError, StatusError
from nym.net.watch import Watch
from nym.nodes.counts import Counts
from nym.nodes.door import Door
from nym.nodes.keyring import Keys
from nym.nodes.limits import source_limits
from nym.nodes.posting import Channel, Desk, side_by_side
from nym.nodes.visits import Answer
from nym.signing import Signer, Stamps
from nym.sphinx import Final, Forward
from nym.wire.addresses import NodeAddress
from nym.wire.signed import Purpose
from nym.wire.versions import MINUTE, with_identity, with_since

PRESENCE_PERIOD = 5.0  # seconds between two posts
# Seconds after a change of keys in which a directory may refuse the new one, because it lists the
# old one for ten seconds more; and how often the node posts then.
SETTLING = 20.0
SETTLING_PERIOD = 1.0
LEAVE_PATIENCE = 3.0  # seconds for telling directories that the node stops
MOST_REASONS = 100  # different texts that one node logs as warnings

# Called with a node's address, the packet that it took, and what was in the packet once it was
# unwrapped. It sees what anyone who controls every node would see.
Trace = Callable[[NodeAddress, bytes, Forward | Final], None]

log = logging.getLogger(__name__)


class Node(ABC):
    """Takes packets at the place `packets`; subclasses say what is done with what is in one.

    For port 0, the system chooses a port. `announced` is where others find the node, if that isn't
    where it listens; its host may be a name. With a `signer`, the node signs what it posts, and its
    version names the signer's key, which stays while `keys` change.
    """

    role: str  # for monitoring

    def __init__(
        self,
        keys: Keys[Any],
        packets: NodeAddress,
        announced: NodeAddress | None,
        trace: Trace | None,
        signer: Signer | None,
        limits: LimitSettings,
    ) -> None:
        self.keys = keys
        self.counts = Counts(self.role)
        self.counts.gauge(
            "nym_node_key_age_seconds",
            "For how long the current key has been there.",
            lambda: keys.age,
        )
        self._signer = signer
        # What of the version stays when the key changes.
        self._lasting = with_identity(PROTOCOL_VERSION, signer.public_key if signer else None)
        self._since = 0  # the minute of the current key, as it was announced last
        self._announced = announced
        self._trace = trace
        self._door: Door[Forward | Final] = Door(
            packets, self._unwrap, self._deal, self._say, self.counts, source_limits(limits)
        )
        self._desks: list[Desk] = []
        self._presences: list[Channel] = []
        self.changed = Event()  # set when there is something to post before the period is over
        self._watch = Watch(SystemRandom())
        self._settled_at = 0.0  # until then, directories may refuse the current key
        self._said: set[str] = set()

    def listen(self) -> None:
        """Open all ports. Raises ListenError."""
        self._door.listen()

    def start(self, *directories: str) -> None:
        """Post to the directories at these URLs, now and from now on; they need not answer."""
        stamps = Stamps()
        self._desks = [Desk(directory, self._signer, stamps) for directory in directories]
        self._presences = self._channels("presence")
        # Once before this returns: whoever starts a network can then use it at once.
        if self._speaks:
            self.announce()
        self._watch.start(f"presence of {self.address}", self._keep_announcing)
        self._watch.start(f"lag at {self.address}", self.counts.keep_noting_lag)
        self._watch.start(f"keys of {self.address}", lambda: self.keys.run(self._announce_key))

    def leave(self, farewell: float, hurry: Event) -> None:
        """Stop in order: no packet that clients send in good faith is lost.

        First the directories hear of it. For `farewell` seconds the node still takes packets,
        because clients don't know yet. Then it forwards what it holds, each packet at its time.
        `hurry` ends that at once.
        """
        self._watch.stop()
        self._sign_off()
        if hurry.wait(farewell):
            return
        self._close()
        self._finish(hurry)

    def stop(self) -> None:
        """Stop listening and announcing; packets that wait are lost."""
        self._watch.stop()
        self._door.stop()
        self.keys.close()

    @property
    def address(self) -> NodeAddress:
        """Where this node takes packets."""
        return self._door.address

    @property
    def place(self) -> NodeAddress:
        """Where others find this node."""
        return self._announced or self.address

    @property
    def trouble(self) -> str | None:
        """Why directories don't take what this node posts; None if all of them do."""
        return "; ".join(filter(None, self.troubles().values())) or None

    def troubles(self) -> dict[str, str | None]:
        """For each directory, by its URL, why it doesn't take what this node posts, or None."""
        return {channel.directory: channel.outage.reason for channel in self._presences}

    @property
    def _version(self) -> str:
        """What the node announces as its version, with what belongs to the current key."""
        if self._signer is None:
            return self._lasting
        since = int((time.time() - self.keys.age) // MINUTE)
        # The clock that tells the age and the wall clock never agree for ever. A minute more or
        # less is nothing to tell directories, for which it would be another record.
        if abs(since - self._since) > 1:
            self._since = since
        return with_since(self._lasting, self._since)

    def announce(self) -> None:
        """Tell the directories that this node is alive; whoever doesn't hear it is logged."""
        side_by_side([partial(channel.try_post, self._post) for channel in self._presences])

    def _sign_off(self) -> None:
        """Tell the directories that this node stops, so that they list it no longer.

        Only a node that signs can say so; others are listed until their time is over. In any case
        the node posts nothing from now on. This takes LEAVE_PATIENCE at most, and never fails.
        """
        if not self._is_last_to_leave():
            return
        errors = side_by_side([desk.leave for desk in self._desks], LEAVE_PATIENCE)
        for error in errors:
            # A directory of 0.4 has nothing at that path.
            if error and not (isinstance(error, StatusError) and error.status == 404):
                log.info("a directory lists this node until its time is over: %s", error)

    def _channels(self, purpose: Purpose) -> list[Channel]:
        """A channel to each directory, which runs from now on."""
        channels = [Channel(desk, purpose) for desk in self._desks]
        for channel in channels:
            self._watch.start(f"{purpose} of {self.address}", channel.run)
        return channels

    @abstractmethod
    def _post(self, desk: Desk) -> None:
        """Post that this node is alive. Raises RemoteError."""

    @property
    def _speaks(self) -> bool:
        """Whether this process posts to directories, and no other one for the same node."""
        return True

    def _is_last_to_leave(self) -> bool:
        """Whether no other process goes on as this node."""
        return True

    def _close(self) -> None:
        """Take no more packets, except on connections that are open."""
        self._door.close()

    @abstractmethod
    def _finish(self, hurry: Event) -> None:
        """Wait until what this node holds has left it, or `hurry` is set."""

    @abstractmethod
    def _handle(self, unwrapped: Forward | Final, answer: Answer) -> None:
        """Forward or keep an unwrapped packet, and give the answer once that is done.

        Raises NymError to drop it; later, the door's `drop` does.
        """

    def _keep_announcing(self) -> None:
        while True:
            is_settled = time.monotonic() >= self._settled_at
            self.changed.wait(PRESENCE_PERIOD if is_settled else SETTLING_PERIOD)
            self.changed.clear()
            if self._speaks:
                for channel in self._presences:
                    channel.offer(self._post)

    def _announce_key(self) -> None:
        log.info("%s has a new key: %s", self.address, self.keys.current.address)
        self._settled_at = time.monotonic() + SETTLING
        for channel in self._presences:
            channel.lenient_until = self._settled_at
        self.changed.set()

    def _unwrap(self, packets: list[bytes]) -> list[Forward | Final | NymError]:
        return self.keys.unwrap(packets)

    def _deal(self, packet: bytes, unwrapped: Forward | Final, answer: Answer) -> None:
        if self._trace:
            self._trace(self.address, packet, unwrapped)
        self._handle(unwrapped, answer)

    def _say(self, what: str) -> None:
        # Each reason is a warning only once: anybody can send packets, and a flood of them must not
        # become a flood of lines.
        if what not in self._said and len(self._said) < MOST_REASONS:
            self._said.add(what)
            log.warning("%s %s; this is logged only once", self.address, what)
        else:
            log.debug("%s %s", self.address, what)
