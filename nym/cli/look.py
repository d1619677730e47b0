"""`status`, `page`, `clients` and `address` show the state of a client, and addresses."""

import io
import json
import sys
import time
from typing import Any

from nym.backlog import describe
from nym.cli import Options
from nym.cli.contacts import names_of_contacts
from nym.cli.control import connected, control
from nym.cli.homes import ALL, CLIENT, existing, existing_folder
from nym.cli.node_report import node_rows
from nym.cli.nodes import directory_row, network_rows
from nym.cli.output import say
from nym.cli.progress import CLEAR, is_terminal
from nym.errors import NymError
from nym.identity import load_identity
from nym.timing import duration
from nym.wire.keys import decode_base58
from nym.wire.text import visible

PERIOD = 1.0  # seconds between two tables of `status --watch`
STATES = {
    "running": "running",
    "waiting_for_directory": "waiting for the directory",
    "waiting_for_provider": "waiting for the provider",
    "waiting_for_disk": "waiting for the disk",
    "waiting_for_network": "waiting for the network",
}


def status(options: Options) -> int:
    """Show how a client or a node is doing, once, or again every second."""
    place = existing(options["--id"], ALL)
    with connected(place, is_reader=True) as program:
        while True:
            report = program.ask(type="status")
            if options["--json"]:
                say(json.dumps(report))
                return 0
            rows = _rows(options["--id"], report) if place.role is CLIENT else node_rows(report)
            table = "\n".join(f"{name:<12}{value}" for name, value in rows)
            if not options["--watch"]:
                say(table)
                return 0
            # If the output isn't a terminal that can be cleared, the tables follow each other.
            say(f"{CLEAR}{table}" if is_terminal(sys.stdout) else f"{table}\n")
            time.sleep(PERIOD)


def _rows(client_id: str, report: dict[str, Any]) -> list[tuple[str, str]]:
    """The rows of the table, each with its name. Rows that seldom matter appear only if they do."""
    state = f"{STATES[report['state']]} for {duration(report['state_seconds'])}"
    plain_refused = report["plain_refused"]
    rows = [
        ("client", f"{client_id}, {state}"),
        *([("reason", visible(report["reason"]))] if report["reason"] else []),
        ("started", f"{duration(report['uptime'])} ago"),
        ("address", report["address"]),
        directory_row(report),
        *network_rows(report["network"]),
        ("provider", _provider(report)),
        *([("backlog", describe(report["backlog"]))] if report["backlog"] else []),
        ("to send", messages(report["outbox"])),
        (
            "to fetch",
            messages(report["inbox"], (report["inbox_lost"], "lost because there was no room")),
        ),
        *([("refused", f"{plain_refused} plain")] if plain_refused else []),
        ("answers", _reply_addresses(report["reply_addresses"])),
        ("partial", messages(report["partial"], (report["partial_lost"], "given up"))),
        ("packets", f"{report['packets_real']} real, {report['packets_cover']} cover"),
        ("loops", _loops(report)),
        ("failed", ", ".join(report["failed"]) or "none"),
    ]
    avoided = [
        f"{node['key']} at {node['address']} ({node['why']}), for another "
        f"{duration(node['seconds'])}"
        for node in report["avoided_nodes"]
    ]
    return rows + [("avoided", node) for node in avoided or ["no nodes"]]


def _provider(report: dict[str, Any]) -> str:
    if report["provider"] is None:
        return "none yet"
    return f"{report['provider']}, {'' if report['provider_sealed'] else 'not '}on a sealed line"


def _reply_addresses(report: dict[str, int]) -> str:
    registered = report["registered"]
    return f"{registered} address{'' if registered == 1 else 'es'}, {report['free']} free"


def _loops(report: dict[str, Any]) -> str:
    text = f"{report['loops_sent']} sent, {report['loops_returned']} returned"
    if report["loss"] is not None:
        text += f"; {report['loss']:.1%} lost lately"
    if report["loop_time"] is not None:
        text += f", median {report['loop_time']:.2f} s"
    return text


def messages(count: int, lost: tuple[int, str] = (0, "")) -> str:
    """So many messages, for people; and how many were `lost`, with the reason, if any were."""
    text = f"{count} message{'' if count == 1 else 's'}"
    return f"{text}; {lost[0]} {lost[1]}" if lost[0] else text


def page(options: Options) -> int:
    """Print the link to the page of a running client."""
    # If the client doesn't run, the error names this command: with another one, it has no page.
    place = existing(options["--id"])._replace(command="nym-client websocket --id")
    with connected(place) as client:
        say(client.ask(type="page")["link"])
    return 0


def clients(options: Options) -> int:
    """List the addresses of all clients in the directory, with the names of contacts."""
    contacts = names_of_contacts()
    with control(options["--id"]) as client:
        addresses = client.ask(type="getClients")["clients"]
    known = [(listed, contacts.name_of(decode_base58(listed))) for listed in addresses]
    if options["--json"]:
        say(json.dumps([{"address": listed, "contact": name} for listed, name in known]))
        return 0
    for listed, name in known:
        say(f"{listed}  {name}" if name else listed)
    return 0


def _provider_name(client_id: str) -> str:
    """The name of the running client's provider. Raises NotRegisteredError."""
    with control(client_id) as client:
        report = client.ask(type="status")
    if not report["registered"]:
        raise NotRegisteredError(
            "this client isn't registered at a provider yet; nym-client status says why"
        )
    return str(report["provider_identity"] or report["provider"])


class NotRegisteredError(NymError):
    """The client has no provider yet."""


def address(options: Options) -> int:
    """Print the client's own address. It is read from the folder, so the client needn't run.

    Only the running client knows its provider.
    """
    own = load_identity(existing_folder(options["--id"])).address
    about = {"address": own}
    if options["--with-provider"]:
        about["provider"] = _provider_name(options["--id"])
        own = f"{own}@{about['provider']}"
    if options["--json"]:
        say(json.dumps(about))
    elif options["--qr"]:
        import segno  # imported here because it is slow to load and seldom used

        code = io.StringIO()
        segno.make(own, micro=False).terminal(out=code, compact=True)
        say(f"{code.getvalue()}{own}")
    else:
        say(own)
    return 0
