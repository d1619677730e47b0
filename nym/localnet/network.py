"""A whole network: makes a directory, layers of mixnodes and providers, and starts them together.

This is the only place that knows all nodes.
"""

from pathlib import Path

from nym.config.nodes import KeySettings
from nym.net.descriptors import raise_limit
from nym.nodes.directory import Directory
from nym.nodes.door import MOST_CONNECTIONS
from nym.nodes.inboxes import Inboxes
from nym.nodes.inboxes.local import open_inboxes
from nym.nodes.keys import Keyring, load_token_key
from nym.nodes.mixnode import Mixnode
from nym.nodes.node import Node, Trace
from nym.nodes.provider import Provider
from nym.signing import IDENTITY_FILE, Signer, generate_signer, load_signer, make_identity
from nym.wire.addresses import NodeAddress


class Network:
    """`layers` layers of `width` mixnodes each, and some providers, all listening on `host`.

    `port` is the directory's; for 0, the system chooses it. With a `folder`, keys and undelivered
    messages outlast the process. Without one, nodes have new keys at each start, as those of 0.4.
    `trace` is called for each packet at each node. Nodes change their keys as nym.nodes.keys says.
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
        key_lifetime: float = KeySettings.lifetime,
        key_overlap: float = KeySettings.overlap,
    ) -> None:
        self.url = ""
        self.mixnodes: list[Mixnode] = []
        self.providers: list[Provider] = []
        self._inboxes: list[Inboxes] = []
        self._directory = Directory(host, port)
        self._host = host
        self._shape = (layers, width, providers)
        self._folder = folder
        self._trace = trace
        self._times = (key_lifetime, key_overlap)

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
        for inboxes in self._inboxes:
            inboxes.close()
        self._directory.stop()  # last: its port is the lock of the folder

    def _nodes(self) -> list[Node]:
        return [*self.mixnodes, *self.providers]

    def _build(self) -> None:
        layers, width, providers = self._shape
        anywhere = NodeAddress(self._host, 0)
        self.mixnodes = [
            Mixnode(self._keys(f"mixnode-{layer}-{i}"), anywhere, layer, trace=self._trace)
            for layer in range(1, layers + 1)
            for i in range(1, width + 1)
        ]
        self.providers = [self._provider(f"provider-{i}") for i in range(1, providers + 1)]

    def _provider(self, name: str) -> Provider:
        anywhere = NodeAddress(self._host, 0)
        # The key of the tokens first: it may be the one that the keys take over.
        tokens = load_token_key(self._place(name))
        inboxes = open_inboxes(self._place(name))
        self._inboxes.append(inboxes)
        # With an identity, a provider offers clients a sealed line, whose answers have one size.
        return Provider(
            self._keys(name),
            tokens,
            anywhere,
            anywhere,
            inboxes,
            trace=self._trace,
            signer=self._signer(name),
        )

    def _signer(self, name: str) -> Signer | None:
        if (place := self._place(name)) is None:
            return generate_signer()
        make_identity(path := place / IDENTITY_FILE)
        return load_signer(path)

    def _keys(self, name: str) -> Keyring:
        return Keyring(self._place(name), *self._times)

    def _place(self, name: str) -> Path | None:
        return self._folder and self._folder / name
