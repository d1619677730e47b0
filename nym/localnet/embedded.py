"""A local network inside a client: what runs when no directory was named and none is there."""

import logging
from pathlib import Path

from nym.errors import ListenError, NymError
from nym.localnet.network import Network

log = logging.getLogger(__name__)


class EmbeddedNetwork:
    """At most one on a machine and port; its folder is handed on from host to host."""

    def __init__(self, port: int, folder: Path) -> None:
        self._port = port
        self._folder = folder
        self._network: Network | None = None
        self._failed = False

    def revive(self) -> bool:
        """Start the network, unless it runs already or another process holds its port."""
        if self._network is not None:
            return False
        network = Network(port=self._port, folder=self._folder)
        try:
            url = network.start()
        except ListenError as error:
            log.debug("no local network from this client: %s", error)
            return False
        except (NymError, OSError) as error:
            if not self._failed:
                log.warning("a local network could not be started: %s", error)
            self._failed = True
            return False
        self._network = network
        log.warning(
            "no directory was named, and none answers on %s: a local network runs inside this "
            "client now. It hides nothing from this machine; for a real one, use --directory URL",
            url,
        )
        return True

    def stop(self) -> None:
        """Stop the network, if it runs here."""
        if self._network is not None:
            self._network.stop()
