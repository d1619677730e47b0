"""`check` tries everything that a client needs, in turn, and says what to do about what fails."""

import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import gevent

from nym.backlog import describe
from nym.cli import Options
from nym.cli.control import Control, control, existing_folder
from nym.cli.findings import Finding, Findings, OverError
from nym.cli.monitor import judge
from nym.cli.nodes import size
from nym.cli.options import nym_folder
from nym.cli.output import say
from nym.client.client import Client
from nym.client.judging import first_sight
from nym.config import Config
from nym.config.file import load_config
from nym.contacts import CurrentContacts
from nym.errors import (
    ConfigError,
    NotRunningError,
    OwnFaultError,
    RemoteError,
    UnreachableError,
)
from nym.files import close_to_others, locked, os_errors_as
from nym.identity import load_identity
from nym.reports import describe_left_out, network_report
from nym.timing import duration
from nym.wire.requests import BacklogReport
from nym.wire.text import visible_url

PATIENCE = 30.0  # seconds for the provider, and for a loop
LOOK = 0.1
MOST_OFF = 300.0  # seconds that the clock may be
MUCH_LOSS = 0.03
_SERVED = ("running", "waiting_for_network")  # states in which the provider answers


def check(options: Options) -> int:
    """Check, print what is found at once, and end with the code of the first thing that failed."""
    findings = Findings(is_shown=not options["--json"])
    with suppress(OverError):
        if options["--running"]:
            _check_running(options["--id"], findings)
        else:
            _check_all(options["--id"], findings)
    if options["--json"]:
        say(findings.as_json())
    return findings.code


def _check_running(client_id: str, findings: Findings) -> None:
    """Whether the client runs, and is healthy."""
    with findings.of("client"), control(client_id) as client:
        for finding in judge(client.ask(type="status")):
            findings.add(finding)


def _check_all(client_id: str, findings: Findings) -> None:
    """One check after another, until one fails that the next ones depend on."""
    with findings.of("folder"):
        folder = existing_folder(client_id)
        findings.add(_check_folder(folder))
    with findings.of("settings"):
        config, identity = load_config(folder), load_identity(folder)
        findings.add(
            Finding("settings", f"all in order; the address is {identity.address}"),
        )
    with findings.of("directory"):
        directory, date = _check_directory(client_id, config)
        findings.add(directory)
        if directory.code:
            raise OverError
    with findings.of("clock"):
        findings.add(_check_clock(date))
    with findings.of("client"), _running(client_id, folder, config) as (client, how):
        findings.add(how)
        with findings.of("provider"):
            findings.add(provider := _check_provider(client))
            if provider.code:
                raise OverError
        with findings.of("loop"):
            for finding in _check_loops(client_id, client, config):
                findings.add(finding)


def _check_folder(folder: Path) -> Finding:
    try:
        was_open = close_to_others(folder)
    except OSError as error:
        return Finding(
            "folder",
            f"{folder} can't be kept from others: {error.strerror}",
            "it has to belong to this user",
            5,
        )
    if not was_open:
        return Finding("folder", f"{folder}, for this user alone")
    # As every start does it: there is nothing left for the user to do.
    return Finding("folder", f"for this user alone now; others could use {', '.join(was_open)}")


def _check_directory(client_id: str, config: Config) -> tuple[Finding, float | None]:
    """What the directory lists, and the time that it tells."""
    url = config.client.directory_url
    try:
        (topology, judgement, _), listing = first_sight(config)
    except RemoteError as error:
        name = shlex.quote(client_id)
        advice = (
            "is the directory down? If the address is wrong: "
            f"nym-client config set --id {name} client.directory URL"
        )
        if not config.client.directory and isinstance(error, UnreachableError):
            advice = (
                "no directory was named; a client that is started runs a local network there. To "
                f"use another network: nym-client config set --id {name} client.directory URL"
            )
        if isinstance(error, OwnFaultError):
            advice = ""  # the error itself says what to do on this machine
        return Finding("directory", str(error), advice, error.exit_code), None
    network = network_report(topology, topology.digest(), judgement.left_out)
    found = f"{visible_url(url)}: {size(network)}; view {network['digest']}"
    if why := describe_left_out(network["left_out"]):
        found += f"; left out are {why}"
    return Finding("directory", found), listing.date


