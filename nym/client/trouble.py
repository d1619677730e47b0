"""What is wrong with the provider (docs/protocol/provider.md, "Over time")."""


class Trouble:
    """What is wrong with the provider, since when, and why.

    There are two kinds of trouble: with its "record", which the directory lists, and with its
    "service", its answers. Both begin when the client sees them, not when the provider last worked.
    So a process that stood still for hours blames nobody for that time.
    """

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        self._why: dict[str, str] = {}

    @property
    def why(self) -> str:
        """The reason for which the provider is left."""
        return "; ".join(self._why.values()) or "it belongs to another network"

    def begins(self, what: str, now: float, why: str) -> None:
        """Note trouble. If it was there before, only the reason changes."""
        self._since.setdefault(what, now)
        self._why[what] = why

    def ends(self, what: str) -> None:
        """Note that there is no trouble of this kind any more."""
        self._since.pop(what, None)
        self._why.pop(what, None)

    def seconds(self, now: float) -> float:
        """Return for how many seconds there has been trouble of any kind."""
        return now - min(self._since.values(), default=now)
