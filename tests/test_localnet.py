"""The local network, as published clients and nodes would see it: directory, mixnodes, provider."""

import errno
import itertools
import json
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest
import requests

from nym.errors import ListenError, StoreError
from nym.localnet.network import Network
from nym.net.transport import exchange, send_packet
from nym.nodes import directory as directory_module
from nym.nodes import door as door_module
from nym.nodes import mixnode as mixnode_module
from nym.nodes import node as node_module
from nym.nodes import visits
from nym.nodes.directory import Directory
from nym.nodes.inboxes.local import open_inboxes
from nym.nodes.keys import Keyring, load_token_key
from nym.nodes.listed import LIFETIME
from nym.nodes.node import Node
from nym.nodes.provider import Provider
from nym.routes import NANOSECONDS
from nym.sphinx import Final, Forward, Hop, create_packet
from nym.wire.addresses import NodeAddress, encode_address
from nym.wire.clients import AddressList
from nym.wire.directory import parse_topology
from nym.wire.keys import decode_base58, encode_base58
from nym.wire.provider import ACKNOWLEDGED, DUMMY, Pull, Register, decode_messages
from tests.harness import (
    ANYWHERE,
    PATIENCE,
    SmallDisk,
    running,
    serving_http,
    wait_until,
    without_descriptors,
)

VECTORS = Path(__file__).parent / "vectors"
LONGEST = 1 << 20  # bytes that an answer may have in these tests
CLIENT = bytes(range(1, 33))


@pytest.fixture
def url() -> Iterator[str]:
    directory = Directory("127.0.0.1", 0)
    yield directory.start()
    directory.stop()


@pytest.fixture
def network() -> Iterator[Network]:
    network = Network()
    network.start()
    yield network
    network.stop()


MIXNODE = {"host": "1.2.3.4:1789", "pubKey": encode_base58(CLIENT), "layer": 1, "version": "0.4.0"}


def test_the_directory_lists_what_published_nodes_post(url: str) -> None:
    topology = json.loads((VECTORS / "topology_2020.json").read_text())
    for node in topology["mixNodes"]:
        answer = requests.post(f"{url}/api/presence/mixnodes", json=node, timeout=PATIENCE)
        assert (answer.status_code, answer.json()) == (201, {"ok": True})
    for node in topology["mixProviderNodes"]:
        answer = requests.post(f"{url}/api/presence/mixproviders", json=node, timeout=PATIENCE)
        assert answer.status_code == 201
    coconode = {"host": "1.2.3.4:4000", "pubKey": "k", "type": "x", "version": "0.4.0"}
    answer = requests.post(f"{url}/api/presence/coconodes", json=coconode, timeout=PATIENCE)
    assert answer.status_code == 201

    listed = requests.get(f"{url}/api/presence/topology", timeout=PATIENCE).json()
    now = time.time_ns()
    for kind in listed.values():
        for node in kind:
            assert abs(node["lastSeen"] - now) < 20 * NANOSECONDS
            node["lastSeen"] = 0
    for kind in topology.values():
        for node in kind:
            node["lastSeen"] = 0
    for provider in topology["mixProviderNodes"]:
        provider["registeredClients"].sort(key=lambda client: decode_base58(client["pubKey"]))
    assert listed == topology | {"cocoNodes": [coconode | {"lastSeen": 0}]}


