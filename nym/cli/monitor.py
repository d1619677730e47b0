"""`check --running` judges whether the running client is healthy, for programs that monitor it.

It judges the client's own status report and sends nothing, so it can run every minute. States that
end by themselves, such as a start or a short outage, are no failure. Neither is a backlog, because
a busy client is not broken. docs/operating.md, "Monitoring", has the thresholds.
"""

from collections.abc import Iterator
from typing import Any

from nym.backlog import describe
from nym.cli.findings import Finding
from nym.cli.look import STATES, messages
from nym.cli.nodes import size
from nym.store.room import MOST_MESSAGES
from nym.timing import duration

PATIENCE = 60.0  # seconds that the client may be in another state than `running`
MOST_LOSS = 0.1  # share of the loops; reliable messages get through more, but slowly
# Messages in the outbox or the inbox. At MOST_MESSAGES, new ones are refused or lost, so a
# monitor has to be warned before.
FULL = MOST_MESSAGES * 9 // 10


def judge(status: dict[str, Any]) -> Iterator[Finding]:
    """One finding for each thing that has a threshold. `status` is the client's own report."""
    yield _state(status)
    if status["network"]:
        yield _loss(status)
    yield _outbox(status["outbox"])
    yield _inbox(status["inbox"])
    if status["backlog"]:
        yield Finding("backlog", describe(status["backlog"]))


def _state(status: dict[str, Any]) -> Finding:
    state, seconds = status["state"], status["state_seconds"]
    found = f"{STATES[state]} for {duration(seconds)}"
    if state == "running" or seconds <= PATIENCE:
        return Finding("client", found, status["reason"] or "")
    # The disk is this machine's; all other states wait for the network.
    code = 1 if state == "waiting_for_disk" else 4
    return Finding("client", found, status["reason"] or "the client's log says why", code)


def _loss(status: dict[str, Any]) -> Finding:
    network = size(status["network"]["layers"], status["network"]["providers"])
    if status["loss"] is None:
        return Finding("network", network)
    found = f"{network}; {status['loss']:.1%} of the client's loops were lost lately"
    if status["loss"] <= MOST_LOSS:
        return Finding("network", found)
    return Finding("network", found, "nodes drop packets; status names those that are avoided", 4)


def _outbox(count: int) -> Finding:
    found = f"{messages(count)} to be sent"
    if count < FULL:
        return Finding("outbox", found)
    return Finding("outbox", found, "outbox list shows why they wait, and for whom", 1)


def _inbox(count: int) -> Finding:
    found = f"{messages(count)} for applications"
    if count < FULL:
        return Finding("inbox", found)
    return Finding("inbox", found, "no application fetches them; receive prints them", 1)
