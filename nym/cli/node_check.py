"""`check` for a node: tries what others need of it, step by step, and says how to repair it.

The node itself is never started for a check: others would send packets to it for these few seconds.
"""

from typing import Any

from nym.cli.control import connected
from nym.cli.findings import Finding, Findings, OverError
from nym.cli.homes import DIRECTORY, Home
from nym.cli.machine import check_clock, check_folder
from nym.config.file import load_settings
from nym.errors import RemoteError
from nym.net.directory import fetch_topology
from nym.net.transport import try_place
from nym.wire.addresses import NodeAddress, split_host
from nym.wire.directory import Records
from nym.wire.text import visible_url

Report = dict[str, Any]


def check_node(place: Home, findings: Findings) -> None:
    """Run the checks in order, until one fails that the later ones need."""
    with findings.of("folder"):
        findings.add(check_folder(place.folder))
    with findings.of("settings"):
        load_settings(place.folder, place.role.settings())
        findings.add(Finding("settings", "all in order"))
    report = check_running_node(place, findings)
    if place.role is DIRECTORY:
        with findings.of("directory"):
            findings.add(_size(report))
        return
    for url in report["directories"]:
        with findings.of("directory"):
            listing = fetch_topology(url)
            findings.add(_listed(report, url, listing.records))
        with findings.of("clock"):
            findings.add(check_clock(listing.clock_off()))
    for what in ("announced", "announced_clients"):
        if what in report:
            findings.add(_reached(report[what]))


def check_running_node(place: Home, findings: Findings) -> Report:
    """Add whether the node runs, and whether a directory takes what it posts.

    As long as one does, clients find the node, so it is no failure if others are away.
    """
    with findings.of(place.role.name):
        with connected(place) as node:
            report = node.ask(type="status")
        code = 4 if report["reason"] and all(report["directories"].values()) else 0
        findings.add(Finding(place.role.name, report["state"], report["reason"] or "", code))
        if code:
            raise OverError
    return report


def _size(report: Report) -> Finding:
    found = f"mixnodes that are listed: {report['mixnodes']}; providers: {report['providers']}"
    return Finding("directory", found)


def _listed(report: Report, url: str, records: Records) -> Finding:
    nodes = [(node.host, node.layer) for node in records.mixnodes]
    places = [(node.mixnet_listener, None) for node in records.providers]
    if (report["announced"], report.get("layer")) in [*nodes, *places]:
        return Finding("directory", f"{visible_url(url)} lists it at {report['announced']}")
    return Finding(
        "directory",
        f"{visible_url(url)} doesn't list it at {report['announced']}",
        "if it has just started, wait for ten seconds; otherwise its log says why",
        4,
    )


def _reached(where: str) -> Finding:
    """Whether a connection to where others find this node works, as seen from this machine."""
    try:
        try_place(NodeAddress(*split_host(where)))
    except RemoteError as error:
        advice = (
            "is the port open in the firewall, and forwarded to this machine? Some routers refuse "
            "such connections from inside: then try it from another machine"
        )
        return Finding("reach", str(error), advice, 4)
    return Finding("reach", f"{where} takes connections")
