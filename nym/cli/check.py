"""`check` tries everything that a client needs, step by step, and says how to repair what fails.

The steps are in the order in which they depend on each other: folder, settings, directory, clock,
client, provider, loop. If a step fails that the later ones need, the later ones aren't tried, so
the first FAIL names the cause. With --running, it only judges the running client (monitor.py).
"""

import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import Any

import gevent

from nym.backlog import describe
from nym.cli import Options
from nym.cli.control import Control, connected
from nym.cli.findings import Finding, Findings, OverError
from nym.cli.homes import ALL, CLIENT, Home, existing
from nym.cli.machine import check_clock, check_folder
from nym.cli.monitor import judge
from nym.cli.node_check import check_node, check_running_node
from nym.cli.nodes import size, verified
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
    UnverifiedError,
)
from nym.files import locked, os_errors_as
from nym.identity import load_identity
from nym.net.outward import outward
from nym.reports import describe_left_out, network_report
from nym.timing import duration
from nym.wire.reports import BacklogReport
from nym.wire.text import visible_url

PATIENCE = 30.0  # seconds to wait for the registration, and again for a loop to return
LOOK = 0.1  # seconds between two looks at the client's status
MUCH_LOSS = 0.03  # share of lost loops that is worth a line; it is no failure
_SERVED = ("running", "waiting_for_network")  # states in which the provider answers


def check(options: Options) -> int:
    """Check, and print each finding at once; returns the code of the first check that failed."""
    findings = Findings(is_shown=not options["--json"])
    with suppress(OverError):  # the finding that ended it is in `findings`
        with findings.of("folder"):
            place = existing(options["--id"], ALL)
        if place.role is not CLIENT:
            (check_running_node if options["--running"] else check_node)(place, findings)
        elif options["--running"]:
            _check_running(place, findings)
        else:
            _check_all(place, findings)
    if options["--json"]:
        say(findings.as_json())
    return findings.code


def _check_running(place: Home, findings: Findings) -> None:
    """Add what `monitor.judge` finds about the running client. It is a failure if none runs."""
    with findings.of("client"), connected(place) as client:
        for finding in judge(client.ask(type="status")):
            findings.add(finding)


def _check_all(place: Home, findings: Findings) -> None:
    """Run the checks in order, until one fails that the later ones need."""
    client_id, folder = place.folder.name, place.folder
    with findings.of("folder"):
        findings.add(check_folder(folder))
    with findings.of("settings"):
        config, identity = load_config(folder), load_identity(folder)
        outward.settle(config.client)
        way = f"; everything goes through {outward.proxy}" if outward.proxy else ""
        findings.add(
            Finding("settings", f"all in order; the address is {identity.address}{way}"),
        )
    with findings.of("directory"):
        tried = [_check_directory(client_id, config, url) for url in config.client.directories]
        works = any(not directory.code for directory, _ in tried)
        for directory, _ in tried:
            # While one of them works, it is no failure that another one doesn't.
            findings.add(directory._replace(code=0) if works else directory)
        if not works:
            raise OverError
    with findings.of("clock"):
        findings.add(check_clock(next(off for directory, off in tried if not directory.code)))
    with findings.of("client"), _running(place, config) as (client, how):
        findings.add(how)
        with findings.of("provider"):
            findings.add(provider := _check_provider(client))
            if provider.code:
                raise OverError
        with findings.of("loop"):
            for finding in _check_loops(client_id, client, config):
                findings.add(finding)


def _check_directory(client_id: str, config: Config, url: str) -> tuple[Finding, float | None]:
    """The finding about a directory, and how far off its clock is (None if that isn't known)."""
    alone = replace(config, client=replace(config.client, directory=url))
    try:
        (topology, judgement, _), listing = first_sight(alone)
    except RemoteError as error:
        name = shlex.quote(client_id)
        advice = (
            "is the directory down? If the address is wrong: "
            f"nym-client config set --id {name} client.directory URL"
        )
        if not config.client.directory and isinstance(error, UnreachableError):
            advice = (
                "no directory was named, so a client that starts runs a local network there. To "
                f"use another network: nym-client config set --id {name} client.directory URL"
            )
        if isinstance(error, OwnFaultError | UnverifiedError):
            advice = ""  # the error itself says what to do
        return Finding("directory", str(error), advice, error.exit_code), None
    network = network_report(topology, topology.digest(), judgement.left_out)
    how = verified(listing.key is not None)
    nodes = size(network["layers"], network["providers"])
    found = f"{visible_url(url)}, {how}: {nodes}; view {network['digest']}"
    if why := describe_left_out(network["left_out"]):
        found += f"; left out: {why}"
    return Finding("directory", found), listing.clock_off()


