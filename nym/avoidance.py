"""For how long a node that was found to be bad is left out of routes."""

from collections.abc import Mapping
from typing import NamedTuple

from nym.topology import Mix


class Avoidance:
    """Nodes that are left out for `first` seconds, doubled with each relapse, up to `longest`.

    It is a relapse if the node is found to be bad again within as many seconds after the end as it
    was left out for. Clock readings are passed in.
    """

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._terms: dict[Mix, _Term] = {}

    def until(self, now: float) -> dict[Mix, float]:
        """The nodes that are left out at `now`, each with the time when that ends."""
        return {node: term.end for node, term in self._terms.items() if now < term.end}

    def begin(self, node: Mix, now: float) -> float:
        """Leave `node` out from `now` on, unless it is already. Returns the time when that ends."""
        # Terms that are so old that a new one would be no relapse are forgotten.
        self._terms = {n: term for n, term in self._terms.items() if now < term.end + term.seconds}
        last = self._terms.get(node)
        if last is None or last.end <= now:
            seconds = min(self._longest, last.seconds * 2) if last else self._first
            self._terms[node] = _Term(now + seconds, seconds)
        return self._terms[node].end

    def rename(self, new: Mapping[Mix, Mix]) -> None:
        """Go on with nodes that are others now, given each one's new form by its old one."""
        self._terms = {new.get(node, node): term for node, term in self._terms.items()}

    def forget(self, node: Mix) -> None:
        """Use `node` again, and forget its history."""
        self._terms.pop(node, None)

    def forget_all(self) -> None:
        """Use all nodes again, and forget their history."""
        self._terms.clear()


class _Term(NamedTuple):
    end: float
    seconds: float
