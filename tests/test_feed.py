"""The metrics socket of a directory, by the client side of the `websockets` library."""

import json
import socket
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
import requests
from websockets.client import ClientProtocol
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri

from nym.localnet.network import Network
from nym.net import web
from nym.nodes import directory as directory_module
from nym.nodes import feed
from nym.nodes.directory import Directory
from tests.harness import PATIENCE, running, wait_until

METRIC = {"pubKey": "k", "received": 3, "sent": {"192.0.2.1:1789": 2}}


class Listener:
    """One WebSocket at /ws."""

    def __init__(self, url: str, **headers: str) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self.connection = socket.create_connection((host, int(port)), timeout=PATIENCE)
        self.protocol = ClientProtocol(parse_uri(f"ws://{host}:{port}{feed.PATH}"), max_size=None)
        self.events: deque[Any] = deque()
        request = self.protocol.connect()
        for name, value in headers.items():
            request.headers[name] = value
        self.protocol.send_request(request)
        self.flush()
        self.response = self.next()
        assert isinstance(self.response, Response)

    def close(self) -> None:
        self.connection.close()

    def flush(self) -> None:
        self.connection.sendall(b"".join(self.protocol.data_to_send()))

    def next(self) -> Any:
        """The next event; None at the end. Pings are answered."""
        while not self.events:
            if not (data := self.connection.recv(1 << 16)):
                self.protocol.receive_eof()
                return None
            self.protocol.receive_data(data)
            self.flush()
            self.events += self.protocol.events_received()
        return self.events.popleft()

    def hear(self) -> Any:
        """The next metric, whatever pings come before it."""
        while (frame := self.next()).opcode is Opcode.PING:
            pass
        assert frame.opcode is Opcode.TEXT
        assert frame.fin
        return json.loads(frame.data)

    def await_close(self) -> int | None:
        """Wait for the end; returns its code."""
        while self.next() is not None:
            pass
        return self.protocol.close_code


@pytest.fixture
def directory() -> Iterator[Directory]:
    directory = Directory("127.0.0.1", 0)
    yield directory
    directory.stop()


@pytest.fixture
def url(directory: Directory) -> str:
    return directory.start()


@pytest.fixture
def listen(url: str) -> Iterator[Callable[[], Listener]]:
    opened: list[Listener] = []

    def new(**headers: str) -> Listener:
        opened.append(Listener(url, **headers))
        return opened[-1]

    yield new
    for listener in opened:
        listener.close()


def listening(directory: Directory) -> float:
    figure = directory.counts.report()["listeners"]
    assert isinstance(figure, int | float)
    return figure


def post(url: str, metric: dict[str, Any]) -> None:
    answer = requests.post(f"{url}/api/metrics/mixes", json=metric, timeout=PATIENCE)
    assert answer.status_code == 201, answer.text


def test_everybody_is_told_each_metric_as_it_is_listed(
    url: str, listen: Callable[..., Listener]
) -> None:
    # As the published dashboard does, which comes from another origin.
    listeners = [listen(), listen(Origin="https://dashboard.example")]
    assert [listener.response.status_code for listener in listeners] == [101, 101]
    for received in (1, 2):
        post(url, METRIC | {"received": received})
    listed = requests.get(f"{url}/api/metrics/mixes", timeout=PATIENCE).json()
    assert [metric["received"] for metric in listed] == [1, 2]
    for listener in listeners:
        assert [listener.hear(), listener.hear()] == listed
    assert set(listed[0]) == {"pubKey", "sent", "received", "timestamp"}


def test_a_mixnode_that_posts_is_heard() -> None:
    with running(Network()) as network, closing(Listener(network.url)) as listener:
        heard = {listener.hear()["pubKey"] for _ in range(3)}
        topology = requests.get(f"{network.url}/api/presence/topology", timeout=PATIENCE).json()
        assert heard <= {node["pubKey"] for node in topology["mixNodes"]}


def test_what_is_refused_is_not_told(url: str, listen: Callable[..., Listener]) -> None:
    listener = listen()
    refused = {"pubKey": "k", "received": "none", "sent": {}}
    answer = requests.post(f"{url}/api/metrics/mixes", json=refused, timeout=PATIENCE)
    assert answer.status_code == 400
    post(url, METRIC)
    assert listener.hear()["received"] == METRIC["received"]


def test_those_who_ask_without_a_websocket_are_told_so(url: str) -> None:
    get = requests.get(f"{url}/ws", timeout=PATIENCE)
    head = requests.head(f"{url}/ws", timeout=PATIENCE, headers={"Connection": "Upgrade"})
    for answer in (get, head):
        assert answer.status_code == 426
        assert answer.headers["Upgrade"] == "websocket"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "WebSocket" in get.json()["error"]
    assert requests.post(f"{url}/ws", timeout=PATIENCE).status_code == 404


