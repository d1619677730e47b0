"""What a client remembers about the network for its next start: the nodes, and how many layers.

The directories that the settings name together list one network. It is the network of the last run
if that one had one of these directories. If keys have to sign it, one of them has to have signed
the network of the last run, too; then the directories themselves may be others.

The number of layers is remembered for each directory, because another one may list another network.
The nodes are those of the last whole network, as a directory listed them, without the records that
were left out.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from nym.net.directory import reach_by_url
from nym.reach import Reach
from nym.store.state import State
from nym.wire.directory import Records, parse_topology
from nym.wire.keys import decode_base58, encode_base58

MOST_DIRECTORIES = 100  # whose layers are remembered; those used longest ago are forgotten
_NODES = "topology"
_NETWORK = "network"
_NEWEST = "newest signed"


class RememberedNetwork:
    """Reads and writes what is remembered, for a client that uses these directories now.

    `keys` are those that have to sign what a directory lists.
    """

    def __init__(
        self, state: State, directories: Sequence[str], keys: Collection[bytes] = ()
    ) -> None:
        self._state = state
        self._directories = [directory.rstrip("/") for directory in directories]
        self._keys = {encode_base58(key) for key in keys}
        self._about: dict[str, Any] = json.loads(state.get(_NETWORK) or b"{}")
        self._layers: dict[str, int] = self._about.get("layers", {})
        self._newest: dict[str, int] = json.loads(state.get(_NEWEST) or b"{}")

    @property
    def layers(self) -> int:
        """How many layers the network of these directories has, or 0 if that isn't known."""
        known = (self._layers.get(directory, 0) for directory in self._directories)
        return next((layers for layers in known if layers), 0)

    @property
    def is_of_these_directories(self) -> bool:
        """Whether the remembered network is that of the directories that are used now."""
        if self._keys:
            return self._about.get("key") in self._keys
        # Earlier versions noted one directory, and the earliest none.
        listed = self._about.get("directories", [self._about.get("directory")])
        return listed == [None] or not set(listed).isdisjoint(self._directories)

    @property
    def reach(self) -> Reach:
        """The reach of the directory that listed the remembered network (nym/reach.py)."""
        if name := self._about.get("reach"):
            return Reach[name]
        # Earlier versions did not note it, but most of them noted the directory.
        return reach_by_url(self._about.get("directory", self._directories[0]))

    @property
    def newest(self) -> dict[bytes, int]:
        """See nym.net.trust."""
        return {
            decode_base58(key): created
            for key, created in self._newest.items()
            if key in self._keys
        }

    def keep_newest(self, newest: Mapping[bytes, int]) -> None:
        """Remember what was signed last, at once: an old copy may come at any time."""
        kept = {encode_base58(key): created for key, created in newest.items()}
        if kept and kept != self._newest:
            self._newest = kept
            self._state.set(_NEWEST, json.dumps(kept).encode())

    def records(self) -> Records | None:
        """Return the remembered network, or None. Raises RemoteFormatError if it can't be read."""
        body = self._state.get(_NODES)
        return None if body is None else parse_topology(body)

    def keep(self, nodes: bytes, layers: int, reach: Reach, key: bytes | None = None) -> None:
        """Remember the network as it is now. `nodes` is in the format of a directory's answer.

        `key` is the one that signed it, if one had to.
        """
        # Removed first, so that these directories move to the end of the order.
        for directory in self._directories:
            self._layers.pop(directory, None)
            self._layers[directory] = layers
        while len(self._layers) > MOST_DIRECTORIES:
            del self._layers[next(iter(self._layers))]
        self._about = {
            "directories": self._directories,
            "reach": reach.name,
            "layers": self._layers,
            "key": key and encode_base58(key),
        }
        self._state.set(_NETWORK, json.dumps(self._about).encode())
        self._state.set(_NODES, nodes)
