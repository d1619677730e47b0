"""The processes that are one provider together, each of which notes that it is there.

One of them posts to the directories, for all: posts of one identity have to come in the order of
their times, and clocks of several machines differ. The last one that leaves says so to directories.
"""

import logging
import os

import gevent
from gevent.event import Event

from nym.errors import StoreError
from nym.nodes.inboxes import statements
from nym.nodes.inboxes.engine import Execute
from nym.nodes.inboxes.shared import SharedInboxes

PERIOD = 1.0  # seconds between two notes
SILENCE = 3  # seconds after which a process that noted nothing counts as gone
_NAME = "process "  # of notes, before a process's own random name

log = logging.getLogger(__name__)


class Members:
    """Notes this process, and knows the others with the same inboxes. Raises StoreError.

    `is_first`: it posts for all of them. A process that can't ask does so, too: it is better to
    post twice than not at all.
    """

    def __init__(self, inboxes: SharedInboxes) -> None:
        self._inboxes = inboxes
        self._name = _NAME + os.urandom(8).hex()
        self._clients = -1
        self.count = 1
        self.is_first = True
        self._note()

    def run(self, changed: Event) -> None:
        """Note for ever that this process is there; sets `changed` if it has to post at once."""
        while True:
            was_first = self.is_first
            try:
                self._note()
            except StoreError as error:  # which the inboxes have logged
                log.debug("%s can't be noted: %s", self._name, error)
                self.count, self.is_first = 1, True
            if not was_first or self._clients != len(self._inboxes):
                self._clients = len(self._inboxes)
                changed.set()
            gevent.sleep(PERIOD)

    def leave(self) -> bool:
        """Be no longer there; returns whether this was the last process, as far as it can tell."""
        try:
            left = self._inboxes.run(self._without)
        except StoreError:
            return False
        self.is_first = False
        return not left

    def _note(self) -> None:
        there = self._inboxes.run(self._with)
        self.count, self.is_first = len(there), self._name == min(there)

    def _with(self, execute: Execute, now: int) -> set[str]:
        statements.write_notes(execute, {self._name: str(now).encode()})
        return self._there(execute, now)

    def _without(self, execute: Execute, now: int) -> set[str]:
        statements.forget_note(execute, self._name)
        return self._there(execute, now)

    def _there(self, execute: Execute, now: int) -> set[str]:
        """The names of those that are there; the others are removed."""
        seen = {
            name: int(value)
            for name, value in statements.notes(execute).items()
            if name.startswith(_NAME)
        }
        gone = {name for name, when in seen.items() if now - when >= SILENCE}
        for name in sorted(gone):
            statements.forget_note(execute, name)
        return {*seen} - gone
