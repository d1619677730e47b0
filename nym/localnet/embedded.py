"""A local network inside a client, for when no directory was named and none is there.

docs/configuration.md, "The embedded network".
"""

import logging
from pathlib import Path

from nym.errors import ListenError, NymError
from nym.localnet.network import Network

log = logging.getLogger(__name__)


class EmbeddedNetwork:
    """The network that this client may run; at most one client on a machine does, at a port.

    When that client ends, another one starts the network again from the same folder, with the same
    keys and the messages that wait.
    """

    def __init__(self, port: int, folder: Path) -> None:
        self._port = port
        self._folder = folder
        self._network: Network | None = None
        self._failed = False

    def revive(self) -> bool:
        """Start the network, unless it runs here, or another process listens on its port.

        Returns whether it was started.
        """
        if self._network is not None:
            return False
        network = Network(port=self._port, folder=self._folder)
        try:
            url = network.start()
        except ListenError as error:
            # Most likely another client runs the network, and this one joins it.
            log.debug("this client starts no local network: %s", error)
            return False
        except (NymError, OSError) as error:
            # Said once: the client calls this again whenever the directory doesn't answer.
            if not self._failed:
                log.warning("a local network could not be started: %s", error)
            self._failed = True
            return False
        self._network = network
        log.warning(
            "no directory was named, and none answered at %s: a local network runs inside this "
            "client now. It hides nothing from this machine. To use a real network, name its "
            "directory with --directory URL",
            url,
        )
        return True

    def stop(self) -> None:
        """Stop the network, if it runs here."""
        if self._network is not None:
            self._network.stop()
