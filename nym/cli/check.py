"""`check`: everything that a client needs, tried in turn, with advice about what is missing."""

import json
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import gevent

from nym.cli import Options
from nym.cli.control import Control, control, existing_folder
from nym.cli.output import say
from nym.client.client import Client
from nym.config import Config
from nym.config.file import load_config
from nym.errors import (
    ConfigError,
    NotRunningError,
    NymError,
    OwnFaultError,
    RemoteError,
    UnreachableError,
)
from nym.files import locked, os_errors_as
from nym.identity import load_identity
from nym.net.directory import fetch_topology
from nym.net.resolver import Resolver
from nym.timing import duration
from nym.topology import build_topology, hosts, left_out
from nym.wire.text import visible, visible_url

PATIENCE = 30.0  # seconds for the provider, and for a loop
LOOK = 0.1
MOST_OFF = 300.0  # seconds that the clock may be
_LONGEST_LINE = 2000  # characters; paths may be long


class Finding(NamedTuple):
    """What one check found; `advice` where something is to be done, `code` what it ends with."""

    check: str
    found: str
    advice: str = ""
    code: int = 0


def check(options: Options) -> int:
    """Check, print as it goes, and end with the code of the first thing that failed."""
    findings = []
    for finding in _findings(options["--id"]):
        findings.append(finding)
        if not options["--json"]:
            _show(finding)
    if options["--json"]:
        say(json.dumps([_object(finding) for finding in findings]))
    return next((finding.code for finding in findings if finding.code), 0)


def _show(finding: Finding) -> None:
    word = "FAIL" if finding.code else "ok"
    say(f"{word:<6}{finding.check:<11}{visible(finding.found, _LONGEST_LINE)}")
    if finding.advice:
        say(f"{'':17}{visible(finding.advice, _LONGEST_LINE)}")


def _object(finding: Finding) -> dict[str, Any]:
    check, found, advice, code = finding
    return {"check": check, "ok": not code, "found": found, "advice": advice or None}


def _findings(client_id: str) -> Iterator[Finding]:
    """One check after the other, as long as what follows makes sense."""
    folder = existing_folder(client_id)
    yield _check_folder(folder)
    try:
        config, identity = load_config(folder), load_identity(folder)
    except NymError as error:
        yield Finding("settings", str(error), "", error.exit_code)
        return
    yield Finding("settings", f"all in order; the address is {identity.address}")
    directory, date = _check_directory(client_id, config)
    yield directory
    if directory.code:
        return
    yield _check_clock(date)
    try:
        with _running(client_id, folder, config) as (client, how):
            yield how
            yield from _check_traffic(client)
    except NymError as error:
        yield Finding("client", str(error), "", error.exit_code)


def _check_folder(folder: Path) -> Finding:
    try:
        everything = (folder, *sorted(folder.iterdir()))
    except OSError as error:
        found = f"{folder} can't be read: {error.strerror}"
        return Finding("folder", found, "it has to belong to this user", 5)
    open_to_others = [
        path for path in everything if not path.is_symlink() and path.lstat().st_mode & 0o077
    ]
    if not open_to_others:
        return Finding("folder", f"{folder}, for this user alone")
    names = shlex.join(str(path) for path in open_to_others)
    return Finding(
        "folder", f"others may use {names}", f"close it to them with: chmod go= {names}", 5
    )


def _check_directory(client_id: str, config: Config) -> tuple[Finding, float | None]:
    """What it says of the network, and of the time."""
    url = config.client.directory_url
    try:
        records, _, date = fetch_topology(url)
        addresses = Resolver().resolve(hosts(records))
        topology = build_topology(records, addresses)
    except RemoteError as error:
        name = shlex.quote(client_id)
        advice = f"name the network's: nym-client config set --id {name} client.directory URL"
        if not config.client.directory and isinstance(error, UnreachableError):
            advice = (
                "a client that is started brings a local network up there by itself; for another "
                f"one, {advice}"
            )
        if isinstance(error, OwnFaultError):
            advice = ""  # it says itself what to do on this machine
        return Finding("directory", str(error), advice, error.exit_code), None
    layers = ", ".join(str(len(layer)) for layer in topology.layers)
    providers = len(topology.providers)
    found = (
        f"{visible_url(url)}: layers of {layers} mixnodes, "
        f"{providers} provider{'s' * (providers > 1)}"
    )
    if why := left_out(records, addresses):
        found += f"; left out are {why}"
    return Finding("directory", found), date


def _check_clock(there: float | None) -> Finding:
    # The client needs none; TLS does, and people who read when a message came.
    if there is None:
        return Finding("clock", "the directory doesn't tell the time")
    off = abs(time.time() - there)
    if off <= MOST_OFF:
        return Finding("clock", "as at the directory")
    return Finding("clock", f"{duration(off)} off the directory's", "set this machine's clock", 1)


@contextmanager
def _running(client_id: str, folder: Path, config: Config) -> Iterator[tuple[Control, Finding]]:
    """The client that runs, else one for as long as this takes: nothing of it is lost."""
    try:
        with control(client_id) as client:
            yield client, Finding("client", "it runs")
            return
    except NotRunningError:
        pass
    # Keys aren't replaced before the client has its database.
    with os_errors_as(ConfigError, f"{folder} can't be used"), locked(folder):
        passing = Client(load_identity(folder), config, folder, None)
    try:
        passing.listen()
        passing.start()
        with control(client_id) as client:
            yield client, Finding("client", "it doesn't run; one runs for this check")
    finally:
        passing.stop()


def _check_traffic(client: Control) -> Iterator[Finding]:
    status = _wait(client, lambda status: status["registered"])
    if not status["registered"]:
        yield Finding(
            "provider",
            f"{status['provider'] or 'none'}: no registration within {duration(PATIENCE)}",
            "the client's log says why",
            4,
        )
        return
    yield Finding("provider", f"registered at {status['provider']}")
    before = status["loops_returned"]
    status = _wait(client, lambda status: status["loops_returned"] > before)
    if status["loops_returned"] > before:
        yield Finding("loop", "a message to oneself came back through the network")
        return
    sent = status["loops_sent"]
    yield Finding(
        "loop",
        f"of {sent} messages to oneself none came back within {duration(PATIENCE)}",
        "mixnodes of the network drop packets, or can't reach each other or the provider"
        if sent
        else "no mixnode of the first layer takes packets: is there a firewall on the way?",
        4,
    )


def _wait(client: Control, is_enough: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The status, when it is enough, or when patience ends."""
    give_up = time.monotonic() + PATIENCE
    while not is_enough(status := client.ask(type="status")) and time.monotonic() < give_up:
        gevent.sleep(LOOK)
    return status
