"""`init` makes a client: its folder, its keys and its settings."""

from collections.abc import Mapping
from pathlib import Path

from nym.cli import Options
from nym.cli.banner import banner
from nym.cli.homes import CLIENT, check_unused, home
from nym.cli.options import checked, number
from nym.cli.output import say
from nym.config import Config
from nym.config.checks import (
    check_directories,
    check_directory_keys,
    check_provider,
    check_proxy,
)
from nym.config.file import load_config, save_config
from nym.config.setting import Value, with_values
from nym.errors import ConfigError, IdentityError, UsageError
from nym.files import exists, locked, make_folder, os_errors_as
from nym.identity import (
    PRIVATE_FILE,
    Identity,
    generate_identity,
    has_identity,
    load_identity,
    save_identity,
)
from nym.store.aside import FILE, held, name_aside, set_aside


def init(options: Options) -> int:
    """Make the client, and print its address."""
    place = home(CLIENT, options["--id"])
    check_unused(place)
    folder = place.folder
    wanted: dict[str, Value] = {"client.id": options["--id"]}
    if options["--provider"] is not None:
        wanted["client.provider"] = checked("--provider", options["--provider"], check_provider)
    if options["--directory"] is not None:
        wanted["client.directory"] = checked(
            "--directory", options["--directory"], check_directories
        )
    if options["--directory-key"] is not None:
        wanted["client.directory_key"] = checked(
            "--directory-key", options["--directory-key"], check_directory_keys
        )
        if options["--directory"] is None:
            raise UsageError("--directory-key: name the directory, too, with --directory URL")
    if options["--proxy"] is not None:
        wanted["client.proxy"] = checked("--proxy", options["--proxy"], check_proxy)
    if options["--port"] is not None:
        wanted["socket.port"] = number("--port", options["--port"], 0, 65535)

    with os_errors_as(ConfigError, f"{folder} can't be used"):
        make_folder(folder)
        identity, kept = _init(folder, wanted, is_forced=options["--force"])
    say(banner())
    say("Initialising client...")
    if kept:
        say(kept)
    say(f'Writing keypairs to "{folder}"...')
    say("Client configuration completed.")
    say(f"Address: {identity.address}")
    return 0


def _init(folder: Path, wanted: Mapping[str, Value], *, is_forced: bool) -> tuple[Identity, str]:
    """The new keys, and a sentence about what was kept of the old ones, or "".

    The folder is locked meanwhile. Otherwise two `init` at the same time could mix their keys.
    """
    with locked(folder):
        config = load_config(folder)
        if has_identity(folder) and not is_forced:
            raise IdentityError(
                f'the client "{folder.name}" exists{_address_in(folder)}, and was not changed. '
                "Choose another --id for another client"
            )
        kept = _set_database_aside(folder)
        return make_client(folder, with_values(config, wanted)), kept


def make_client(folder: Path, config: Config) -> Identity:
    """Write new keys, and `config`, to `folder`. Raises ConfigError, IdentityError."""
    identity = generate_identity()
    with os_errors_as(ConfigError, f"{folder} can't be used"):
        make_folder(folder)
    # The settings come first. If they can't be written, no keys are left without settings.
    save_config(config, folder)
    save_identity(identity, folder)
    return identity


def _set_database_aside(folder: Path) -> str:
    """Keep the messages that belong to the old keys; returns a sentence that says where, or "".

    A database can't be read without its private key, so the key is kept with it. Raises
    FolderInUseError while a client runs, ConfigError.
    """
    database = folder / FILE
    with os_errors_as(ConfigError, f"{database} can't be set aside"), held(database) as is_there:
        if not is_there:
            return ""
        kept = name_aside(FILE, "replaced")
        key = kept.replace(FILE, PRIVATE_FILE)
        # The key is moved first. If this is interrupted, the folder has no key, so no client can be
        # started there with a database that it could not read.
        had_key = exists(folder / PRIVATE_FILE)
        if had_key:
            (folder / PRIVATE_FILE).rename(folder / key)
        set_aside(database, kept)
    keys = f"the old keys, which are kept as {key}" if had_key else "keys that are gone"
    return f"The {FILE} that was here is kept as {kept}. Messages in it belong to {keys}."


def _address_in(folder: Path) -> str:
    try:
        return f" with the address {load_identity(folder).address}"
    except IdentityError:
        return ""  # damaged keys are kept, too: somebody may be able to repair them
