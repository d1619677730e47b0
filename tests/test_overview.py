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


def test_what_loops_show_is_told() -> None:
    with (
        running(Network()) as network,
        Application(network.url) as alice,
        alice.lines() as lines,
    ):
        wait_until(lambda: (lines.ask(type="status")["loss"]) is not None)
        loops, view = lines.ask(type="loops"), lines.ask(type="network")
        last = loops["last"]
        # One mixnode of each layer, in the order of the layers.
        assert len(last["hops"]) == len(view["layers"])
        for hop, layer in zip(last["hops"], view["layers"], strict=True):
            assert {name: hop[name] for name in ("key", "address")} in layer
        assert last["seconds"] > sum(hop["delay"] for hop in last["hops"]) > 0
        known = {node["key"] for layer in view["layers"] for node in layer}
        assert loops["nodes"].keys() <= known
        counts = [node["loops"] for node in loops["nodes"].values()]
        assert sum(counts) >= 20 * len(view["layers"])
        # Samples are taken from the start on.
        wait_until(lambda: max(lines.ask(type="history")["series"][0]["packets_cover"]) > 0)
