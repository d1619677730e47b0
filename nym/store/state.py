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
        if self._values.get(name) != value:
            self._values[name] = value
            self._journal.put(_KIND, name, value)
