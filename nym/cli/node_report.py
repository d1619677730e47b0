"""The table that `status` prints about a node."""

from collections.abc import Iterator
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
    rows += [
        (name, str(report[key]))
        for key, name in _ROWS.items()
        if key in report and report[key] != report.get(_UNLESS_AS.get(key, ""))
    ]
    if workers := report.get("workers"):
        rows.append(("workers", _shares(workers, report["figures"]["workers_ended"])))
    if "key_age" in report:
        rows.append(("key since", f"{duration(report['key_age'])} ago"))
    rows += [("directory", visible_url(url)) for url in report.get("directories", ())]
    return rows + list(_traffic(report["figures"]))


def _shares(workers: list[Report], ended: int) -> str:
    """How many workers there are, and what came to each: the system spreads it evenly."""
    counts = ", ".join(str(worker.get("packets_received", 0)) for worker in workers)
    one = "itself and was" if ended == 1 else "themselves and were"
    again = f"; {ended} ended by {one} started again" if ended else ""
    return f"{len(workers)}; packets that came to each: {counts}{again}"


def _traffic(figures: Report) -> Iterator[tuple[str, str]]:
    """What has passed through the node; a directory has no such figures."""
    if "packets_received" not in figures:
        return
    counted = [
        f"{figures[f'packets_{name}']} {name.replace('_', ' ')}"
        for name in ("received", "forwarded", "delivered", "for_nobody", "held")
        if f"packets_{name}" in figures
    ]
    yield "traffic", ", ".join(counted)
    dropped = figures["packets_dropped"]
    reasons = ", ".join(
        f"{count} {name.replace('_', ' ')}" for name, count in dropped.items() if count
    )
    yield "dropped", reasons or "none"
    if "inboxes" in figures:
        yield "inboxes", f"{figures['inboxes']}; messages that wait in them: {figures['messages']}"


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
# What is only worth a row where it isn't the same as another one.
_UNLESS_AS = {"announced": "packets", "announced_clients": "clients"}
