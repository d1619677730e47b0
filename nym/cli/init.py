"""`init`: a client's folder, keys and configuration."""

from dataclasses import replace
from pathlib import Path

from nym.cli import Options
from nym.cli.banner import banner
from nym.cli.options import checked, client_folder
from nym.cli.output import say
from nym.config import Config
from nym.config.checks import check_directory, check_provider
from nym.config.file import load_config, save_config
from nym.errors import ConfigError, IdentityError
from nym.files import make_folder
from nym.identity import Identity, generate_identity, has_identity, load_identity, save_identity


def init(options: Options) -> int:
    """Make the client, and print its address."""
    folder = client_folder(options["--id"])
    config = load_config(folder)
    settings = replace(config.client, id=options["--id"])
    if options["--provider"] is not None:
        provider = checked("--provider", options["--provider"], check_provider)
        settings = replace(settings, provider=provider)
    if options["--directory"] is not None:
        directory = checked("--directory", options["--directory"], check_directory)
        settings = replace(settings, directory=directory)

    try:
        if has_identity(folder) and not options["--force"]:
            raise IdentityError(
                f'the client "{folder.name}" exists{_address_in(folder)}, and was left as it is: '
                "take another --id, or --force to replace its keys, and with them its address"
            )
        identity = make_client(folder, replace(config, client=settings))
    except OSError as error:
        raise ConfigError(f"{folder} can't be used: {error.strerror or error}") from error
    say(banner())
    say("Initialising client...")
    say(f'Writing keypairs to "{folder}"...')
    say("Client configuration completed.")
    say(f"Address: {identity.address}")
    return 0


def make_client(folder: Path, config: Config) -> Identity:
    """New keys in `folder`, and `config` in its config.toml. Raises OSError."""
    identity = generate_identity()
    make_folder(folder)
    save_config(config, folder)  # first: it can be refused, and keys are not to be left alone then
    save_identity(identity, folder)
    return identity


def _address_in(folder: Path) -> str:
    try:
        return f" with the address {load_identity(folder).address}"
    except IdentityError:
        return ""  # damaged keys are keys, too: perhaps they can be mended
