"""For how long nodes are left out that were found to be bad."""

from typing import NamedTuple

from nym.topology import Mix


class Avoidance:
    """Nodes that are left out for a time: `first` seconds, doubling to `longest` with relapses.

    A relapse is one within as many seconds after the end as the node was left out for.
    """

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._terms: dict[Mix, _Term] = {}

    def until(self, now: float) -> dict[Mix, float]:
        """The nodes that are left out now, and until when."""
        return {node: term.end for node, term in self._terms.items() if now < term.end}

    def begin(self, node: Mix, now: float) -> float:
        """Leave `node` out from now on, unless it is already. Gives when that ends."""
        self._terms = {n: term for n, term in self._terms.items() if now < term.end + term.seconds}
        last = self._terms.get(node)
        if last is None or last.end <= now:
            seconds = min(self._longest, last.seconds * 2) if last else self._first
            self._terms[node] = _Term(now + seconds, seconds)
        return self._terms[node].end

    def forget(self, node: Mix) -> None:
        """`node` is as good as new."""
        self._terms.pop(node, None)

    def forget_all(self) -> None:
        """All of them are as good as new."""
        self._terms.clear()


class _Term(NamedTuple):
    end: float
    seconds: float
