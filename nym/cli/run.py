"""`tcpsocket` and `websocket`: run a client, with a socket for applications."""

import logging
from dataclasses import replace
from pathlib import Path

from nym.cli import Options
from nym.cli.banner import banner
from nym.cli.daemon import run_until, say, set_up_log, stop_event
from nym.cli.options import checked, client_folder, number, nym_folder
from nym.client.client import Client
from nym.config import (
    DEFAULT_DIRECTORY,
    DEFAULT_DIRECTORY_PORT,
    LEVELS,
    NEEDS_SEAL,
    Config,
    check_directory,
    check_host,
    load_config,
)
from nym.errors import UsageError
from nym.identity import load_identity
from nym.localnet.embedded import EmbeddedNetwork
from nym.sockets.local import LocalSocket
from nym.wire.addresses import UNIX, is_loopback

log = logging.getLogger(__name__)


def execute(options: Options) -> int:
    """Run until a signal comes."""
    stop = stop_event()
    folder = client_folder(options["--id"])
    config = _with_options(load_config(folder), options)
    set_up_log(LEVELS[config.logging.level])
    say(banner())
    identity = load_identity(folder)

    # Only where nobody named a directory may one come up by itself.
    is_default = not options["--directory"] and config.client.directory == DEFAULT_DIRECTORY
    embedded = EmbeddedNetwork(DEFAULT_DIRECTORY_PORT, nym_folder() / "localnet")
    socket = _socket(options)
    client = Client(identity, config, folder, socket, embedded.revive if is_default else None)
    place = client.listen()
    where = f"{UNIX}{place}" if isinstance(place, Path) else f"port: {place}"
    say(f"Starting {socket.kind} on {where}")
    say("Listening for messages...")
    say(f"Public key: {identity.address}")
    log.info("Starting nym client")
    log.info('Using directory server: "%s"', config.client.directory)
    if not isinstance(place, Path) and not is_loopback(config.socket.host):
        log.warning(
            "%s can be reached from other machines, and asks for no password: whoever connects "
            "can read and send messages",
            config.socket.host,
        )
    client.start()

    def end() -> None:
        client.stop()
        embedded.stop()

    return run_until(stop, end)


def _socket(options: Options) -> type[LocalSocket]:
    # Each imported when needed: neither waits for what the other one loads.
    if options["websocket"]:
        from nym.sockets.http import WebSocket

        return WebSocket
    from nym.sockets.tcp import TcpSocket

    return TcpSocket


def _with_options(config: Config, options: Options) -> Config:
    if options["--listen"]:
        host = checked("--listen", options["--listen"], check_host)
        config = replace(config, socket=replace(config.socket, host=host))
        if options["--port"] and host.startswith(UNIX):
            raise UsageError(f"--listen {host}: a UNIX socket has no --port")
    if options["--port"]:
        port = number("--port", options["--port"], 0, 65535)
        config = replace(config, socket=replace(config.socket, port=port))
    if options["--directory"]:
        directory = checked("--directory", options["--directory"], check_directory)
        config = replace(config, client=replace(config.client, directory=directory))
    if options["--reliable"]:
        if not config.privacy.seal:
            raise UsageError(f"--reliable: {NEEDS_SEAL}")
        config = replace(config, client=replace(config.client, reliable=True))
    return config
