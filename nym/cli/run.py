"""`tcpsocket` and `websocket` run a client, with a socket for applications.

This is the way from settings to a running client: options override config.toml, and SIGHUP repeats
that for the settings that can change without a restart.
"""

import gc
import logging
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nym.cli import Options
from nym.cli.banner import banner
from nym.cli.daemon import Signals
from nym.cli.figures import serve_figures
from nym.cli.homes import client_folder, existing_folder
from nym.cli.log import set_up_log
from nym.cli.notify import feed_watchdog, notify
from nym.cli.options import checked, number, nym_folder
from nym.cli.output import say
from nym.cli.reload import Reloader
from nym.client.client import Client
from nym.config import DEFAULT_DIRECTORY_PORT, Config, obstacle_to_reliable
from nym.config.checks import check_directories, check_host, check_metrics
from nym.config.file import load_config
from nym.contacts import CurrentContacts
from nym.errors import ConfigError, UsageError
from nym.files import locked, os_errors_as
from nym.identity import load_identity
from nym.net.descriptors import raise_limit
from nym.net.outward import outward
from nym.sockets.local import ApplicationSocket
from nym.wire.addresses import UNIX, is_loopback
from nym.wire.text import visible_url

if TYPE_CHECKING:
    from nym.localnet.embedded import EmbeddedNetwork

log = logging.getLogger(__name__)


def tcpsocket(options: Options) -> int:
    """Run a client with a TCP socket."""
    from nym.sockets.tcp import TcpSocket  # imported here, as it would slow down the other command

    return _run(options, TcpSocket)


def websocket(options: Options) -> int:
    """Run a client with a WebSocket."""
    from nym.sockets.http import WebSocket

    return _run(options, WebSocket)


def _run(options: Options, kind: type[ApplicationSocket]) -> int:
    """Run the client until a signal stops it; returns the exit code."""
    signals = Signals()  # first, so that a signal during the start isn't lost
    config = _with_options(load_config(client_folder(options["--id"])), options)
    folder = existing_folder(options["--id"])
    outward.settle(config.client)
    set_up_log(config.logging)
    if not options["--quiet"]:
        say(banner())
    embedded = None if config.client.directory else _embedded_network()
    # The folder is locked until the client has its database. Otherwise `init --force` could replace
    # the keys in between.
    with os_errors_as(ConfigError, f"{folder} can't be used"), locked(folder):
        identity = load_identity(folder)
        contacts = CurrentContacts(nym_folder())
        client = Client(
            identity, config, folder, kind, contacts, embedded.revive if embedded else None
        )
    # Enough for socket.connections on each of the two sockets (for applications and for commands),
    # and for the client's own files and connections.
    raise_limit(2 * config.socket.connections + 256)
    place = client.listen()
    where = f"{UNIX}{place}" if isinstance(place, Path) else f"port: {place}"
    if not options["--quiet"]:
        say(f"Starting {kind.kind} on {where}")
        say("Listening for messages...")
        say(f"Public key: {identity.address}")
        if page := client.page():
            # The token is for the user's eyes, and not for a log that this goes to.
            say(f"Page: {page if sys.stdout.isatty() else page.partition('#')[0]}")
    log.info("Starting nym client")
    for directory in config.client.directories:
        log.info('Using directory server: "%s"', visible_url(directory))
    if outward.proxy:
        log.info("Everything for other machines goes through %s", outward.proxy)
    if not isinstance(place, Path) and not is_loopback(config.socket.host):
        log.warning(
            "%s can be reached from other machines, %s",
            config.socket.host,
            "and the token and all messages are read by whoever is on the way"
            if config.socket.token_file
            else "and asks for no password: anyone who connects can read and send messages",
        )
    figures = serve_figures(
        config.logging.metrics, client.figures, "how many messages wait in this client"
    )
    # The objects that exist now stay until the end. Without this, every full garbage collection
    # looks through all of them, which takes tens of milliseconds, and no packet leaves meanwhile.
    gc.collect()
    gc.freeze()
    client.start()

    def read() -> Config:
        return _with_options(load_config(folder), options)

    def apply(changed: Config) -> None:
        client.reload(changed)
        set_up_log(changed.logging)

    signals.reload = Reloader(config, read, apply).reload
    # Only now, as services that depend on this one connect as soon as they hear of it.
    notify("READY=1", f"STATUS={kind.kind} on {where}")
    feed_watchdog()

    def end() -> None:
        if figures:
            figures.stop()
        client.stop()  # before the network that it uses
        if embedded:
            embedded.stop()

    return signals.run_until_stop(end)


def _embedded_network() -> "EmbeddedNetwork":
    """The local network that this client starts if no other client runs one already."""
    from nym.localnet.embedded import EmbeddedNetwork  # imported here because few clients need it

    return EmbeddedNetwork(DEFAULT_DIRECTORY_PORT, nym_folder() / "localnet")


def _with_options(config: Config, options: Options) -> Config:
    """The settings, with those replaced that the command line names. Raises UsageError."""
    if options["--listen"] is not None:
        host = checked("--listen", options["--listen"], check_host)
        config = replace(config, socket=replace(config.socket, host=host))
        if options["--port"] is not None and host.startswith(UNIX):
            raise UsageError(f"--listen {host}: a UNIX socket has no --port")
    if options["--port"] is not None:
        port = number("--port", options["--port"], 0, 65535)
        config = replace(config, socket=replace(config.socket, port=port))
    if options["--directory"] is not None:
        directory = checked("--directory", options["--directory"], check_directories)
        config = replace(config, client=replace(config.client, directory=directory))
    if options["--token-file"] is not None:
        file = str(Path(options["--token-file"]).absolute())
        config = replace(config, socket=replace(config.socket, token_file=file))
    if options["--metrics"] is not None:
        place = checked("--metrics", options["--metrics"], check_metrics)
        config = replace(config, logging=replace(config.logging, metrics=place))
    level = "warning" if options["--quiet"] else "debug" if options["--verbose"] else None
    if level:
        config = replace(config, logging=replace(config.logging, level=level))
    if options["--plain"]:
        config = replace(config, socket=replace(config.socket, plain=True))
        if config.client.reliable:
            raise UsageError(
                f"--plain: client.reliable is true, but {obstacle_to_reliable(config)}"
            )
    if options["--reliable"]:
        if reason := obstacle_to_reliable(config):
            raise UsageError(f"--reliable: {reason}")
        config = replace(config, client=replace(config.client, reliable=True))
    return config
