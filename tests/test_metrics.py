"""Figures for Prometheus: their text, and the server that gives it to whoever may have it."""

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import gevent
import pytest
import requests

from nym.errors import ListenError
from nym.net import metrics as metrics_module
from nym.net import web
from nym.net.metrics import MetricsServer
from nym.wire.metrics import (
    Family,
    as_object,
    counter,
    counters,
    encode_metrics,
    gauge,
    gauges,
    histogram,
    info,
)
from tests.harness import PATIENCE, read_all, wait_until

FAMILIES = [
    counter("nym_node_packets_total", "Packets.", 3),
    counters("nym_node_drops_total", "Drops.", "reason", {"replay": 2, 'odd\\\n"': 1}),
    gauge("nym_node_age_seconds", "Age.", 1.5),
    gauge("nym_node_unknown_seconds", "Not known.", None),
    gauges("nym_node_states", "States.", "state", {"running": 1, "waiting": 0}),
    histogram("nym_node_delay_seconds", "Delays.", (0.1, 2.0), [1, 0, 4], 9.25),
    info("nym_node_info", "What it is.", {"role": "mixnode", "version": "1"}),
]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def server(stack: ExitStack) -> str:
    server = MetricsServer("127.0.0.1", 0, lambda: FAMILIES)
    stack.callback(server.stop)
    return f"http://{server.start()}/metrics"


def connect(stack: ExitStack, url: str, source: str = "127.0.0.1") -> socket.socket:
    host, port = url.split("/")[2].split(":")
    connection = socket.create_connection((host, int(port)), PATIENCE, (source, 0))
    return stack.enter_context(connection)


def get(url: str, **more: Any) -> requests.Response:
    return requests.get(url, timeout=PATIENCE, **more)


# Text.


def test_the_text_is_that_of_the_format() -> None:
    assert encode_metrics(FAMILIES).decode().splitlines() == [
        "# HELP nym_node_packets_total Packets.",
        "# TYPE nym_node_packets_total counter",
        "nym_node_packets_total 3",
        "# HELP nym_node_drops_total Drops.",
        "# TYPE nym_node_drops_total counter",
        'nym_node_drops_total{reason="replay"} 2',
        r'nym_node_drops_total{reason="odd\\\n\""} 1',
        "# HELP nym_node_age_seconds Age.",
        "# TYPE nym_node_age_seconds gauge",
        "nym_node_age_seconds 1.5",
        "# HELP nym_node_unknown_seconds Not known.",
        "# TYPE nym_node_unknown_seconds gauge",
        "# HELP nym_node_states States.",
        "# TYPE nym_node_states gauge",
        'nym_node_states{state="running"} 1',
        'nym_node_states{state="waiting"} 0',
        "# HELP nym_node_delay_seconds Delays.",
        "# TYPE nym_node_delay_seconds histogram",
        'nym_node_delay_seconds_bucket{le="0.1"} 1',
        'nym_node_delay_seconds_bucket{le="2"} 1',
        'nym_node_delay_seconds_bucket{le="+Inf"} 5',
        "nym_node_delay_seconds_sum 9.25",
        "nym_node_delay_seconds_count 5",
        "# HELP nym_node_info What it is.",
        "# TYPE nym_node_info gauge",
        'nym_node_info{role="mixnode",version="1"} 1',
    ]


def test_large_numbers_lose_nothing() -> None:
    assert encode_metrics([counter("n_total", "N.", 2**60 + 1)]).endswith(b" 1152921504606846977\n")


def test_the_same_figures_as_an_object() -> None:
    assert as_object(FAMILIES) == {
        "packets": 3,
        "drops": {"replay": 2, 'odd\\\n"': 1},
        "age_seconds": 1.5,
        "unknown_seconds": None,
        "states": {"running": 1, "waiting": 0},
        "delay_seconds": {"count": 5, "sum": 9.25, "buckets": {"0.1": 1, "2": 1, "+Inf": 5}},
        "info": {"role": "mixnode", "version": "1"},
    }


# The server.


def test_it_answers_at_one_path(server: str) -> None:
    answer = get(server)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.content.startswith(encode_metrics(FAMILIES))
    head = requests.head(server, timeout=PATIENCE)
    assert (head.status_code, head.content) == (200, b"")
    assert get(server.removesuffix("/metrics")).status_code == 404
    assert get(f"{server}/more").status_code == 404
    assert requests.post(server, timeout=PATIENCE).status_code == 405


