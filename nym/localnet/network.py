"""A whole network: makes a directory, layers of mixnodes and providers, and starts them together.

This is the only place that knows all nodes.
"""

from pathlib import Path

from nym.identity import Identity, generate_identity, has_identity, load_identity, save_identity
from nym.net.descriptors import raise_limit
from nym.nodes.directory import Directory
from nym.nodes.door import MOST_CONNECTIONS
from nym.nodes.inboxes import FolderInboxes, MemoryInboxes
from nym.nodes.mixnode import Mixnode
from nym.nodes.node import Node, Trace
from nym.nodes.provider import Provider
from nym.nodes.replays import Replays
from nym.wire.addresses import NodeAddress


class Network:
    """`layers` layers of `width` mixnodes each, and some providers, all listening on `host`.

    `port` is the directory's; for 0, the system chooses it. With a `folder`, keys and undelivered
    messages outlast the process. Without one, nodes have new keys at each start, as those of 0.4.
    `trace` is called for each packet at each node.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        layers: int = 3,
        width: int = 1,
        providers: int = 1,
        folder: Path | None = None,
        trace: Trace | None = None,
    ) -> None:
        self.url = ""
        self.mixnodes: list[Mixnode] = []
        self.providers: list[Provider] = []
        self._directory = Directory(host, port)
        self._host = host
        self._shape = (layers, width, providers)
        self._folder = folder
        self._trace = trace

    def start(self) -> str:
        """Start everything; returns the directory's URL.

        Raises ListenError, RemoteError, and OSError where the folder can't be used.
        """
        raise_limit(MOST_CONNECTIONS)
        # The directory first: its port is the lock of the folder. Only the process that listens on
        # it may use the keys and inboxes there.
        self.url = self._directory.start("--port")
        try:
            self._build()
            for node in self._nodes():
                node.listen()
                node.start(self.url)
        except BaseException:
            self.stop()
            raise
        return self.url

    def stop(self) -> None:
        """Stop everything."""
        for node in self._nodes():
            node.stop()
        self._directory.stop()  # last: its port is the lock of the folder

    def _nodes(self) -> list[Node]:
        return [*self.mixnodes, *self.providers]

    def _build(self) -> None:
        layers, width, providers = self._shape
        anywhere = NodeAddress(self._host, 0)
        self.mixnodes = [
            Mixnode(*self._kept(f"mixnode-{layer}-{i}"), anywhere, layer, trace=self._trace)
            for layer in range(1, layers + 1)
            for i in range(1, width + 1)
        ]
        self.providers = [
            Provider(
                *self._kept(f"provider-{i}"),
                anywhere,
                anywhere,
                self._inboxes(i),
                trace=self._trace,
            )
            for i in range(1, providers + 1)
        ]

    def _kept(self, name: str) -> tuple[Identity, Replays]:
        """What a node has from its last run, or what it begins with."""
        if self._folder is None:
            return generate_identity(), Replays(None)
        folder = self._folder / name
        if not has_identity(folder):
            save_identity(generate_identity(), folder)
        return load_identity(folder), Replays(folder / "replays")

    def _inboxes(self, number: int) -> FolderInboxes | MemoryInboxes:
        if self._folder is None:
            return MemoryInboxes()
        return FolderInboxes(self._folder / f"provider-{number}" / "inboxes")
