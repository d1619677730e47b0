"""A directory's dashboard in a browser: networks that run, and what a directory may never list."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import gevent
import pytest
import requests

from nym.localnet.network import Network
from nym.net.listening import listen
from nym.net.web import Answer, Environment, WebServer, answer_with
from nym.nodes.directory import DASHBOARD, Directory
from nym.wire.keys import encode_base58
from tests.browser.browser import PICTURES, Browser, Tab
from tests.harness import PATIENCE, Application, free_port, running, wait_until

GONE = "Failed to load resource", "WebSocket connection to"
NOW = time.time_ns()
RIGHT_TO_LEFT = "\u202e"
UNKNOWN = "\u2013"


def key(number: int) -> str:
    return encode_base58(number.to_bytes(32))


def mixnode(number: int, **more: Any) -> dict[str, Any]:
    host = f"192.0.2.{number % 250}:{1000 + number}"
    layer = 1 + number % 3
    return {
        "host": host,
        "pubKey": key(number),
        "layer": layer,
        "lastSeen": NOW,
        "version": "0.4.0",
        **more,
    }


def provider(number: int, **more: Any) -> dict[str, Any]:
    return {
        "mixnetListener": f"192.0.2.{number}:1",
        "clientListener": f"192.0.2.{number}:2",
        "pubKey": key(9000 + number),
        "clients": "3-00",
        "lastSeen": NOW,
        "version": "0.4.0",
        **more,
    }


def metric(number: int, received: int) -> dict[str, Any]:
    sent = {"192.0.2.1:1": received}
    return {"pubKey": key(number), "received": received, "sent": sent, "timestamp": time.time_ns()}


class Scripted:
    """A directory that answers whatever it is told, with the dashboard's own files."""

    def __init__(self) -> None:
        self.mixnodes = [mixnode(number) for number in range(3)]
        self.providers = [provider(1)]
        self.coconodes: list[dict[str, Any]] = []
        self.metrics: list[dict[str, Any]] = []

    def answer(self, request: Environment) -> Answer:
        path = request["PATH_INFO"]
        if path in DASHBOARD:
            return DASHBOARD[path].answer("", "")
        if path == "/api/presence/topology":
            return self._json(
                {
                    "mixNodes": self.mixnodes,
                    "mixProviderNodes": self.providers,
                    "cocoNodes": self.coconodes,
                }
            )
        if path == "/api/metrics/mixes":
            return self._json(self.metrics)
        return answer_with("404 Not Found", "text/plain", b"")

    def _json(self, value: object) -> Answer:
        return answer_with("200 OK", "application/json", json.dumps(value).encode())


@pytest.fixture
def scripted() -> Scripted:
    return Scripted()


@pytest.fixture
def show(browser: Browser, scripted: Scripted) -> Iterator[Callable[..., Tab]]:
    """Opens the dashboard of the scripted directory, which has no metrics socket."""
    server = WebServer(("127.0.0.1", 0), scripted.answer, 100, 100, 30.0)
    url = f"http://{listen(server)}/"

    def opened(**how: Any) -> Tab:
        tab = browser.tab(url, **how)
        tab.expect("WebSocket connection to")
        tab.wait_for("document.querySelectorAll('#mixnodes tbody tr, #mixnodes .quiet').length")
        return tab

    yield opened
    server.stop(timeout=0)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def rows(tab: Tab, place: str) -> list[list[str]]:
    """The texts of a table's cells."""
    script = """return [...document.querySelectorAll(`#${arguments[0]} tbody tr`)]
        .map((row) => [...row.cells].map((cell) => cell.textContent))"""
    found: list[list[str]] = tab.run(script, place)
    return found


def number(text: str) -> float:
    return float(text.removesuffix("/s").replace("\u202f", ""))