@contextmanager
def _running(place: Home, config: Config) -> Iterator[tuple[Control, Finding]]:
    """A connection to the client. If the client isn't running, one is started for this check.

    The started one is an ordinary client with the client's own keys and database, so messages that
    arrive meanwhile are kept.
    """
    folder = place.folder
    with ExitStack() as stack:
        how = "running"
        try:
            client = stack.enter_context(connected(place))
        except NotRunningError:
            how = "not running; started for this check only"
            # The folder is locked until the client has its database. Otherwise `init --force` could
            # replace the keys in between, and the client would run with keys that are gone.
            with os_errors_as(ConfigError, f"{folder} can't be used"), locked(folder):
                # None: it has no socket for applications, whose port may be in use.
                passing = Client(
                    load_identity(folder), config, folder, None, CurrentContacts(nym_folder())
                )
            stack.callback(passing.stop)
            passing.listen()
            passing.start()
            # The rest asks it over its control socket, as it would ask a client that was running.
            client = stack.enter_context(connected(place))
        yield client, Finding("client", how)


def _check_provider(client: Control) -> Finding:
    status = _wait(client, lambda status: status["state"] in _SERVED)
    name = status["provider"] or "none"
    if status["state"] in _SERVED:
        how = "on a sealed line" if status["provider_sealed"] else "not on a sealed line"
        return Finding("provider", f"registered at {name}, {how}")
    found = (
        f"registered at {name}, which has not answered for {duration(status['state_seconds'])}"
        if status["registered"]
        else f"{name}: no registration within {duration(PATIENCE)}"
    )
    if status["state"] == "waiting_for_disk":
        # A full disk is this machine's fault, so it isn't reported as one of the network.
        return Finding("provider", f"nothing is pulled from {name}: {status['reason']}", "", 1)
    return Finding("provider", found, status["reason"] or "the client's log says why", 4)


def _check_loops(client_id: str, client: Control, config: Config) -> Iterator[Finding]:
    """Whether packets come through the network, how many are lost, and what still waits.

    A loop that waits at the provider behind other messages is late, not lost. That is no failure.
    """
    if not config.privacy.seal:
        yield Finding(
            "loop",
            "not tried: with privacy.seal = false, the client can't recognise its own loops",
        )
        return
    # Only a loop that returns from now on counts: earlier ones say nothing about this moment.
    before = client.ask(type="status")["loops_returned"]
    status = _wait(client, lambda status: status["loops_returned"] > before)
    backlog: BacklogReport | None = status["backlog"]
    if status["loops_returned"] > before:
        yield Finding("loop", "a message from the client to itself came back through the network")
        if (loss := status["loss"]) is not None and loss >= MUCH_LOSS:
            found = f"{loss:.0%} of the last messages from the client to itself were lost"
            advice = "mixnodes drop packets; status names those that the client avoids"
            yield Finding("loss", found, advice)
    elif backlog is not None:
        yield Finding("loop", "not back yet: other messages wait before it at the provider")
    else:
        found = (
            f"none of {status['loops_sent']} messages from the client to itself came back within "
            f"{duration(PATIENCE)}"
        )
        advice = (
            "mixnodes of the network drop packets, or can't reach each other or the provider"
            if status["loops_sent"]
            else "no mixnode of the first layer accepts packets: does a firewall block them?"
        )
        yield Finding("loop", found, advice, 4)
    if backlog is not None:
        name = shlex.quote(client_id)
        command = f"nym-client config set --id {name} traffic.fetch_message_delay SECONDS"
        yield Finding("backlog", describe(backlog), f"{command}; then restart the client")


def _wait(client: Control, is_enough: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first status that `is_enough`, or the last one after PATIENCE seconds."""
    give_up = time.monotonic() + PATIENCE
    while not is_enough(status := client.ask(type="status")) and time.monotonic() < give_up:
        gevent.sleep(LOOK)
    return status
