"""What one start leaves to the next of the network: its nodes, and how many layers it has.

The number of layers belongs to a directory, because another one may list another network. The nodes
are those of the last whole network, as the directory listed them, but without what didn't count.
"""

import json
from typing import Any

from nym.net.directory import reach_by_url
from nym.reach import Reach
from nym.store.state import State
from nym.wire.directory import Records, parse_topology

MOST_DIRECTORIES = 100  # whose layers are remembered; the ones named longest ago go
_NODES = "topology"
_NETWORK = "network"


class RememberedNetwork:
    """Reads and writes it, for a client that uses this directory now."""

    def __init__(self, state: State, directory: str) -> None:
        self._state = state
        self._directory = directory.rstrip("/")
        self._about: dict[str, Any] = json.loads(state.get(_NETWORK) or b"{}")
        self._layers: dict[str, int] = self._about.get("layers", {})

    @property
    def layers(self) -> int:
        """How many layers the directory's network has; 0 where that isn't known."""
        return self._layers.get(self._directory, 0)

    @property
    def is_of_this_directory(self) -> bool:
        """Whether the last network is the one of the directory that is used now."""
        # Earlier versions didn't note whose it was.
        return bool(self._about.get("directory", self._directory) == self._directory)

    @property
    def reach(self) -> Reach:
        """How near the directory of the last network was."""
        url = self._about.get("directory", self._directory)
        name = self._about.get("reach")
        return Reach[name] if name else reach_by_url(url)

    def records(self) -> Records | None:
        """The last network. Raises RemoteFormatError where it can't be read."""
        body = self._state.get(_NODES)
        return None if body is None else parse_topology(body)

    def keep(self, nodes: bytes, layers: int, reach: Reach) -> None:
        """Remember the network as it is now; `nodes` as a directory lists them."""
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