def test_a_silent_node_drops_out(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert LIFETIME == 10
    requests.post(f"{url}/api/presence/mixnodes", json=MIXNODE, timeout=PATIENCE)
    monkeypatch.setattr("nym.nodes.listed.LIFETIME", 0.2)
    wait_until(
        lambda: (
            not requests.get(f"{url}/api/presence/topology", timeout=PATIENCE).json()["mixNodes"]
        )
    )


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("presence/mixnodes", b""),
        ("presence/mixnodes", b"{}"),
        ("presence/mixnodes", json.dumps(MIXNODE | {"layer": 0}).encode()),
        ("presence/mixproviders", json.dumps(MIXNODE).encode()),
        ("presence/coconodes", b"[]"),
        ("metrics/mixes", b'{"pubKey": "k", "received": "many", "sent": {}}'),
        ("metrics/mixes", b" " * (directory_module.LONGEST_METRIC + 1)),
        ("metrics/mixes", b'{"pubKey": "<b>k</b>", "received": 1, "sent": {}}'),
        ("metrics/mixes", b'{"pubKey": "k", "received": 1, "sent": {"<img src=x>": 1}}'),
        ("presence/mixnodes", b" " * (directory_module.LONGEST_RECORD + 1)),
        ("presence/mixnodes", json.dumps(MIXNODE | {"version": "<b>0.4.0</b>"}).encode()),
        ("presence/mixnodes", json.dumps(MIXNODE | {"host": "<b>mix</b>:1789"}).encode()),
        (
            "presence/coconodes",
            json.dumps(
                {"host": "1.2.3.4:1", "pubKey": "k", "type": "&lt;", "version": "0"}
            ).encode(),
        ),
    ],
)
def test_bad_posts_get_400_and_a_reason(url: str, path: str, body: bytes) -> None:
    answer = requests.post(f"{url}/api/{path}", data=body, timeout=PATIENCE)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_the_rest_of_the_api(url: str) -> None:
    assert requests.get(f"{url}/api/healthcheck", timeout=PATIENCE).json() == {"ok": True}
    assert requests.get(f"{url}/api/nothing", timeout=PATIENCE).status_code == 404
    assert requests.post(f"{url}/api/presence/topology", timeout=PATIENCE).status_code == 404
    metric = {"pubKey": "k", "received": 12, "sent": {"1.2.3.4:1789": 11}}
    assert (
        requests.post(f"{url}/api/metrics/mixes", json=metric, timeout=PATIENCE).status_code == 201
    )
    (listed,) = requests.get(f"{url}/api/metrics/mixes", timeout=PATIENCE).json()
    assert listed.pop("timestamp") > 0
    assert listed == metric


