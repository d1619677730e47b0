"""What `network check` prints: the table, what is wrong, JSON, and news while it watches."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, get_args

import gevent
import pytest

from nym.cli.network_check import MOST_PROBLEMS, MOST_ROWS, News, check_network, lines
from nym.errors import UsageError
from nym.localnet.network import Network
from nym.network.check import NetworkCheck
from nym.network.check.report import CheckReport, DirectoryReport, Kind, NodeReport, Problem
from nym.wire.directory import encode_topology
from tests.harness import free_port, running, serving_http, wait_until

KEY = "EkA4Dhmj325XUjpwRvJCu8McmUuGJZncWBbQGVSD7gye"
LATE = 60.0  # seconds after which a loop is lost: the machine may be busy
DIRECTORY = DirectoryReport("http://192.0.2.6:8080", None)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nym.cli.network_check.NetworkCheck", partial(NetworkCheck, patience=LATE))


def options(directory: str, *given: str, key: str | None = None) -> dict[str, Any]:
    return {
        "--directory": directory,
        "--directory-key": key,
        "PLAN": None,
        "--json": "--json" in given,
        "--watch": "--watch" in given,
    }


def mixnode(number: int, **fields: Any) -> NodeReport:
    node = NodeReport("mixnode", 1, KEY, f"192.0.2.{number}:1789", "0.4.0", None, None, True)
    return node._replace(loops_sent=20, **fields)


def report(*nodes: NodeReport, problems: tuple[Problem, ...] = (), **fields: Any) -> CheckReport:
    return CheckReport(1.0, 2.0, [DIRECTORY], list(problems), nodes=nodes, **fields)


pytestmark = pytest.mark.usefixtures("never_slow")

LOSES = Problem("loses_packets", "mixnode 192.0.2.7:1789 in layer 1", "loses all", "do something")


def test_a_network_that_is_well(capfd: pytest.CaptureFixture[str]) -> None:
    with running(Network(width=2, providers=2)) as network:
        assert check_network(options(network.url)) == 0
        shown = capfd.readouterr().out
        assert shown.startswith(f"directory  {network.url}, not verified; view ")
        assert "network    layers of 2, 2, 2 mixnodes, 2 providers\n" in shown
        assert "loops      40 sent, 0 lost; " in shown
        for node in network.mixnodes:
            key = node.keys.current.address[:8]
            assert f"layer {node.layer}   {node.address}  {key}" in shown
        assert shown.endswith(" ms\nall is well\n")


def test_the_json_of_a_network(capfd: pytest.CaptureFixture[str]) -> None:
    with running(Network()) as network:
        assert check_network(options(network.url, "--json")) == 0
        found = json.loads(capfd.readouterr().out)
        provider = network.providers[0]
    assert found.pop("took") > 0
    assert found.pop("began") > 1e9
    assert found.pop("latency_ms") >= 0
    (directory,), nodes = found.pop("directories"), found.pop("nodes")
    assert found == {
        "ok": True,
        "problems": [],
        "whole": True,
        "layers": [1, 1, 1],
        "providers": 1,
        "left_out": [],
        "loops_sent": 20,
        "loops_lost": 0,
    }
    assert directory.pop("digest")
    assert abs(directory.pop("clock_off")) < LATE
    assert directory == {"url": network.url, "trouble": None, "verified": None}
    assert [node["role"] for node in nodes] == ["mixnode"] * 3 + ["provider"]
    assert nodes[-1].pop("latency_ms") >= 0
    assert nodes[-1].pop("key_age") >= 0
    version = f"0.4.0+id.{nodes[-1].pop('identity')}.line.1.since."
    assert nodes[-1].pop("version").startswith(version)
    assert nodes[-1] == {
        "role": "provider",
        "layer": None,
        "key": provider.keys.current.address,
        "address": str(provider.address),
        "reached": True,
        "client_address": str(provider.client_address),
        "clients_reached": True,
        "sealed_line": True,
        "registered": True,
        "trouble": None,
        "loops_sent": 20,
        "loops_lost": 0,
    }


@pytest.mark.parametrize("form", ["--json", "--text"])
def test_a_directory_that_is_away(capfd: pytest.CaptureFixture[str], form: str) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    assert check_network(options(url, form)) == 4
    shown = capfd.readouterr().out
    if form == "--json":
        found = json.loads(shown)
        assert (found["ok"], found["nodes"]) == (False, [])
        (problem,) = found["problems"]
        assert problem["kind"] == "directory_unusable"
    else:
        assert f"directory  {url}: can't be used\n" in shown
        assert f"wrong  directory {url}: {url}/api/presence/topology" in shown
    assert "Connection refused" in shown


def test_a_directory_that_signs_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with running(Network()) as network:
        assert check_network(options(network.url, key=KEY)) == 4
    shown = capfd.readouterr().out
    assert "doesn't sign its list of nodes, so the list isn't used\n" in shown
    assert "client.directory_key" not in shown, "no client takes part"


def test_something_is_wrong(capfd: pytest.CaptureFixture[str]) -> None:
    with running(Network(width=2)) as network:
        network.mixnodes[0]._door.stop()
        assert check_network(options(network.url)) == 1
        *_, found, advice = capfd.readouterr().out.splitlines()
        assert found.startswith(f"wrong  mixnode {network.mixnodes[0].address} in layer 1: can't")
        assert advice.startswith("       does it run?")


def test_the_age_of_a_key_is_shown() -> None:
    aged = mixnode(7)._replace(key_age=11_100.0)
    _, _, _, head, silent, told, _ = lines(report(mixnode(6), aged))
    assert head.split()[2:5] == ["key", "age", "version"]
    assert told.split()[3:8] == [KEY[:8], "3", "h", "5", "min"]
    assert silent.split()[3:5] == [KEY[:8], "0.4.0"]


@pytest.mark.parametrize("directory", ["", "ftp://192.0.2.7", "http://192.0.2.7 http://"])
def test_a_wrong_url(directory: str) -> None:
    with pytest.raises(UsageError, match="--directory"):
        check_network(options(directory))


def test_a_wrong_key() -> None:
    with pytest.raises(UsageError, match="--directory-key 0: "):
        check_network(options("http://192.0.2.7", key="0"))


def test_of_many_nodes_those_are_shown_that_need_a_look() -> None:
    nodes = [mixnode(number) for number in range(200)]
    nodes[7] = mixnode(7, loops_lost=3)
    problems = tuple(LOSES._replace(about=str(number)) for number in range(MOST_PROBLEMS + 5))
    shown = list(lines(report(*nodes, problems=problems)))
    assert [line.split()[2] for line in shown if line.startswith("layer")] == ["192.0.2.7:1789"]
    assert "and 199 more nodes, which --json lists" in shown
    assert sum(line.startswith("wrong  ") for line in shown) == MOST_PROBLEMS
    assert shown[-1] == "and 5 more things are wrong, which --json lists"
    few = list(lines(report(*nodes[:MOST_ROWS])))
    assert sum(line.startswith("layer") for line in few) == MOST_ROWS


def documented(heading: str) -> set[str]:
    """The words in the first column of a table in docs/monitoring.md."""
    document = (Path(__file__).parent.parent / "docs" / "monitoring.md").read_text()
    table = document.partition(f"\n| {heading} | ")[2].partition("\n\n")[0]
    firsts = re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)
    return {word for first in firsts for word in re.findall(r"`(\w+)`", first)}


def test_the_document_has_each_field_and_each_kind() -> None:
    assert documented("field") == {"ok", *CheckReport._fields}
    assert documented("field of a node") == set(NodeReport._fields)
    assert documented("`kind`") == set(get_args(Kind))


# News while it watches.


def test_no_news_is_no_line() -> None:
    before = report(mixnode(7), problems=(LOSES,))
    again = LOSES._replace(found="loses nearly all")
    assert list(News(before).lines(report(mixnode(7, loops_lost=19), problems=(again,)))) == []


def test_news_of_problems() -> None:
    news = News(report(mixnode(7)))
    assert list(news.lines(report(mixnode(7), problems=(LOSES,)))) == [
        "wrong  mixnode 192.0.2.7:1789 in layer 1: loses all",
        "       do something",
    ]
    assert list(news.lines(report(mixnode(7)))) == [
        "over   mixnode 192.0.2.7:1789 in layer 1: loses all",
        "all is well",
    ]


def test_news_of_nodes() -> None:
    news = News(report(mixnode(7), mixnode(8)))
    assert list(news.lines(report(mixnode(7, key="another"), mixnode(9)))) == [
        "new    mixnode 192.0.2.9:1789 in layer 1",
        "gone   mixnode 192.0.2.8:1789 in layer 1",
        "key    mixnode 192.0.2.7:1789 in layer 1 has another key: another",
    ]


def test_nodes_are_not_gone_because_the_directory_is_away() -> None:
    news = News(report(mixnode(7)))
    away = CheckReport(1.0, 2.0, [DIRECTORY._replace(trouble="away")], [LOSES])
    assert [line.split()[0] for line in news.lines(away)] == ["wrong", "do"]
    assert [line.split()[0] for line in news.lines(report(mixnode(7), mixnode(8)))] == [
        *("new", "over", "all"),
    ]


@contextmanager
def watching(directory: str, *given: str) -> Iterator[None]:
    """Watch inside the block."""
    watch = gevent.spawn(check_network, options(directory, "--watch", *given))
    try:
        yield
        assert not watch.dead
    finally:
        watch.kill()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_a_watch_notices_a_change(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nym.cli.network_check.PERIOD", 0.1)
    network = stack.enter_context(running(Network()))
    whole = network._directory.records()
    lacking = whole._replace(mixnodes=whole.mixnodes[1:])
    listed = [whole]
    url = stack.enter_context(serving_http(lambda: encode_topology(listed[0])))
    shown: list[str] = []

    def is_shown(text: str) -> bool:
        shown.extend(capfd.readouterr().out.splitlines())
        return any(text in line for line in shown)

    stack.enter_context(watching(url))
    wait_until(lambda: is_shown("all is well"))
    shown.clear()
    listed[0] = lacking
    wait_until(lambda: is_shown("start what is missing"))
    assert [line.split()[2] for line in shown] == ["gone", "wrong", "start"]
    shown.clear()
    listed[0] = whole
    wait_until(lambda: is_shown("all is well"))
    assert [line.split()[2] for line in shown] == ["new", "over", "all"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  all is well", shown[-1])


def test_a_watch_prints_an_object_for_each_check(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nym.cli.network_check.PERIOD", 0.1)
    network = stack.enter_context(running(Network()))
    printed: list[str] = []

    def are_printed() -> bool:
        printed.extend(capfd.readouterr().out.splitlines())
        return len(printed) >= 3

    stack.enter_context(watching(network.url, "--json"))
    wait_until(are_printed)
    found = [json.loads(line) for line in printed]
    assert all(one["ok"] for one in found)
    assert len(network.providers[0]._inboxes) == 1, "it is the same client each time"