def _check_clock(there: float | None) -> Finding:
    # The client itself needs no clock. TLS does, and so do people who read when a message arrived.
    if there is None:
        return Finding("clock", "the directory doesn't tell the time")
    off = abs(time.time() - there)
    if off <= MOST_OFF:
        return Finding("clock", "as at the directory")
    return Finding("clock", f"{duration(off)} off the directory's", "set this machine's clock", 1)


@contextmanager
def _running(client_id: str, folder: Path, config: Config) -> Iterator[tuple[Control, Finding]]:
    """The running client; if there is none, one that runs for this check, and loses nothing."""
    with ExitStack() as stack:
        how = "it runs"
        try:
            client = stack.enter_context(control(client_id))
        except NotRunningError:
            how = "it doesn't run; one runs for this check"
            # Under the lock, so that nobody replaces the keys before the client has its database.
            with os_errors_as(ConfigError, f"{folder} can't be used"), locked(folder):
                passing = Client(
                    load_identity(folder), config, folder, None, CurrentContacts(nym_folder())
                )
            stack.callback(passing.stop)
            passing.listen()
            passing.start()
            client = stack.enter_context(control(client_id))
        yield client, Finding("client", how)


def _check_provider(client: Control) -> Finding:
    status = _wait(client, lambda status: status["state"] in _SERVED)
    name = status["provider"] or "none"
    if status["state"] in _SERVED:
        return Finding("provider", f"registered at {name}")
    found = (
        f"registered at {name}, which has not answered for {duration(status['state_seconds'])}"
        if status["registered"]
        else f"{name}: no registration within {duration(PATIENCE)}"
    )
    if status["state"] == "waiting_for_disk":
        return Finding("provider", f"nothing is fetched from {name}: {status['reason']}", "", 1)
    return Finding("provider", found, status["reason"] or "the client's log says why", 4)


def _check_loops(client_id: str, client: Control, config: Config) -> Iterator[Finding]:
    """Whether packets come through. What still waits at the provider is not lost."""
    if not config.privacy.seal:
        yield Finding(
            "loop",
            "not tried: plain messages to oneself can't be told apart (privacy.seal is false)",
        )
        return
    before = client.ask(type="status")["loops_returned"]
    status = _wait(client, lambda status: status["loops_returned"] > before)
    backlog: BacklogReport | None = status["backlog"]
    if status["loops_returned"] > before:
        yield Finding("loop", "a message to oneself came back through the network")
        if (loss := status["loss"]) is not None and loss >= MUCH_LOSS:
            found = f"{loss:.0%} of the last messages to oneself were lost"
            advice = "mixnodes drop packets; status names those that are left out for it"
            yield Finding("loss", found, advice)
    elif backlog is not None:
        yield Finding("loop", "a message to oneself has yet to arrive: others wait before it")
    else:
        found = (
            f"of {status['loops_sent']} messages to oneself none came back within "
            f"{duration(PATIENCE)}"
        )
        advice = (
            "mixnodes of the network drop packets, or can't reach each other or the provider"
            if status["loops_sent"]
            else "no mixnode of the first layer takes packets: is there a firewall on the way?"
        )
        yield Finding("loop", found, advice, 4)
    if backlog is not None:
        name = shlex.quote(client_id)
        command = f"nym-client config set --id {name} traffic.fetch_message_delay SECONDS"
        yield Finding("backlog", describe(backlog), f"{command}; then start it again")


def _wait(client: Control, is_enough: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The status as soon as it is enough, or the last one after PATIENCE seconds."""
    give_up = time.monotonic() + PATIENCE
    while not is_enough(status := client.ask(type="status")) and time.monotonic() < give_up:
        gevent.sleep(LOOK)
    return status
