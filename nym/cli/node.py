"""`directory`, `mixnode` and `provider` run a node of a network, each with a folder of its own.

The first start makes the folder, and writes the options that were given to its config.toml. Later
starts read that file; their options override it.
"""

import gc
import logging
import socket
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nym.cli import Options
from nym.cli.banner import banner
from nym.cli.control import is_running
from nym.cli.daemon import Signals
from nym.cli.figures import serve_figures
from nym.cli.homes import DIRECTORY, MIXNODE, PROVIDER, Home, Role, check_unused, home
from nym.cli.log import forward_log, set_up_log
from nym.cli.moving import export_provider, import_provider
from nym.cli.notify import feed_watchdog, notify
from nym.cli.options import checked, number
from nym.cli.output import say
from nym.cli.reload import Reloader
from nym.config import checks
from nym.config.checks import place_of
from nym.config.file import CONFIG_FILE, load_settings, save_config
from nym.config.nodes import MixnodeConfig
from nym.config.setting import Sections, Settings, Value, values_of, with_values
from nym.errors import ConfigError, FolderInUseError, UsageError
from nym.files import exists, locked, make_folder, os_errors_as
from nym.net.descriptors import raise_limit
from nym.net.processors import usable
from nym.nodes.control import NodeControl
from nym.nodes.door import MOST_CONNECTIONS
from nym.nodes.keys import KEYS_FOLDER
from nym.nodes.limits import share_of
from nym.nodes.nursery import Nursery
from nym.nodes.programs import DirectoryProgram, MixnodeProgram, Program, ProviderProgram
from nym.nodes.worker import Worker
from nym.wire.addresses import is_unspecified
from nym.wire.sizes import MOST_LAYERS

if TYPE_CHECKING:
    from nym.net.metrics import MetricsServer

_DANGER = "how much passes through this node"  # for those who can read its figures

# Makes a program, once nobody else can use its folder.
Make = Callable[[], Program]
# Gets the settings, the folder, and what to call if the node can't go on.
Prepare = Callable[[Any, Path, Callable[[], None]], Make]

log = logging.getLogger(__name__)


def mixnode(options: Options) -> int:
    """Run a mixnode until a signal stops it."""
    return _run(options, MIXNODE, _with_workers)


def provider(options: Options) -> int:
    """Run a provider until a signal stops it; or move it to or from a file."""
    if options["export"]:
        return export_provider(options)
    if options["import"]:
        return import_provider(options)
    return _run(options, PROVIDER, _alone(ProviderProgram))


def directory(options: Options) -> int:
    """Run a directory until a signal stops it."""
    return _run(options, DIRECTORY, _alone(DirectoryProgram))


def _run(options: Options, role: Role, prepare: Prepare) -> int:
    signals = Signals()  # first, so that a signal during the start isn't lost
    place = home(role, options["--id"])
    check_unused(place)

    def read() -> Sections:
        return _with_options(load_settings(place.folder, role.settings()), role, options)

    config: Any = read()
    set_up_log(config.logging)
    _check_complete(place, config)
    if is_running(place):
        raise FolderInUseError(place.folder)
    with os_errors_as(ConfigError, f"{place.folder} can't be used"):
        make_folder(place.folder)
    raise_limit(2 * MOST_CONNECTIONS)
    make = prepare(config, place.folder, signals.fail)
    control = NodeControl(place.socket)
    try:
        program = make()
        program.listen()
        figures = serve_figures(config.logging.metrics, program.families, _DANGER)
        _keep(place, config)
        control.serve(program.report)
        _announce(place, program, is_quiet=options["--quiet"])

        def apply(changed: Any) -> None:
            program.reload(changed)
            set_up_log(changed.logging)

        signals.reload = Reloader(config, read, apply).reload
        return _run_until_stop(place, program, signals, figures)
    finally:
        control.stop()


def _alone(program: Callable[[Any, Path], Program]) -> Prepare:
    """Prepare a node that is a single process."""
    return lambda config, folder, _: partial(program, config, folder)


def _with_workers(config: MixnodeConfig, folder: Path, has_failed: Callable[[], None]) -> Make:
    """Prepare a mixnode, and workers for it while this process has neither keys nor connections."""
    count = config.mixnode.workers or usable()
    limits, keys = share_of(config.limits, count), folder / KEYS_FOLDER

    def work(line: socket.socket, listener: socket.socket) -> None:
        worker = Worker(line, listener, keys, limits)
        forward_log(worker.say)
        worker.run()

    # The lock goes on to the nursery and to each worker, and ends with the last of them. So this
    # waits for those of a node that was killed a moment ago, which still listen.
    with os_errors_as(ConfigError, f"{keys} can't be used"):
        make_folder(keys)
        with locked(keys):
            start = Nursery(work, has_failed).start if count > 1 else None
    return partial(MixnodeProgram, config, folder, count, start)