def test_a_network_fills_the_page_and_moves(browser: Browser, stack: ExitStack) -> None:
    network = stack.enter_context(running(Network(width=2, providers=2)))
    for _ in range(2):
        stack.enter_context(Application(network.url))
    tab = browser.tab(network.url)
    tab.wait_for_text("#state", "The network is whole: 3 layers of mixnodes, and 2 providers.")
    tab.wait_for_text("#client-count", "2")
    tab.wait_for_text("#live", "live")
    topology = requests.get(f"{network.url}/api/presence/topology", timeout=PATIENCE).json()
    shown = rows(tab, "mixnodes")
    listed = [
        [str(node["layer"]), node["host"], node["version"], node["pubKey"]]
        for node in topology["mixNodes"]
    ]
    assert sorted(row[:4] for row in shown) == sorted(listed)
    assert {row[3] for row in rows(tab, "providers")} == {
        node["pubKey"] for node in topology["mixProviderNodes"]
    }
    assert [row[0] for row in shown] == ["1", "1", "2", "2", "3", "3"]

    def received() -> float:
        return sum(number(row[6]) for row in rows(tab, "mixnodes"))

    wait_until(lambda: received() > 0, "packets")
    before = received()
    wait_until(lambda: received() > before, "more packets")
    tab.wait_for("document.querySelectorAll('#layers circle:not(.silent, .provider)').length === 6")
    assert tab.texts("#layers title") != []
    assert number(tab.texts("#received-rate")[0]) > 0
    tab.check_accessibility()
    if PICTURES:
        gevent.sleep(90)  # so that the plot shows something
        tab.resize(1280, 950)
    tab.picture("dashboard")


def test_a_node_that_stops_is_gone_and_told(browser: Browser, stack: ExitStack) -> None:
    network = stack.enter_context(running(Network()))
    tab = browser.tab(network.url)
    tab.wait_for_text("#state", "The network is whole")
    (node,) = [node for node in network.mixnodes if node.layer == 2]
    host = rows(tab, "mixnodes")[1][1]
    node.stop()
    tab.wait_for_text("#changes", f"mixnode {host} of layer 2 went")
    tab.wait_for_text("#state", "layer 2 has no mixnode, so no message can get through")
    assert [row[0] for row in rows(tab, "mixnodes")] == ["1", "3"]
    tab.wait_for_text("#layers .missing", "nobody")
    tab.check_accessibility()


def test_a_directory_may_go_and_come_back(browser: Browser) -> None:
    port = free_port()
    first = Directory("127.0.0.1", port)
    url = first.start()
    requests.post(f"{url}/api/presence/mixnodes", json=mixnode(1), timeout=PATIENCE)
    tab = browser.tab(url)
    tab.expect(*GONE)
    tab.wait_for_text("#mixnode-count", "1")
    first.stop()
    tab.wait_for_text("#state", "The directory doesn't answer.")
    assert rows(tab, "mixnodes")[0][3] == key(1)
    second = Directory("127.0.0.1", port)
    second.start()
    tab.wait_for_text("#state", "No node is listed.")
    requests.post(f"{url}/api/presence/mixnodes", json=mixnode(2), timeout=PATIENCE)
    tab.wait_for_text("#mixnodes", key(2))
    tab.wait_for_text("#live", "live")
    tab.wait_for_text("#changes", "of layer 2 went")
    second.stop()


def test_what_nodes_say_is_text(show: Callable[..., Tab], scripted: Scripted) -> None:
    markup = "<img src=x onerror=\"document.title='broken'\"><script>document.title='x'</script>"
    long = "nym" * 33_000
    scripted.mixnodes = [
        mixnode(1, host=markup, version=markup),
        mixnode(2, host=f"a{RIGHT_TO_LEFT}b\x1b[31m\u200bc\nd", version=long),
        mixnode(3, pubKey=long, host=long, layer=10**9),
    ]
    scripted.providers = [provider(1, mixnetListener=markup, version="\U0001f600" * 25_000)]
    scripted.coconodes = [{"host": markup, "pubKey": markup, "type": long, "version": "0.4.0"}]
    scripted.metrics = [metric(1, 3) | {"pubKey": markup}]
    tab = show(width=360)
    tab.wait_for_text("#coconodes", markup[:30])
    hosts = [row[1] for row in rows(tab, "mixnodes")]
    assert markup[:79] in hosts[0] + hosts[1] + hosts[2]
    assert any(host.startswith("a<U+202E>b<U+001B>[31m<U+200B>c d") for host in hosts)
    assert max(len(text) for text in tab.texts("td")) < 200
    assert not tab.all("main img, main script")
    assert tab.run("return document.title") == "Nym network"
    assert not tab.is_too_wide()
    tab.check_accessibility()


