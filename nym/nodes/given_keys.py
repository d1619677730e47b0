"""The keys of a worker: those that the node has given to it (nym.nodes.workers).

docs/protocol/mixnode.md, "Keys".

The node makes, announces and destroys keys. A worker opens packets with them, and notes their tags
where the node and its other workers do, too. It asks for another key when the tables are full.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from nym import sphinx
from nym._secrets import Secret
from nym.config.nodes import DAY
from nym.identity import Identity
from nym.nodes.keyring import Key, Keys
from nym.nodes.replays import Replays


class GivenKeys(Keys[None]):
    """The keys whose tags are in the folder of the node's keys. `ask` asks for another one."""

    def __init__(self, folder: Path, ask: Callable[[], None]) -> None:
        super().__init__(folder, lifetime=DAY, overlap=DAY)
        self._folder = folder
        self._ask = ask

    def take(self, given: Sequence[tuple[int, Secret]]) -> None:
        """Use these keys from now on, and no others: numbers and private keys, the newest first.

        Raises OSError, StoreError if the tags of one can't be used.
        """
        before = {key.number: key for key in self._keys}
        self._keys = [
            before.pop(number) if number in before else self._made(number, private_key)
            for number, private_key in given
        ]
        for key in before.values():
            key.replays.close()

    @property
    def age(self) -> float:
        """See Keys; the node tells how old its key is."""
        return 0.0

    @property
    def _current(self) -> Key[None]:
        return self._keys[0]

    def _look(self) -> None:
        if self._current.replays.is_full:
            self._ask()

    def _rest(self) -> float:
        return DAY  # nothing is due by itself

    def _made(self, number: int, private_key: Secret) -> Key[None]:
        identity = Identity(private_key, sphinx.public_key(private_key))
        return Key(number, identity, Replays(self._folder / str(number), is_alone=False), None)