def _announce(place: Home, program: Program, *, is_quiet: bool) -> None:
    """Tell people, the log and the service manager that the node listens."""
    if not is_quiet:
        say(banner(place.role.name))
        say(f"Starting {place}")
    # Said on both streams: standard output is for people who start a node, and the log stays.
    log.info("%s is starting", place)
    for name, value in program.about():
        log.info("%s: %s", name, value)
        if not is_quiet:
            say(f"{name:<11}{value}")
    # Before the first post to a directory, which may take long if that doesn't answer.
    notify("READY=1", f"STATUS={place}")
    feed_watchdog()


def _run_until_stop(
    place: Home, program: Program, signals: Signals, figures: "MetricsServer | None"
) -> int:
    """Run the node that listens; returns the exit code."""
    # As for a client: the objects that exist now stay until the end (nym.cli.run).
    gc.collect()
    gc.freeze()
    program.start()

    def end() -> None:
        log.info("%s is leaving the network; a second signal ends it at once", place)
        program.leave(signals.hurry)
        if figures:  # until then, so that what is dropped at the end is seen
            figures.stop()
        program.stop()

    return signals.run_until_stop(end)


def _with_options(config: Settings, role: Role, options: Options) -> Settings:
    """The settings, with those replaced that the command line names. Raises UsageError."""
    values: dict[str, Value] = {}
    for option, (name, check) in _OPTIONS.items():
        if options.get(option) is not None:
            values[f"{role.name}.{name}"] = checked(option, options[option], check)
    if options.get("--allow") is not None:
        # The service that is started later may have another working directory.
        values["directory.allow"] = str(Path(options["--allow"]).absolute())
    if options.get("--no-client-lists"):
        values["directory.client_lists"] = False
    if options.get("--layer") is not None:
        values["mixnode.layer"] = number("--layer", options["--layer"], 1, MOST_LAYERS)
    if options.get("--workers") is not None:
        most = checks.MOST_WORKERS
        values["mixnode.workers"] = number("--workers", options["--workers"], 0, most)
    if options["--metrics"] is not None:
        place = checked("--metrics", options["--metrics"], checks.check_metrics)
        values["logging.metrics"] = place
    if options["--quiet"] or options["--verbose"]:
        values["logging.level"] = "warning" if options["--quiet"] else "debug"
    return with_values(config, values)


_OPTIONS: Mapping[str, tuple[str, Callable[[str], None]]] = {
    "--listen": ("listen", checks.check_place),
    "--announce": ("announce", checks.check_place),
    "--clients": ("clients", checks.check_place),
    "--announce-clients": ("announce_clients", checks.check_place),
    "--directory": ("directory", checks.check_directories),
    "--store": ("store", checks.check_store_or_none),
}


def _check_complete(place: Home, config: Sections) -> None:
    """Raises UsageError if something is missing that has no default."""
    if place.role is DIRECTORY:
        return
    if place.role is MIXNODE:
        _require(place, config, "layer", "--layer N")
    _require(place, config, "directory", "--directory URL")
    values = values_of(config)
    for listens, announces in _ANNOUNCED.items():
        host = values.get(f"{place.role.name}.{listens}")
        if host is None or values[f"{place.role.name}.{announces}"]:
            continue
        if is_unspecified(place_of(str(host), 0).ip):
            option = announces.replace("_", "-")
            raise UsageError(
                f"--{option} HOST:PORT is missing: the node listens at every address of this "
                f"machine ({host}), and others need one of them, or a name. To listen at one "
                f"address only: --{listens} HOST:PORT"
            )


def _require(place: Home, config: Sections, name: str, option: str) -> None:
    """Raises UsageError if the setting `name`, which has no useful default, isn't set."""
    key = f"{place.role.name}.{name}"
    if values_of(config)[key]:
        return
    if exists(place.folder / CONFIG_FILE):
        raise UsageError(
            f"the {place} has no {name}; set it with: "
            f"nym-client config set --id {place.quoted} {key} {option.partition(' ')[2]}"
        )
    raise UsageError(f"a new {place.role.name} needs {option}; it is kept for later starts")


# What says where others find a node, for each place where it may listen at every address.
_ANNOUNCED = {"listen": "announce", "clients": "announce_clients"}


def _keep(place: Home, config: Sections) -> None:
    """Write config.toml if there is none. Raises ConfigError.

    It is written when the node listens, so that options that don't work aren't kept.
    """
    with os_errors_as(ConfigError, f"{place.folder} can't be used"), locked(place.folder):
        if not exists(place.folder / CONFIG_FILE):
            save_config(config, place.folder)