@pytest.fixture
def directory_with_little_patience(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(directory_module, "SILENCE", 0.2)
    directory = Directory("127.0.0.1", 0)
    yield directory.start()
    directory.stop()


def test_a_silent_connection_is_closed_and_not_complained_about(
    directory_with_little_patience: str, caplog: pytest.LogCaptureFixture
) -> None:
    url = directory_with_little_patience
    port = int(url.rpartition(":")[2])
    request = b"GET /api/healthcheck HTTP/1.1\r\nHost: x\r\n\r\n"
    for beginning in (b"", b"GET /api", request):
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            connection.sendall(beginning)
            while connection.recv(1000):
                pass
    assert requests.get(f"{url}/api/healthcheck", timeout=PATIENCE).ok
    assert not caplog.text


def test_a_taken_port_is_an_error_that_says_so(url: str) -> None:
    port = int(url.rpartition(":")[2])
    with pytest.raises(ListenError, match=f"127.0.0.1, port {port}.*--port"):
        Network(port=port).start()


def test_all_nodes_are_in_the_topology_at_once(network: Network) -> None:
    answer = requests.get(f"{network.url}/api/presence/topology", timeout=PATIENCE)
    records = parse_topology(answer.content)
    assert [node.layer for node in records.mixnodes] == [1, 2, 3]
    assert [node.host for node in records.mixnodes] == [str(n.address) for n in network.mixnodes]
    (provider,) = records.providers
    assert provider.mixnet_listener == str(network.providers[0].address)
    assert provider.client_listener == str(network.providers[0].client_address)


def packet_to_provider(network: Network, message: bytes, recipient: bytes = CLIENT) -> bytes:
    provider = network.providers[0]
    hop = Hop(encode_address(provider.address), provider.keys.current.public_key, 0)
    return create_packet(message, [hop], recipient)


def test_the_provider_converses_as_the_published_one(network: Network) -> None:
    cases = json.loads((VECTORS / "provider.json").read_text())
    at = network.providers[0].client_address
    token = exchange(at, bytes.fromhex(cases["register"]["request"]), LONGEST)
    assert len(token) == 32
    assert exchange(at, bytes.fromhex(cases["register_again"]["request"]), LONGEST) == token
    pull = Pull(CLIENT, token).encode()
    assert exchange(at, pull, LONGEST).hex() == cases["pull_empty"]["response"]

    for message in cases["pull_three"]["messages"][:3]:
        with socket.create_connection(network.providers[0].address) as connection:
            connection.sendall(packet_to_provider(network, bytes.fromhex(message)))
            assert connection.recv(100) == b"foomp"
    assert exchange(at, pull, LONGEST).hex() == cases["pull_three"]["response"]
    assert exchange(at, pull, LONGEST).hex() == cases["pull_empty"]["response"]

    for name in ("pull_bad_token", "unknown_prefix", "short_register", "empty", "wrong_address"):
        case = cases[name]
        assert exchange(at, bytes.fromhex(case["request"]), LONGEST).hex() == case["response"]


def test_a_pull_gives_five_messages_and_deletes_them(network: Network) -> None:
    at = network.providers[0].client_address
    token = exchange(at, Register(CLIENT).encode(), LONGEST)
    with socket.create_connection(network.providers[0].address) as connection:
        for i in range(7):
            connection.sendall(packet_to_provider(network, b"%d" % i))
            assert connection.recv(5) == b"foomp"
    pull = Pull(CLIENT, token).encode()
    assert decode_messages(exchange(at, pull, LONGEST)) == [b"0", b"1", b"2", b"3", b"4"]
    assert decode_messages(exchange(at, pull, LONGEST)) == [b"5", b"6", DUMMY, DUMMY, DUMMY]


def test_what_no_one_is_registered_for_is_answered_and_dropped(network: Network) -> None:
    at = network.providers[0].client_address
    with socket.create_connection(network.providers[0].address) as connection:
        connection.sendall(packet_to_provider(network, b"early"))
        assert connection.recv(5) == b"foomp"
    token = exchange(at, Register(CLIENT).encode(), LONGEST)
    assert decode_messages(exchange(at, Pull(CLIENT, token).encode(), LONGEST)) == [DUMMY] * 5


@pytest.mark.parametrize("garbage", [b"x", bytes(1371), bytes(1372), b"\xff" * 1372])
def test_malformed_packets_end_their_connection_alone(
    network: Network, garbage: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visits, "PACKET_TIME", 0.2)  # for the rest of a packet
    for node in (network.mixnodes[0], network.providers[0]):
        with socket.create_connection(node.address) as connection:
            connection.sendall(garbage)
            assert connection.recv(5) == b""
    exchange(network.providers[0].client_address, Register(CLIENT).encode(), LONGEST)
    with socket.create_connection(network.providers[0].address) as connection:
        connection.sendall(packet_to_provider(network, b"honest"))
        assert connection.recv(5) == b"foomp"


def packet_through(network: Network, delay: float, message: bytes = b"hello") -> bytes:
    hops = [
        Hop(encode_address(node.address), node.keys.current.public_key, int(delay * NANOSECONDS))
        for node in (network.mixnodes[0], network.providers[0])
    ]
    return create_packet(message, hops, CLIENT)


def test_a_mixnode_waits_the_delay_then_answers_and_others_do_not_wait(network: Network) -> None:
    exchange(network.providers[0].client_address, Register(CLIENT).encode(), LONGEST)
    mixnode = network.mixnodes[0]
    finished: list[tuple[str, float]] = []

    def send(name: str, delay: float, count: int) -> None:
        with socket.create_connection(mixnode.address) as connection:
            for _ in range(count):
                connection.sendall(packet_through(network, delay))
                assert connection.recv(5) == b"foomp"
        finished.append((name, time.monotonic() - began))

    began = time.monotonic()
    gevent.joinall(
        [gevent.spawn(send, "twice", 0.3, 2), gevent.spawn(send, "once", 0.1, 1)], raise_error=True
    )
    assert [name for name, _ in finished] == ["once", "twice"]
    assert finished[0][1] >= 0.1
    assert finished[1][1] >= 0.6  # packets on one connection are delayed one after the other


@pytest.mark.parametrize(
    ("route", "delay", "reason"),
    [
        (["mixnode"], 0.0, "its route ends at a mixnode"),
        (["mixnode", "provider"], 601.0, "it asks for a delay of more than 600 s"),
        (["provider", "mixnode"], 0.0, "its route goes on behind a provider"),
    ],
)
def test_a_packet_that_no_client_makes_is_dropped(
    network: Network,
    caplog: pytest.LogCaptureFixture,
    route: list[str],
    delay: float,
    reason: str,
) -> None:
    by_name: dict[str, Node] = {"mixnode": network.mixnodes[0], "provider": network.providers[0]}
    nodes = [by_name[name] for name in route]
    hops = [
        Hop(encode_address(node.address), node.keys.current.public_key, int(delay * NANOSECONDS))
        for node in nodes
    ]
    with socket.create_connection(nodes[0].address, timeout=PATIENCE) as connection:
        connection.sendall(create_packet(b"hello", hops, CLIENT))
        assert connection.recv(1) == b"", "the packet was acknowledged"
    assert f"{nodes[0].address} dropped a packet: {reason}" in caplog.text


def test_a_mixnode_reports_what_it_did(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    assert mixnode_module.METRICS_PERIOD == 3
    monkeypatch.setattr(mixnode_module, "METRICS_PERIOD", 0.05)
    exchange(network.providers[0].client_address, Register(CLIENT).encode(), LONGEST)
    send_packet(network.mixnodes[0].address, packet_through(network, 0.0))

    def reported() -> bool:
        metrics = requests.get(f"{network.url}/api/metrics/mixes", timeout=PATIENCE).json()
        return any(
            metric["pubKey"] == network.mixnodes[0].keys.current.address
            and metric["received"] == 1
            and metric["sent"] == {str(network.providers[0].address): 1}
            for metric in metrics
        )

    wait_until(reported, "a metric")


def test_a_new_client_is_in_the_directory_before_the_next_presence_is_due(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(node_module, "PRESENCE_PERIOD", 10 * PATIENCE)
    with running(Network()) as network:
        exchange(network.providers[0].client_address, Register(CLIENT).encode(), LONGEST)

        def listed() -> bool:
            answer = requests.get(f"{network.url}/api/presence/topology", timeout=PATIENCE)
            return parse_topology(answer.content).providers[0].clients == AddressList(CLIENT)

        wait_until(listed)


def test_a_published_client_finds_all_paths_alive() -> None:
    """The published client's health check sends two packets without delays along every path.

    Then it pulls, and expects all of them.
    """
    wide = Network(width=2)
    wide.start()
    try:
        provider = wide.providers[0]
        token = exchange(provider.client_address, Register(CLIENT).encode(), LONGEST)
        layers = [[n for n in wide.mixnodes if n.layer == layer] for layer in (1, 2, 3)]
        expected = set()
        for number, path in enumerate(itertools.product(*layers)):
            hops = [
                Hop(encode_address(node.address), node.keys.current.public_key, 0)
                for node in (*path, provider)
            ]
            for iteration in range(2):
                keys = b"".join(node.keys.current.public_key for node in path)
                message = bytes([number]) * 16 + bytes([iteration]) + keys
                expected.add(message)
                send_packet(path[0].address, create_packet(message, hops, CLIENT))
        received: set[bytes] = set()

        def all_are_back() -> bool:
            answer = exchange(provider.client_address, Pull(CLIENT, token).encode(), LONGEST)
            received.update(decode_messages(answer))
            return received - {DUMMY} == expected

        assert len(expected) == 16
        wait_until(all_are_back, "the return of all test packets")
    finally:
        wide.stop()


def test_a_folder_keeps_keys_clients_and_messages(tmp_path: Path) -> None:
    keys, token = [], b""
    for run in range(2):
        network = Network(folder=tmp_path / "net", width=2)
        network.start()
        try:
            nodes = [*network.mixnodes, *network.providers]
            keys.append([node.keys.current for node in nodes])
            at = network.providers[0].client_address
            if run == 0:
                token = exchange(at, Register(CLIENT).encode(), LONGEST)
                with socket.create_connection(network.providers[0].address) as connection:
                    connection.sendall(packet_to_provider(network, b"kept"))
                    assert connection.recv(5) == b"foomp"
                assert network.providers[0]._inboxes.count() == 1
            else:
                pulled = exchange(at, Pull(CLIENT, token).encode(), LONGEST)
                assert decode_messages(pulled)[0] == b"kept"
        finally:
            network.stop()
    assert keys[0] == keys[1]
    assert len({identity.address for identity in keys[0]}) == 7


def test_without_a_folder_a_provider_forgets(network: Network) -> None:
    token = exchange(network.providers[0].client_address, Register(CLIENT).encode(), LONGEST)
    other = Network()
    other.start()
    try:
        at = other.providers[0].client_address
        assert exchange(at, Pull(CLIENT, token).encode(), LONGEST) == b"bad foomp"
    finally:
        other.stop()


def test_a_trace_sees_every_hop() -> None:
    seen: list[tuple[NodeAddress, bytes, Forward | Final]] = []
    network = Network(layers=2, trace=lambda *hop: seen.append(hop))
    network.start()
    try:
        exchange(network.providers[0].client_address, Register(CLIENT).encode(), LONGEST)
        nodes = [*network.mixnodes, *network.providers]
        hops = [Hop(encode_address(n.address), n.keys.current.public_key, 0) for n in nodes]
        packet = create_packet(b"hello", hops, CLIENT)
        send_packet(nodes[0].address, packet)
        wait_until(lambda: len(seen) == 3)
    finally:
        network.stop()
    assert [node for node, _, _ in seen] == [node.address for node in nodes]
    assert seen[0][1] == packet
    assert isinstance(seen[2][2], Final)


@pytest.fixture
def directory() -> Iterator[str]:
    with serving_http(lambda: b"{}") as url:
        yield url


def put_packet(provider: Provider, message: bytes) -> bytes:
    """Send a packet with this message to the provider, and return the answer."""
    hop = Hop(encode_address(provider.address), provider.keys.current.public_key, 0)
    with socket.create_connection(provider.address, timeout=PATIENCE) as connection:
        connection.sendall(create_packet(message, [hop], CLIENT))
        return connection.recv(100)


def test_a_provider_whose_disk_is_full_goes_on_and_says_so_once(
    disk: SmallDisk, directory: str, caplog: pytest.LogCaptureFixture
) -> None:
    inboxes = open_inboxes(disk.folder)
    provider = Provider(Keyring(None), load_token_key(None), ANYWHERE, ANYWHERE, inboxes)

    def pull() -> list[bytes]:
        pulled = exchange(provider.client_address, Pull(CLIENT, token).encode(), LONGEST)
        return [message for message in decode_messages(pulled) if message != DUMMY]

    provider.listen()
    provider.start(directory)
    try:
        token = exchange(provider.client_address, Register(CLIENT).encode(), LONGEST)
        assert put_packet(provider, b"before") == ACKNOWLEDGED
        disk.fill()
        for _ in range(3):
            assert put_packet(provider, bytes(900)) == b""
        assert caplog.text.count("is full; messages are refused until it works") == 1
        assert caplog.text.count("is full; this is logged only once") == 1
        assert pull() == [b"before"]  # which is deleted with the room that is held for that
        disk.empty()
        assert put_packet(provider, b"after") == ACKNOWLEDGED
        assert pull() == [b"after"]
    finally:
        provider.stop()
        inboxes.close()


def test_whatever_is_raised_for_a_packet_ends_its_connection_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    errors = [MemoryError(), ValueError(), OSError(errno.EMFILE, ""), StoreError("full")]

    def fail(*_: object) -> None:
        if errors:
            raise errors.pop()

    with running(Network(trace=fail)) as network:
        provider = network.providers[0]
        exchange(provider.client_address, Register(CLIENT).encode(), LONGEST)
        while errors:
            assert put_packet(provider, b"lost") == b""
        assert put_packet(provider, b"kept") == ACKNOWLEDGED
    assert [record.message.partition(" ")[2] for record in caplog.records] == [
        "dropped a packet: full; this is logged only once",
        *["lost a packet"] * 3,
    ]


def test_a_directory_that_cannot_accept_waits_and_goes_on(
    url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as connection:
        connection.settimeout(PATIENCE)
        with without_descriptors():
            connection.connect(("127.0.0.1", int(url.rpartition(":")[2])))
            gevent.sleep(0.3)  # long enough for three attempts to accept the connection
        connection.sendall(b"GET /api/healthcheck HTTP/1.0\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    assert "Traceback" not in capfd.readouterr().err


def test_a_network_may_have_as_many_connections_as_the_system_lets_it() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 500), hard))
    try:
        with running(Network()):
            raised, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert raised == min(door_module.MOST_CONNECTIONS, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
