"""Remembers messages that failed or were cancelled, for applications that ask later."""

from enum import Enum

from nym.store.journal import Journal

MOST_ENDED = 1000  # ids of failed messages, and as many of cancelled ones
_ENDED = "failed"  # the kind of these entries: at first, only failed messages were remembered


class Ending(Enum):
    """How a message ended that did not arrive. The value is what the disk has."""

    FAILED = b""
    CANCELLED = b"cancelled"


class Endings:
    """The endings of the latest MOST_ENDED messages of each kind. A message has one ending."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.ids: dict[Ending, dict[str, None]] = {ending: {} for ending in Ending}
        for entry_id, body in journal.take_short(_ENDED):
            self.ids[Ending(body)][entry_id] = None

    def note(self, message_id: str, ending: Ending | None) -> None:
        """Remember how a message ended. None means that it succeeded, so nothing is remembered.

        It replaces what was noted before: an attempt to end the message in another way may have
        raised halfway.
        """
        for ids in self.ids.values():
            if message_id in ids:
                self._forget(ids, message_id)
        if ending is None:
            return
        self._journal.put(_ENDED, message_id, ending.value)
        ids = self.ids[ending]
        ids[message_id] = None
        while len(ids) > MOST_ENDED:
            self._forget(ids, next(iter(ids)))

    def _forget(self, ids: dict[str, None], message_id: str) -> None:
        self._journal.drop(_ENDED, message_id)
        del ids[message_id]
