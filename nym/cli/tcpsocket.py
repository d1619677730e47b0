"""`tcpsocket`: run a client, with a TCP socket for applications."""

import logging
from dataclasses import replace

from nym.cli import Options
from nym.cli.banner import banner
from nym.cli.daemon import run_until, say, set_up_log, stop_event
from nym.cli.options import checked, client_folder, number, nym_folder
from nym.client.client import Client
from nym.config import (
    DEFAULT_DIRECTORY,
    DEFAULT_DIRECTORY_PORT,
    LEVELS,
    Config,
    check_directory,
    load_config,
)
from nym.identity import load_identity
from nym.localnet.embedded import EmbeddedNetwork
from nym.wire.addresses import is_loopback

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
    client = Client(identity, config, embedded.revive if is_default else None)
    port = client.listen()
    say(f"Starting TCP socket on port: {port}")
    say("Listening for messages...")
    say(f"Public key: {identity.address}")
    log.info("Starting nym client")
    log.info('Using directory server: "%s"', config.client.directory)
    if not is_loopback(config.socket.host):
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


def _with_options(config: Config, options: Options) -> Config:
    if options["--port"]:
        port = number("--port", options["--port"], 0, 65535)
        config = replace(config, socket=replace(config.socket, port=port))
    if options["--directory"]:
        directory = checked("--directory", options["--directory"], check_directory)
        config = replace(config, client=replace(config.client, directory=directory))
    return config
