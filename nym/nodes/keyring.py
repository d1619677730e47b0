"""What all sets of keys of a node have in common: they open packets, and change in time.

nym/nodes/keys.py has those of a node that has them to itself, nym/nodes/shared_keys.py those that
several processes share, and nym/nodes/given_keys.py those that a worker of a node gets from it.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

import gevent
from gevent.event import Event

from nym._secrets import Secret
from nym.errors import MacError, NymError, ReplayedError, StoreError
from nym.files import os_errors_as
from nym.identity import Identity
from nym.net.watch import Outage
from nym.nodes.replays import Replays
from nym.sphinx import Final, Forward, Unwrapped, unwrap_packets

RETRY = 10.0  # seconds until the next attempt when the disk fails

log = logging.getLogger(__name__)

Begun = TypeVar("Begun")


class Key(NamedTuple, Generic[Begun]):
    """A key, the tags of its packets, and when it was made."""

    number: int
    identity: Identity
    replays: Replays
    begun: Begun


class Keys(ABC, Generic[Begun]):
    """The keys of one node; `place` says where they are, for people."""

    def __init__(self, place: object, lifetime: float, overlap: float) -> None:
        self.lifetime = lifetime
        self.overlap = overlap
        self._is_due = Event()
        self.passed_on: Callable[[], None] = _to_nobody  # called when there are other keys
        self._outage = Outage(log, f"keys in {place}", "this node keeps its key and tries again")
        self._keys: list[Key[Begun]] = []  # the newest first

    @property
    def current(self) -> Identity:
        """The key that the node announces."""
        return self._current.identity

    @property
    def private_keys(self) -> list[tuple[int, Secret]]:
        """The number and the private key of each, the newest first."""
        return [(key.number, key.identity.private_key) for key in self._keys]

    @property
    @abstractmethod
    def age(self) -> float:
        """For how many seconds the current key has been there."""

    @property
    @abstractmethod
    def _current(self) -> Key[Begun]:
        """The key that the node announces."""

    @abstractmethod
    def _look(self) -> None:
        """Do what is due. Raises NymError, OSError."""

    @abstractmethod
    def _rest(self) -> float:
        """Seconds until something may be due."""

    def unwrap(self, packets: Sequence[bytes]) -> list[Forward | Final | NymError]:
        """What each packet asks for, or why it is dropped.

        That is a SphinxError if no key opens it, ReplayedError if it came before, and StoreError if
        nothing more can be remembered.
        """
        outcomes: dict[int, Forward | Final | NymError] = {}
        left = list(range(len(packets)))
        for key in self._keys:
            found = unwrap_packets([packets[i] for i in left], key.identity.private_key)
            for i, one in zip(left, found, strict=True):
                outcomes[i] = self._noted(key, one) if isinstance(one, Unwrapped) else one
            # It may be for another one. Any other error is one for each key.
            left = [i for i in left if isinstance(outcomes[i], MacError)]
        return [outcomes[i] for i in range(len(packets))]

    def _noted(self, key: Key[Begun], found: Unwrapped) -> Forward | Final | NymError:
        # After the packet's MAC was checked: only packets that could be forwarded take room.
        try:
            is_new = key.replays.is_new(found.tag)
        except StoreError as error:
            return error
        if key.replays.is_full and key is self._current:
            self._is_due.set()
        return found.task if is_new else ReplayedError()

    def set_times(self, lifetime: float, overlap: float) -> None:
        """Use these times from now on."""
        self.lifetime, self.overlap = lifetime, overlap
        self.look_soon()

    def look_soon(self) -> None:
        """Something may be due before its time: another process says that a key is full."""
        self._is_due.set()

    def run(self, has_changed: Callable[[], None]) -> None:
        """Change keys when it is time, for ever. `has_changed` is called after each change."""
        while True:
            self._is_due.wait(self._rest())
            self._is_due.clear()
            if self.turn():
                has_changed()
            if self._outage.reason is not None:
                gevent.sleep(RETRY)

    def turn(self) -> bool:
        """Do what is due. Returns whether the current key is a new one."""
        before, keys = self._current, list(self._keys)
        try:
            with os_errors_as(StoreError, "the disk fails"):
                self._look()
        except NymError as error:
            self._outage.begins(error)
        else:
            self._outage.ends()
        if self._keys != keys:
            self.passed_on()
        return self._current is not before

    def close(self) -> None:
        """Forget the tags that are in memory."""
        for key in self._keys:
            key.replays.close()


def _to_nobody() -> None:
    """Without workers, all keys stay here."""