def test_another_version_of_websockets_learns_which_one(url: str) -> None:
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "8"}
    headers["Sec-WebSocket-Key"] = "AAAAAAAAAAAAAAAAAAAAAA=="
    answer = requests.get(f"{url}/ws", timeout=PATIENCE, headers=headers)
    assert answer.status_code == 400
    assert answer.headers["Sec-WebSocket-Version"] == "13"


def test_a_listener_that_leaves_is_forgotten(
    directory: Directory, listen: Callable[..., Listener]
) -> None:
    polite, rude = listen(), listen()
    wait_until(lambda: listening(directory) == 2)
    polite.protocol.send_close(CloseCode.NORMAL_CLOSURE)
    polite.flush()
    assert polite.await_close() == CloseCode.NORMAL_CLOSURE
    rude.close()
    wait_until(lambda: listening(directory) == 0)


def test_what_listeners_say_means_nothing(url: str, listen: Callable[..., Listener]) -> None:
    talker, other = listen(), listen()
    talker.protocol.send_text(json.dumps(METRIC | {"received": 666}).encode())
    talker.flush()
    post(url, METRIC)
    for listener in (talker, other):
        assert listener.hear()["received"] == METRIC["received"]


def test_pings_are_answered_and_sent(
    monkeypatch: pytest.MonkeyPatch, listen: Callable[..., Listener]
) -> None:
    monkeypatch.setattr(feed, "PING_PERIOD", 0.05)
    listener = listen()
    listener.protocol.send_ping(b"hello")
    listener.flush()
    pongs: list[Frame] = []
    pings: list[Frame] = []
    while not (pongs and len(pings) > 2):
        frame = listener.next()
        (pongs if frame.opcode is Opcode.PONG else pings).append(frame)
    assert pongs[0].data == b"hello"
    assert {frame.opcode for frame in pings} == {Opcode.PING}


def test_a_connection_that_answers_no_ping_ends(
    monkeypatch: pytest.MonkeyPatch, directory: Directory, listen: Callable[..., Listener]
) -> None:
    monkeypatch.setattr(feed, "PING_PERIOD", 0.05)
    monkeypatch.setattr(directory_module, "SILENCE", 0.5)
    patient = Directory("127.0.0.1", 0)
    with closing(Listener(patient.start())) as dead:
        assert dead.connection.recv(1) == b"\x89"  # a ping
        wait_until(lambda: listening(patient) == 0)
        patient.stop()


def test_a_connection_that_answers_stays_beyond_the_time_of_a_request(
    monkeypatch: pytest.MonkeyPatch, listen: Callable[..., Listener]
) -> None:
    monkeypatch.setattr(feed, "PING_PERIOD", 0.05)
    monkeypatch.setattr(web, "REQUEST_TIME", 0.3)
    listener = listen()
    pings = [listener.next() for _ in range(12)]
    assert all(isinstance(frame, Frame) for frame in pings)


def test_a_long_message_ends_the_connection(listen: Callable[..., Listener]) -> None:
    listener = listen()
    listener.protocol.send_text(bytes(feed.LONGEST_SAID + 1))
    listener.flush()
    assert listener.await_close() == CloseCode.MESSAGE_TOO_BIG


def test_garbage_ends_the_connection(directory: Directory, listen: Callable[..., Listener]) -> None:
    listener = listen()
    listener.connection.sendall(b"\xff" * 100)
    assert listener.await_close() == CloseCode.PROTOCOL_ERROR
    wait_until(lambda: listening(directory) == 0)


def test_nobody_waits_for_one_that_does_not_read(
    directory: Directory,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    listen: Callable[..., Listener],
) -> None:
    monkeypatch.setattr(feed, "MOST_BEHIND", 1 << 20)
    slow, quick = listen(), listen()
    large = METRIC | {"sent": {f"192.0.2.1:{port}": 1 for port in range(1, 10_000)}}
    told = 0
    while listening(directory) == 2:
        post(url, large)
        told += 1
        assert quick.hear()["sent"] == large["sent"]
        assert told < 1000
    assert slow.connection.fileno() > 0
    post(url, METRIC)
    assert quick.hear()["received"] == METRIC["received"]


def test_there_is_a_limit_to_how_many_listen(
    directory: Directory, url: str, monkeypatch: pytest.MonkeyPatch, listen: Callable[..., Listener]
) -> None:
    monkeypatch.setattr(feed, "MOST_LISTENERS", 2)
    first = listen()
    listen()
    wait_until(lambda: listening(directory) == 2)
    assert listen().response.status_code == 503
    first.close()
    wait_until(lambda: listening(directory) == 1)
    assert listen().response.status_code == 101
    assert requests.get(f"{url}/api/healthcheck", timeout=PATIENCE).json() == {"ok": True}


def test_a_directory_that_stops_says_so() -> None:
    directory = Directory("127.0.0.1", 0)
    with closing(Listener(directory.start())) as listener:
        wait_until(lambda: listening(directory) == 1)
        directory.stop()
        assert listener.await_close() == CloseCode.GOING_AWAY
        assert listener.protocol.state is not State.OPEN
        assert listening(directory) == 0