def test_what_changed_is_told(show: Callable[..., Tab], scripted: Scripted) -> None:
    tab = show()
    tab.wait_for_text("#no-changes", "Nothing since this page was opened.")
    where = scripted.mixnodes[0]["host"]
    scripted.mixnodes[0] |= {"pubKey": key(77), "version": "0.4.9"}
    scripted.mixnodes[1] |= {"host": "192.0.2.200:1"}
    scripted.mixnodes.append(mixnode(5, host=f"came{RIGHT_TO_LEFT}<b>:1"))
    tab.wait_for_text("#changes", f"mixnode {where} of layer 1 has a new key, {key(77)[:11]}…")
    told = tab.texts("#changes li span")
    assert f"mixnode {where} of layer 1 went from version 0.4.0 to 0.4.9" in told
    assert "mixnode came<U+202E><b>:1 of layer 3 came" in told
    assert any("192.0.2.200:1 of layer 2 moved there from 192.0.2.1:1001" in one for one in told)
    scripted.mixnodes = [mixnode(number) for number in range(100, 400)]
    tab.wait_for_text("#changes", "300 nodes came")


def test_figures_come_without_the_metrics_socket(
    show: Callable[..., Tab], scripted: Scripted
) -> None:
    tab = show()
    scripted.metrics = [metric(0, 30)]
    tab.wait_for_text("#received-rate", "10/s")
    tab.wait_for_text("#live", "the metrics socket isn't open")
    assert rows(tab, "mixnodes")[0][4:] == ["10/s", "10/s", "30", "30"]
    assert rows(tab, "mixnodes")[1][4:] == [UNKNOWN, UNKNOWN, "0", "0"]
    # The first one is listed for some seconds, and counts once.
    scripted.metrics.append(metric(1, 6))
    tab.wait_for_text("#received-rate", "12/s")
    assert [row[6] for row in rows(tab, "mixnodes")] == ["30", "6", "0"]


def test_thousands_of_nodes_are_searched_and_sorted(
    show: Callable[..., Tab], scripted: Scripted
) -> None:
    scripted.mixnodes = [mixnode(number) for number in range(5000)]
    tab = show(width=1280, dark=True)
    tab.wait_for_text("#mixnodes .tools", "100 of 5\u202f000 shown")
    assert len(tab.all("#layers circle")) == 3 * 8 + 1
    tab.click("#mixnodes .more")
    tab.wait_for_text("#mixnodes .tools", "200 of 5\u202f000 shown")
    tab.type("#mixnodes input", mixnode(4711)["host"])
    tab.wait_for("document.querySelectorAll('#mixnodes tbody tr').length === 1")
    assert rows(tab, "mixnodes")[0][3] == key(4711)
    tab.run("document.querySelector('#mixnodes input').value = ''")
    tab.click("#mixnodes th:nth-child(2) button")
    tab.click("#mixnodes th:nth-child(2) button")
    tab.wait_for("document.querySelector('#mixnodes th[aria-sort=descending] button') !== null")
    tab.wait_for_text("#mixnodes tbody tr:first-child", "192.0.2.249:5999")
    # What each second takes must leave the page usable.
    took = tab.run(
        "const began = performance.now(); document.querySelector('#mixnodes input')"
        ".dispatchEvent(new Event('input')); return performance.now() - began"
    )
    assert took < 1000
    tab.check_accessibility()
    tab.resize(360)
    wait_until(lambda: not tab.is_too_wide(), "a narrow page")


def test_a_network_without_layers_or_providers_is_said_plainly(
    show: Callable[..., Tab], scripted: Scripted
) -> None:
    tab = show()
    tab.wait_for_text("#state", "The network is whole")
    scripted.providers = []
    tab.wait_for_text("#state", "without a provider, nobody can receive messages")
    scripted.mixnodes = []
    tab.wait_for_text("#state", "No node is listed.")
    tab.wait_for_text("#mixnodes", "None.")


def test_it_works_by_keyboard_alone(show: Callable[..., Tab], scripted: Scripted) -> None:
    scripted.metrics = [metric(2, 9), metric(1, 30)]
    tab = show()
    tab.wait_for_text("#mixnodes", "10/s")
    tab.run("document.querySelector('#mixnodes th:nth-child(5) button').focus()")
    tab.type("#mixnodes th:nth-child(5) button", "\ue007")  # Enter
    tab.wait_for_text("#mixnodes tbody tr:first-child", "10/s")
    assert tab.run("return document.activeElement.textContent") == "Received/s"
