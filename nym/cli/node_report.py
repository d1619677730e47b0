"""The table that `status` prints about a node."""

from typing import Any

from nym.timing import duration
from nym.wire.text import visible, visible_url

Report = dict[str, Any]


def node_rows(report: Report) -> list[tuple[str, str]]:
    """The rows of the table, each with its name."""
    rows = [(report["role"], f"{report['id']}, {report['state']}")]
    if report["reason"]:
        rows.append(("reason", visible(report["reason"])))
    rows.append(("started", f"{duration(report['uptime'])} ago"))
    rows += [(name, str(report[key])) for key, name in _ROWS.items() if key in report]
    return rows + [("directory", visible_url(url)) for url in report.get("directories", ())]


_ROWS = {
    "layer": "layer",
    "identity": "identity",
    "key": "key",
    "packets": "packets",
    "announced": "announced",
    "clients": "clients",
    "announced_clients": "announced",
    "url": "directory",
    "mixnodes": "mixnodes",
    "providers": "providers",
}
