"""`localnet` runs a whole network on this machine: directory, mixnodes and providers."""

from pathlib import Path

from nym.cli import Options
from nym.cli.daemon import Signals
from nym.cli.log import set_up_log
from nym.cli.options import number
from nym.cli.output import say
from nym.config import DEFAULT_DIRECTORY_PORT, LoggingSettings
from nym.errors import ConfigError, ListenError, RemoteError, UsageError
from nym.localnet.network import Network
from nym.net.boundary import deadline
from nym.net.directory import fetch_topology
from nym.wire.addresses import NodeAddress, meant
from nym.wire.sizes import MOST_LAYERS

MOST_NODES = 100  # in each layer, and as providers
PATIENCE = 5.0  # seconds for the program that has the port already to answer as a directory


def localnet(options: Options) -> int:
    """Run the network, print where its nodes listen, and wait for a signal that stops it."""
    signals = Signals()
    set_up_log(LoggingSettings())
    network, url = _start(options)
    for mixnode in network.mixnodes:
        address = f"{mixnode.address!s:21}"
        say(f"mixnode    layer {mixnode.layer}   {address} {mixnode.keys.current.address}")
    for provider in network.providers:
        address = f"{provider.address!s:21}"
        say(f"provider   packets   {address} {provider.keys.current.address}")
        say(f"           clients   {provider.client_address}")
    say(f"directory            {url}")
    return signals.run_until_stop(network.stop)


def _start(options: Options) -> tuple[Network, str]:
    """The running network, and the URL of its directory. Raises ListenError, ConfigError."""
    folder, host = options["--folder"], _host(options["--host"])
    port = DEFAULT_DIRECTORY_PORT
    if options["--port"] is not None:
        port = number("--port", options["--port"], 0, 65535)
    network = Network(
        host=host,
        port=port,
        layers=number("--layers", options["--layers"], 1, MOST_LAYERS),
        width=number("--width", options["--width"], 1, MOST_NODES),
        providers=number("--providers", options["--providers"], 1, MOST_NODES),
        folder=Path(folder) if folder else None,
    )
    try:
        return network, network.start()
    except ListenError as error:
        # The most common reason is a network that runs already, perhaps without the user's
        # knowledge: a client that was told of no directory starts one itself, at the same port.
        url = f"http://{NodeAddress(host, port)}"
        if not _is_network(url):
            raise
        raise ListenError(
            f"{error}. A network runs there already, perhaps inside a client that was started "
            f"without --directory. To use that network, start clients with --directory {url}"
        ) from error
    except OSError as error:
        raise ConfigError(f"{folder} can't be used: {error.strerror}") from error


def _is_network(url: str) -> bool:
    """Whether a directory answers at this URL."""
    try:
        with deadline(url, PATIENCE):
            fetch_topology(url)
    except RemoteError:
        return False
    return True


def _host(text: str) -> str:
    """The address at which the nodes listen. Raises UsageError.

    The directory lists the nodes with this address, so other machines have to be able to use it.
    """
    try:
        ip = meant(text)
    except ValueError as error:
        raise UsageError(f"--host {text}: it must be an IP address of this machine") from error
    if "%" in text:
        raise UsageError(
            f"--host {text}: it must be an address without a scope, which only this machine knows"
        )
    if ip.is_unspecified:
        raise UsageError(
            f"--host {text}: it must be one address, at which clients can reach this machine"
        )
    return str(ip)
