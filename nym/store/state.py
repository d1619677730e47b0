"""A few named values that the next start goes on with."""

from nym.store.journal import Journal

_KIND = "state"


class State:
    """Values by name; a new one is on disk soon."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._values = dict(journal.take_short(_KIND))

    def get(self, name: str) -> bytes | None:
        """The value, if there is one."""
        return self._values.get(name)

    def set(self, name: str, value: bytes) -> None:
        """Keep a value; only what has changed is written."""
        if self._values.get(name) != value:
            self._values[name] = value
            self._journal.put(_KIND, name, value)