def test_it_tells_what_the_process_uses(server: str) -> None:
    text = get(server).text
    for name in ("resident_memory_bytes", "cpu_seconds_total", "open_fds", "start_time_seconds"):
        (value,) = re.findall(f"^process_{name} (.*)$", text, re.MULTILINE)
        assert float(value) > 0


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:9100", 200), ("localhost", 200), ("[::1]:1", 200), ("evil.example", 403)],
)
def test_pages_whose_name_points_here_cannot_read_it(server: str, host: str, status: int) -> None:
    assert get(server, headers={"Host": host}).status_code == status


def test_a_server_for_other_machines_has_any_name(stack: ExitStack) -> None:
    server = MetricsServer("0.0.0.0", 0, lambda: FAMILIES)
    stack.callback(server.stop)
    url = f"http://127.0.0.1:{server.start().port}/metrics"
    assert get(url, headers={"Host": "node.example:9100"}).status_code == 200


def test_a_taken_port_is_an_error_that_says_so(server: str) -> None:
    port = int(server.split("/")[2].split(":")[1])
    with pytest.raises(ListenError, match=f"127.0.0.1, port {port}"):
        MetricsServer("127.0.0.1", port, lambda: FAMILIES).start()


def test_a_source_has_so_many_connections_and_no_more(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_module, "MOST_PER_SOURCE", 2)
    server = MetricsServer("0.0.0.0", 0, lambda: FAMILIES)
    stack.callback(server.stop)
    url = f"http://127.0.0.1:{server.start().port}/metrics"
    silent = [connect(stack, url) for _ in range(2)]
    for _ in range(50):
        assert read_all(connect(stack, url)) == b""
    with pytest.raises(requests.ConnectionError):
        get(url)
    other = connect(stack, url, source="127.0.0.2")  # it has places of its own
    other.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
    assert read_all(other).startswith(b"HTTP/1.1 200 OK")
    silent[0].close()
    wait_until(lambda: answers(url))


def answers(url: str) -> bool:
    try:
        return get(url).ok
    except requests.ConnectionError:
        return False


def test_silent_connections_make_room(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_module, "SILENCE", 0.2)
    monkeypatch.setattr(metrics_module, "MOST_CONNECTIONS", 2)
    server = MetricsServer("127.0.0.1", 0, lambda: FAMILIES)
    stack.callback(server.stop)
    url = f"http://{server.start()}/metrics"
    for _ in range(6):
        connect(stack, url)
    assert get(url).ok


def test_a_peer_that_does_not_read_loses_its_connection(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(web, "REQUEST_TIME", 0.3)
    monkeypatch.setattr("nym.net.metrics.SILENCE", PATIENCE)  # so that it isn't the silence
    much = [Family(f"nym_x_{n}", "gauge", "x" * 1000, ()) for n in range(20_000)]
    server = MetricsServer("127.0.0.1", 0, lambda: much)
    stack.callback(server.stop)
    url = f"http://{server.start()}/metrics"
    slow = connect(stack, url)
    slow.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    begin = slow.recv(1)  # so that the connection isn't taken for one that has ended already
    wait_until(lambda: not server._server.sources.at("127.0.0.1").connections)
    whole = len(encode_metrics(much))
    assert len(begin + read_to_reset(slow)) < whole
    assert not caplog.text


def test_a_request_that_drips_loses_its_connection(
    server: str, stack: ExitStack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(web, "REQUEST_TIME", 0.3)
    slow = connect(stack, server)
    slow.sendall(b"GET /metrics HTTP/1.1\r\n")

    def drip() -> None:
        for _ in range(1000):
            slow.sendall(b"X: y\r\n")
            gevent.sleep(0.02)

    with pytest.raises(OSError):  # noqa: PT011 - reset, or a broken pipe
        drip()
    assert not caplog.text
    assert get(server).ok


def read_to_reset(connection: socket.socket) -> bytes:
    data = bytearray()
    try:
        while some := connection.recv(1 << 16):
            data += some
    except ConnectionError:
        pass
    return bytes(data)
