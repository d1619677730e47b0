"""A few named values that the next start of the client needs."""

from nym.store.journal import Journal

_KIND = "state"


class State:
    """Values by name. A new value is written to disk soon, and nobody waits for it."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._values = dict(journal.take_short(_KIND))

    def get(self, name: str) -> bytes | None:
        """Return the value, or None if there is none."""
        return self._values.get(name)

    def set(self, name: str, value: bytes) -> None:
        """Set a value. It is written only if it is a new one."""
        if self._is_new(name, value):
            self._journal.put(_KIND, name, value)

    def set_along(self, name: str, value: bytes) -> None:
        """Do the same, but with the next round of the journal, which this doesn't begin."""
        if self._is_new(name, value):
            self._journal.put_along(_KIND, name, value)

    def _is_new(self, name: str, value: bytes) -> bool:
        before, self._values[name] = self._values.get(name), value
        return before != value
