"""What a client remembers about the network for its next start: the nodes, and how many layers.

The number of layers is remembered for each directory, because another one may list another network.
The nodes are those of the last whole network, as the directory listed them, without the records
that were left out.
"""

import json
from typing import Any

from nym.net.directory import reach_by_url
from nym.reach import Reach
from nym.store.state import State
from nym.wire.directory import Records, parse_topology

MOST_DIRECTORIES = 100  # whose layers are remembered; those used longest ago are forgotten
_NODES = "topology"
_NETWORK = "network"


class RememberedNetwork:
    """Reads and writes what is remembered, for a client that uses `directory` now."""

    def __init__(self, state: State, directory: str) -> None:
        self._state = state
        self._directory = directory.rstrip("/")
        self._about: dict[str, Any] = json.loads(state.get(_NETWORK) or b"{}")
        self._layers: dict[str, int] = self._about.get("layers", {})

    @property
    def layers(self) -> int:
        """How many layers the network of this directory has, or 0 if that isn't known."""
        return self._layers.get(self._directory, 0)

    @property
    def is_of_this_directory(self) -> bool:
        """Whether the remembered network is that of the directory that is used now."""
        # Earlier versions did not note the directory.
        return bool(self._about.get("directory", self._directory) == self._directory)

    @property
    def reach(self) -> Reach:
        """The reach of the directory that listed the remembered network (nym/reach.py)."""
        url = self._about.get("directory", self._directory)
        name = self._about.get("reach")
        return Reach[name] if name else reach_by_url(url)

    def records(self) -> Records | None:
        """Return the remembered network, or None. Raises RemoteFormatError if it can't be read."""
        body = self._state.get(_NODES)
        return None if body is None else parse_topology(body)

    def keep(self, nodes: bytes, layers: int, reach: Reach) -> None:
        """Remember the network as it is now. `nodes` is in the format of a directory's answer."""
        # Removed first, so that this directory moves to the end of the order.
        self._layers.pop(self._directory, None)
        self._layers[self._directory] = layers
        while len(self._layers) > MOST_DIRECTORIES:
            del self._layers[next(iter(self._layers))]
        self._about = {
            "directory": self._directory,
            "reach": reach.name,
            "layers": self._layers,
        }
        self._state.set(_NETWORK, json.dumps(self._about).encode())
        self._state.set(_NODES, nodes)
