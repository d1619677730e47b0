"""docs/monitoring.md, the dashboard and the alerts name the figures that are served, no others."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, get_args

import pytest
import requests

from nym import __version__
from nym.client.figures import figures
from nym.localnet.network import Network
from nym.net.metrics import of_this_process
from nym.nodes.counts import REASONS
from nym.wire.metrics import Family, encode_metrics, gauge
from nym.wire.reports import NetworkReport, State, StatusReport
from tests.harness import PATIENCE, Program, run_program, running

ROOT = Path(__file__).parent.parent
DOCUMENT = (ROOT / "docs" / "monitoring.md").read_text()
DASHBOARD = json.loads((ROOT / "contrib" / "grafana-nym.json").read_text())
ALERTS = (ROOT / "contrib" / "nym-alerts.yml").read_text()

NETWORK = NetworkReport(
    layers=[1, 2, 3],
    providers=2,
    left_out=[{"nodes": 4, "why": "x"}, {"nodes": 1, "why": "y"}],
    digest="d",
)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def served() -> dict[str, Family]:
    """All families by name."""
    with running(Network()) as network:
        nodes = (network.mixnodes[0], network.providers[0], network._directory)
        families = [family for node in nodes for family in node.counts.families()]
    families += figures(StatusReport(__version__, "address", loss=0.1, loop_time=1.0))
    return {family.name: family for family in [*families, *of_this_process()]}


def labels(family: Family) -> set[str]:
    return {label for sample in family.samples for label in sample.labels} - {"le"}


def test_the_document_has_each_figure(served: dict[str, Family]) -> None:
    rows = re.findall(
        r"^\| `((?:nym|process)_\w+)` \| (\w+) \| (.*?) ?\| .+ \|$", DOCUMENT, re.MULTILINE
    )
    documented = {name: (kind, set(re.findall("`(.*?)`", words))) for name, kind, words in rows}
    assert documented == {name: (one.kind, labels(one)) for name, one in served.items()}
    assert len(documented) == len(rows) > 40


def test_the_document_has_each_reason() -> None:
    table = DOCUMENT.partition("## Why packets are dropped")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == set(REASONS)


def test_names_follow_the_conventions(served: dict[str, Family]) -> None:
    for name, family in served.items():
        assert name.endswith("_total") == (family.kind == "counter"), name
        assert not re.search("_(ms|millis|kb|count|sum|bucket)(_|$)", name), name
        assert family.about.endswith("."), name
        assert "\n" not in family.about, name


def texts(value: Any) -> Iterator[tuple[str, str]]:
    """Yield each text in a JSON value with the key that it has."""
    for key, inside in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(inside, str):
            yield str(key), inside
        elif isinstance(inside, dict | list):
            yield from texts(inside)


def unknown(expressions: list[str], served: dict[str, Family]) -> set[str]:
    names = {name for text in expressions for name in re.findall(r"\b(?:nym|process)_\w+", text)}
    assert names
    known = set(served)
    for name, family in served.items():
        if family.kind == "histogram":
            known |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"}
    return names - known


def test_the_dashboard_names_figures_that_there_are(served: dict[str, Family]) -> None:
    expressions = [text for key, text in texts(DASHBOARD) if key == "expr"]
    assert len(expressions) > 30
    assert unknown(expressions, served) == set()


def test_the_panels_of_the_dashboard_have_their_places() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
    identifiers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(identifiers) == len(set(identifiers))


def test_alerts_name_figures_that_there_are(served: dict[str, Family]) -> None:
    expressions = re.findall(r"expr: (?:>-\n)?(.*(?:\n {10}\S.*)*)", ALERTS)
    assert len(expressions) == ALERTS.count("- alert:") > 3
    assert unknown(expressions, served) == set()
    states = set(re.findall(r'state="(\w+)"', ALERTS))
    assert states
    assert states <= set(get_args(State))


# A client.


def test_a_clients_figures() -> None:
    report = StatusReport(
        __version__,
        "address",
        state="waiting_for_disk",
        network=NETWORK,
        outbox=3,
        packets_real=2,
        packets_cover=40,
        inbox_refused={"anonymous": 1, "strangers": 0, "contacts": 5, "correspondents": 0},
        failed=["a", "b"],
        provider_sealed=True,
        tempo={"asked": 1000.0, "possible": 250.0},
    )
    text = encode_metrics(figures(report)).decode()
    for line in (
        'nym_client_state{state="waiting_for_disk"} 1',
        'nym_client_state{state="running"} 0',
        "nym_client_outbox_messages 3",
        "nym_client_packets_sent_total 42",
        'nym_client_inbox_refused_total{sender="contacts"} 5',
        "nym_client_failed_messages 2",
        "nym_client_mixnodes 6",
        "nym_client_providers 2",
        "nym_client_left_out_nodes 5",
        "nym_client_backlog_messages 0",
        "nym_client_provider_sealed 1",
        "nym_client_packet_rate_ratio 0.25",
    ):
        assert f"\n{line}\n" in text
    assert "\nnym_client_loss_ratio" not in text  # not known yet


def test_what_is_not_known_is_left_out() -> None:
    starting = encode_metrics(figures(StatusReport(__version__, "address"))).decode()
    assert "\nnym_client_packet_rate_ratio 1" in starting
    backlog = {"lasted": 1.0, "pulled": 2.0, "messages": None, "change": None, "seconds": None}
    report = StatusReport(__version__, "address", backlog=backlog)  # type: ignore[arg-type]
    assert gauge("nym_client_backlog_messages", "", None).samples == next(
        family.samples for family in figures(report) if family.name == "nym_client_backlog_messages"
    )


def test_cover_is_not_told_from_messages() -> None:
    def shown(real: int, cover: int) -> bytes:
        report = StatusReport(__version__, "address", packets_real=real, packets_cover=cover)
        return encode_metrics(figures(report))

    assert shown(10, 0) == shown(0, 10)


def test_a_client_serves_its_figures(tmp_path: Path, stack: ExitStack) -> None:
    run_program(tmp_path, "init", "--id", "alice", "--directory", "http://127.0.0.1:1")
    run = ("tcpsocket", "--id", "alice", "--port", "0")
    client = stack.enter_context(Program(tmp_path, *run, "--metrics", "127.0.0.1:0"))
    url = client.logged("figures for Prometheus are at (http://.*)$")[1]
    answer = requests.get(url, timeout=PATIENCE)
    assert 'nym_client_state{state="waiting_for_directory"} 1' in answer.text
    assert not re.search("127.0.0.1|alice", answer.text)
    code, _, err = client.end(15)
    assert code == 0
    assert "WARNING figures" not in err


def test_a_warning_says_that_others_can_read_the_figures(tmp_path: Path) -> None:
    run_program(tmp_path, "init", "--id", "alice", "--directory", "http://127.0.0.1:1")
    run_program(tmp_path, "config", "set", "--id", "alice", "logging.metrics", "0.0.0.0:0")
    with Program(tmp_path, "tcpsocket", "--id", "alice", "--port", "0") as client:
        client.logged("WARNING .*anyone who connects can see how many messages wait")


# Nodes that run by themselves.


@pytest.mark.parametrize(
    ("role", "options"),
    [
        ("directory", ()),
        ("mixnode", ("--layer", "1", "--directory", "http://127.0.0.1:1")),
        ("provider", ("--clients", "127.0.0.1:0", "--directory", "http://127.0.0.1:1")),
    ],
)
def test_a_node_serves_its_figures(tmp_path: Path, role: str, options: tuple[str, ...]) -> None:
    run = (role, "--id", "n", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", *options)
    with Program(tmp_path, *run) as node:
        url = node.logged("figures for Prometheus are at (http://.*)$")[1]
        text = requests.get(url, timeout=PATIENCE).text
        assert f'nym_node_info{{role="{role}",version="{__version__}"}} 1' in text
        node.line("^identity")
        figures = json.loads(run_program(tmp_path, "status", "--id", "n", "--json")[1])["figures"]
        assert figures["info"] == {"role": role, "version": __version__}
        shown = set(re.findall("^# TYPE nym_[a-z]+_(.*?)(?:_total)? ", text, re.MULTILINE))
        assert shown == set(figures)


# The option.


@pytest.mark.parametrize("place", ["", "9100", "127.0.0.1", "::1:9100", "127.0.0.1:99999"])
def test_a_wrong_place_is_refused(tmp_path: Path, place: str) -> None:
    run_program(tmp_path, "init", "--id", "alice")
    run = ("tcpsocket", "--id", "alice", "--port", "0", "--metrics", place)
    code, _, err = run_program(tmp_path, *run)
    assert (code, err) == (
        2,
        f"nym-client: --metrics {place}: it must be HOST:PORT, such as 127.0.0.1:9100 or "
        "[::1]:9100\n",
    )
