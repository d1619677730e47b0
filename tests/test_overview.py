"""The status report of a running client: its fields are documented, and its state is right."""

import re
from pathlib import Path

from nym.localnet.network import Network
from nym.wire.reports import StatusReport
from tests.harness import Application, free_port, running, wait_until

DOCS = Path(__file__).parents[1] / "docs"


def test_every_field_is_documented() -> None:
    text = (DOCS / "protocol" / "sockets.md").read_text()
    table = text[text.index("### Status") : text.index("## JSON lines")]
    named = {
        name
        for row in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    assert named == set(StatusReport._fields)


def state(application: Application) -> str:
    with application.lines() as lines:
        return str(lines.ask(type="status")["state"])


def test_the_state_is_what_is_waited_for() -> None:
    with Application(f"http://127.0.0.1:{free_port()}") as alice:
        assert state(alice) == "waiting_for_directory"
    with running(Network()) as network:
        with Application(network.url) as alice:
            wait_until(lambda: state(alice) == "running")
        network.providers[0].stop()
        with Application(network.url) as alice:
            wait_until(lambda: state(alice) != "waiting_for_directory")
            assert state(alice) == "waiting_for_provider"
