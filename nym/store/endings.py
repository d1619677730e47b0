"""How messages ended that did not arrive, for those who ask later."""

from enum import Enum

from nym.store.journal import Journal

MOST_ENDED = 1000  # ids of messages that failed, and of those that were cancelled
_ENDED = "failed"


class Ending(Enum):
    """How a message ended that did not arrive, as it is kept."""

    FAILED = b""
    CANCELLED = b"cancelled"


class Endings:
    """How messages ended, the latest of each kind: one ending for a message."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.ids: dict[Ending, dict[str, None]] = {ending: {} for ending in Ending}
        for entry_id, body in journal.take_short(_ENDED):
            self.ids[Ending(body)][entry_id] = None

    def note(self, message_id: str, ending: Ending | None) -> None:
        """It ended so, whatever was noted before; None: as it should."""
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
