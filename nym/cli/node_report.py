"""The table that `status` prints about a node."""

from typing import Any

from nym.timing import duration
from nym.wire.text import visible

Report = dict[str, Any]


def node_rows(report: Report) -> list[tuple[str, str]]:
    """The rows of the table, each with its name."""
    rows = [(report["role"], f"{report['id']}, {report['state']}")]
    if report["reason"]:
        rows.append(("reason", visible(report["reason"])))
    rows.append(("started", f"{duration(report['uptime'])} ago"))
    return rows + [(name, str(report[key])) for key, name in _ROWS.items() if key in report]


_ROWS = {
    "layer": "layer",
    "identity": "identity",
    "key": "key",
    "packets": "packets",
    "announced": "announced",
    "clients": "clients",
    "announced_clients": "announced",
    "directory": "directory",
    "url": "directory",
    "mixnodes": "mixnodes",
    "providers": "providers",
}
