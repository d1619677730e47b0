"""Everything goes through the proxy, or directly, or the start is refused: over real sockets.

Nodes and directories have public addresses here, which the proxy takes for places on this machine.
"""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from typing import Any

import gevent
import pytest
from gevent.pywsgi import WSGIServer

from nym.client.judging import Judging
from nym.client.kept_lists import KeptLists
from nym.client.packets import Draft
from nym.client.sender import Outcome, Sender
from nym.config import ClientSettings
from nym.errors import (
    ConfigError,
    DescriptorsError,
    OwnFaultError,
    ProxyError,
    RemoteFormatError,
    UnreachableError,
)
from nym.health import Health
from nym.net import socks
from nym.net.bare import BareSocket
from nym.net.directory import fetch_topology
from nym.net.http import http_get
from nym.net.listening import listen
from nym.net.localhost import Resolver
from nym.net.outward import outward
from nym.net.transport import arriving, connect_to_any, exchange, send_packet
from nym.reach import Reach
from nym.sphinx import Hop, Request
from nym.topology import Mix
from nym.wire.addresses import NodeAddress
from nym.wire.directory import Records, encode_topology
from tests.harness import (
    OTHER,
    OWN,
    PATIENCE,
    free_port,
    onlookers,
    run_in_own_network,
    run_program,
    serving,
    serving_http,
    wait_until,
    without_descriptors,
)
from tests.simulation import ROUTE
from tests.socks_server import SocksServer, answering

NODE = NodeAddress("198.18.0.7", 1789)
NODE6 = NodeAddress("2001:db8::7", 1789)
URL = "http://directory.example:8080"
SECRET = "s3cret"


@pytest.fixture(autouse=True)
def unnamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment names no proxy."""
    for name in os.environ:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def settle(proxy: str = "", directory: str = URL, **settings: bool) -> None:
    outward.settle(ClientSettings(proxy=proxy, directory=directory, **settings))  # type: ignore[arg-type]


@contextmanager
def through(serve: Callable[[socket.socket], None], user: str = "") -> Iterator[None]:
    """Inside, everything goes through a proxy that serves connections like this."""
    with serving(serve) as place:
        settle(f"socks5://{user}{place}")
        yield


def asked(node: NodeAddress, request: bytes) -> bytes:
    """The answer to a request, on a connection as sealed lines use it."""
    with closing(connect_to_any(node, PATIENCE)) as connection:
        assert connection.send(request) == len(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(arriving(connection, node, 100, time.monotonic() + PATIENCE))


def test_no_answer_is_lost_in_a_proxy_that_ends_a_connection_with_its_writing_half() -> None:
    proxy = SocksServer()
    with (
        through(proxy.serve),
        pytest.raises(UnreachableError, match=r"is not asked without a sealed line") as refusal,
    ):
        exchange(NODE, b"request", 100)
    assert not isinstance(refusal.value, OwnFaultError), "another provider may offer a line"
    assert proxy.asked == []


def echo(connection: socket.socket) -> None:
    request = b"".join(iter(lambda: connection.recv(4096), b""))
    connection.sendall(request[::-1])


@pytest.mark.parametrize("login", [None, ("me", SECRET)])
@pytest.mark.parametrize("node", [NODE, NODE6])
def test_packets_and_questions_reach_nodes_through_the_proxy(
    node: NodeAddress, login: tuple[str, str] | None
) -> None:
    with serving(echo) as real:
        proxy = SocksServer({node: real}, login)
        with through(proxy.serve, f"me:{SECRET}@" if login else ""):
            send_packet(node, b"packet")
            assert asked(node, b"request") == b"tseuqer"
    assert proxy.asked == [node, node]


def test_a_directorys_name_is_looked_up_by_the_proxy() -> None:
    with serving_http(lambda: b"answer") as real:
        host, _, port = real.removeprefix("http://").partition(":")
        proxy = SocksServer({("directory.example", 8080): (host, int(port))})
        with through(proxy.serve):
            answer = http_get(f"{URL}/")
    assert (answer.body, answer.peer) == (b"answer", None)
    assert proxy.asked == [("directory.example", 8080)]


def test_tls_is_spoken_with_the_directory_and_not_with_the_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tls = Path(__file__).parent / "tls"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls / "authority.pem"))

    def answer(environ: object, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"answer"]

    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls / "directory.pem", tls / "directory.key")
    server = WSGIServer(("127.0.0.1", 0), answer, log=None, ssl_context=context)
    proxy = SocksServer({("directory.test", 443): listen(server)})
    with through(proxy.serve):
        assert http_get("https://directory.test/").body == b"answer"
    server.stop(timeout=0)
    assert proxy.asked == [("directory.test", 443)]


def test_a_directory_behind_a_proxy_is_not_taken_for_one_on_this_machine() -> None:
    """The other end of the connection is the proxy, on a loopback address."""
    with serving_http(lambda: encode_topology(Records((), ()))) as real:
        host, _, port = real.removeprefix("http://").partition(":")
        proxy = SocksServer({("directory.example", 8080): (host, int(port))})
        with through(proxy.serve):
            assert fetch_topology(URL).reach is Reach.PUBLIC
        assert fetch_topology(real).reach is Reach.LOOPBACK


def test_what_is_on_this_machine_is_reached_directly() -> None:
    proxy = SocksServer()
    with through(proxy.serve), serving(echo) as here, serving_http(lambda: b"answer") as url:
        assert exchange(here, b"request", 100) == b"tseuqer"
        assert http_get(url).body == b"answer"
    assert proxy.asked == []


def test_the_answer_of_a_node_begins_behind_that_of_the_proxy() -> None:
    """A node that speaks first must not lose the bytes that come together with the proxy's."""

    def serve(client: socket.socket) -> None:
        client.recv(100)
        client.sendall(b"\5\0")
        client.recv(100)
        client.sendall(b"\5\0\0\1" + bytes(6) + b"the node's")
        client.recv(100)

    with through(serve):
        assert asked(NODE, b"request") == b"the node's"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (2, "the proxy's rules don't allow connections there"),
        (3, "its network is unreachable"),
        (4, "its host is unreachable"),
        (5, "connection refused"),
        (6, "it did not answer in time"),
        (8, "the proxy doesn't connect to addresses of this kind"),
    ],
)
def test_what_the_proxy_says_about_a_node_is_the_nodes(code: int, reason: str) -> None:
    with (
        through(SocksServer(replies={NODE: code}).serve),
        pytest.raises(UnreachableError, match=rf"^198\.18\.0\.7:1789 .*: {reason}$") as refusal,
    ):
        send_packet(NODE, b"packet")
    assert not isinstance(refusal.value, OwnFaultError)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (1, "reports a failure of its own, and didn't connect to 198.18.0.7:1789"),
        (7, "doesn't make connections for others"),
        (9, "answers with the unknown code 9"),
    ],
)
def test_what_the_proxy_says_about_itself_is_no_nodes_fault(code: int, reason: str) -> None:
    with (
        through(SocksServer(replies={NODE: code}).serve),
        pytest.raises(ProxyError, match=rf"^the proxy socks5://127\.0\.0\.1:\d+ {reason}"),
    ):
        send_packet(NODE, b"packet")


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([b""], "can't be reached: it closed the connection"),
        ([b"\5"], "can't be reached: it closed the connection"),
        ([b"HTTP/1.1 400 Bad Request\r\n"], "can't be read: this is no SOCKS 5"),
        ([b"\4\0"], "can't be read: this is no SOCKS 5"),
        ([b"\5\1"], "chose a method that wasn't offered"),
        ([b"\5\xff"], "wants a user name and a password, as in socks5://USER:PASSWORD@HOST:PORT"),
        ([b"\5\2"], "wants a user name and a password"),
        ([b"\5\0", b"\4\0\0\1\0"], "can't be read: this is no answer to a request"),
        ([b"\5\0", b"\5\0\0\2\0"], "can't be read: there is no address of the kind 2"),
    ],
)
def test_a_broken_proxy_is_no_nodes_fault(answers: list[bytes], reason: str) -> None:
    with through(answering(*answers)), pytest.raises(ProxyError, match=reason):
        send_packet(NODE, b"packet")


@pytest.mark.parametrize(
    ("serve", "reason"),
    [
        (SocksServer(login=("me", "other")).serve, "refuses the user name or the password"),
        (answering(b"\5\xff"), "wants another kind of login"),
        (answering(b"\5\2", b"\2\0"), "can't be read: this is no answer to a password"),
    ],
)
def test_a_password_that_does_not_do_is_said_and_not_shown(
    serve: Callable[[socket.socket], None], reason: str
) -> None:
    with through(serve, f"me:{SECRET}@"), pytest.raises(ProxyError, match=reason) as refusal:
        send_packet(NODE, b"packet")
    assert SECRET not in str(refusal.value)


def test_a_connection_that_ends_once_the_proxy_has_its_request_is_as_without_a_proxy() -> None:
    with through(answering(b"\5\0", b"")), pytest.raises(UnreachableError) as refusal:
        send_packet(NODE, b"packet")
    assert not isinstance(refusal.value, OwnFaultError)


def test_nothing_goes_past_a_proxy_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    reached: list[object] = []

    def note(kind: type, method: str) -> None:
        connect = getattr(kind, method)

        def noting(connection: object, *arguments: object) -> None:
            reached.append(arguments[-1])
            connect(connection, *arguments)

        monkeypatch.setattr(kind, method, noting)

    note(socket.socket, "connect")
    note(BareSocket, "connect_within")
    port = free_port()
    settle(f"socks5://127.0.0.1:{port}")
    for reach in (
        lambda: send_packet(NODE, b"packet"),
        lambda: asked(NODE, b"request"),
        lambda: http_get(URL),
        lambda: http_get("https://directory.example/"),
    ):
        with pytest.raises(ProxyError, match=f"{port} can't be reached: .*refused"):
            reach()
    assert reached == [("127.0.0.1", port)] * 4


@pytest.mark.parametrize(
    ("serve", "is_blamed"),
    [(answering(b"\5\xff"), False), (SocksServer(replies={NODE: 5}).serve, True)],
)
def test_a_mixnode_is_not_blamed_for_the_proxy(
    serve: Callable[[socket.socket], None], *, is_blamed: bool
) -> None:
    health = Health(20.0)
    sender, outcomes = Sender(health, onlookers()), list[Outcome]()
    request = Request(b"", [Hop(bytes(32), OWN, 0)], OTHER)
    with through(serve):
        sender.send(
            0.0,
            lambda: Draft(request, (Mix(NODE, b"a" * 32), *ROUTE[1:])),
            outcomes.append,
            "fragment",
        )
        wait_until(lambda: outcomes)
        sender.stop()
    assert outcomes == [Outcome.REFUSED]
    assert (health.refused_since is not None) == is_blamed


def test_a_silent_proxy_is_no_nodes_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socks, "PATIENCE", 0.2)
    with (
        through(lambda client: gevent.sleep(60)),
        pytest.raises(ProxyError, match=r"did not answer within 0\.2 s"),
    ):
        send_packet(NODE, b"packet")


def test_a_lack_of_descriptors_is_not_blamed_on_the_proxy() -> None:
    settle("socks5://127.0.0.1:1")
    with without_descriptors(), pytest.raises(DescriptorsError):
        send_packet(NODE, b"packet")


def test_each_address_of_a_named_proxy_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[str] = []

    class Noting(Resolver):
        def getaddrinfo(self, host: Any, port: Any, *arguments: Any, **named: Any) -> Any:
            looked_up.append(host)
            return super().getaddrinfo(host, port, *arguments, **named)

    monkeypatch.setattr(gevent.get_hub(), "resolver", Noting())
    with serving(echo) as real:
        proxy = SocksServer({NODE: real})
        with serving(proxy.serve, "::1") as place:  # nothing listens on 127.0.0.1, its first one
            settle(f"socks5://localhost:{place.port}")
            send_packet(NODE, b"packet")
            send_packet(NODE, b"packet")
    assert proxy.asked == [NODE, NODE]
    assert looked_up.count("localhost") == 1, "its name is looked up rarely"


def test_a_name_that_is_too_long_for_a_proxy_is_the_names_fault() -> None:
    settle("socks5://127.0.0.1:1")
    name = ".".join(["a" * 60] * 5)
    with pytest.raises(RemoteFormatError, match="1 to 255 bytes"):
        http_get(f"http://{name}/")


# What a client does about the environment's proxies.

SOCKS, HTTP = "socks5h://127.0.0.1:9050", f"http://me:{SECRET}@proxy.example:3128"


@pytest.mark.parametrize(
    ("environment", "directory", "expected"),
    [
        ({}, URL, None),
        ({"ALL_PROXY": SOCKS}, URL, "socks5://127.0.0.1:9050"),
        ({"all_proxy": "socks5://tor"}, URL, "socks5://tor:1080"),
        ({"ALL_PROXY": SOCKS}, "", "socks5://127.0.0.1:9050"),
        ({"ALL_PROXY": SOCKS, "NO_PROXY": "localhost,127.0.0.0/8"}, URL, "socks5://127.0.0.1:9050"),
        ({"ALL_PROXY": SOCKS, "NO_PROXY": "*"}, URL, None),
        ({"HTTP_PROXY": HTTP}, "http://127.0.0.1:8080", None),
        ({"HTTP_PROXY": HTTP}, "https://directory.example", None),
        ({"HTTP_PROXY": HTTP, "NO_PROXY": "directory.example"}, URL, None),
    ],
)
def test_a_proxy_of_the_environment_is_for_everything_or_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    directory: str,
    expected: str | None,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settle(directory=directory)
    assert str(outward.proxy) == (f"the proxy {expected}" if expected else "None")
    assert not outward.follows_environment


@pytest.mark.parametrize(
    ("environment", "directory", "reason"),
    [
        ({"http_proxy": HTTP}, URL, f"^http_proxy names a proxy that only requests to {URL} "),
        ({"HTTPS_PROXY": SOCKS}, "https://d.example", "^HTTPS_PROXY names a proxy that only"),
        ({"ALL_PROXY": HTTP}, URL, "^ALL_PROXY names a proxy that only"),
        ({"ALL_PROXY": SOCKS, "HTTP_PROXY": HTTP}, URL, "^HTTP_PROXY names a proxy that only"),
        ({"HTTP_PROXY": HTTP}, f"https://d.example, {URL}", f"only requests to {URL} would use"),
        (
            {"ALL_PROXY": SOCKS, "NO_PROXY": ".example"},
            URL,
            f"^the proxy that ALL_PROXY names isn't for {URL}",
        ),
        ({"ALL_PROXY": "socks4://127.0.0.1"}, "", "^ALL_PROXY: a proxy is named by a URL such as"),
        ({"ALL_PROXY": f"socks5://me:{SECRET}@h:0"}, URL, "^ALL_PROXY: a proxy is named by a URL"),
    ],
)
def test_a_proxy_that_only_some_would_use_is_refused(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], directory: str, reason: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=reason) as refusal:
        settle(directory=directory)
    assert SECRET not in str(refusal.value)
    settle("none", directory)
    assert outward.proxy is None
    settle("socks5://127.0.0.1:1", directory)
    assert str(outward.proxy) == "the proxy socks5://127.0.0.1:1"


def test_none_means_no_proxy_whatever_the_environment_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    settle("none")
    # The proxy would be asked for this name; without one, the name has no address.
    with pytest.raises(UnreachableError, match="invalid/ can't be reached") as refusal:
        http_get("http://no-such-host.invalid/")
    assert not isinstance(refusal.value, OwnFaultError)


def test_no_name_is_looked_up_past_a_proxy() -> None:
    with pytest.raises(ConfigError, match="resolve_names is true, but with the proxy"):
        settle("socks5://127.0.0.1:9050", resolve_names=True)
    judging = Judging(KeptLists(), resolve_names=False)
    settle("none")
    assert judging._is_vouched(Reach.LOOPBACK), "the user's own directory may list names"
    settle("socks5://127.0.0.1:9050")
    assert not judging._is_vouched(Reach.LOOPBACK)


@pytest.mark.parametrize(
    ("command", "code"), [("tcpsocket", 5), ("websocket", 5), ("check", 5), ("network view", 5)]
)
def test_each_command_that_connects_refuses_to_use_a_proxy_by_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, code: int
) -> None:
    assert run_program(tmp_path, "init", "--id", "alice", "--directory", URL)[0] == 0
    monkeypatch.setenv("HTTP_PROXY", HTTP)
    ended, out, err = run_program(tmp_path, *command.split(), "--id", "alice")
    assert ended == code
    assert "HTTP_PROXY names a proxy that only requests to" in out + err
    assert SECRET not in out + err


def test_init_writes_the_proxy_and_refuses_others(tmp_path: Path) -> None:
    code, _, err = run_program(
        tmp_path, "init", "--id", "alice", "--proxy", f"http://me:{SECRET}@h:1"
    )
    assert (code, SECRET in err) == (2, False)
    assert "--proxy http://h:1: a proxy is named by a URL such as socks5://127.0.0.1:9050" in err
    assert run_program(tmp_path, "init", "--id", "alice", "--proxy", SOCKS)[0] == 0
    get = ("config", "get", "--id", "alice", "client.proxy")
    assert run_program(tmp_path, *get)[1] == f"{SOCKS}\n"
    wrong = ("config", "set", "--id", "alice", "client.proxy", f"socks4://me:{SECRET}@h:1")
    code, _, err = run_program(tmp_path, *wrong)
    assert (code, SECRET in err) == (5, False)
    settings = tmp_path / "nym/clients/alice/config.toml"
    settings.write_text(settings.read_text().replace(SOCKS, f"socks4://me:{SECRET}@h:1"))
    code, _, err = run_program(tmp_path, "tcpsocket", "--id", "alice")
    assert (code, SECRET in err) == (5, False)
    assert "socks4://h:1" in err


@pytest.mark.no_cover
@pytest.mark.skipif(os.geteuid() != 0, reason="makes namespaces")
def test_nothing_but_connections_to_the_proxy_is_on_the_line_of_a_client() -> None:
    measured, _ = run_in_own_network("tests.behind_proxy")
    proxied, direct = measured["proxied"], measured["direct"]
    assert proxied["seen"] == [f"6 {measured['proxy']}"], "TCP to the proxy, and no name server"
    for client in (proxied, direct):
        assert client["ok"][-3:] == ["client", "provider", "loop"]
        assert client["mixnodes"] == 6
        assert client["got"] == "from bob"
    assert (proxied["received"], direct["received"]) == ("from proxied", "from direct")
    assert measured["asked"] == ["5.5.5.5", "directory.test"]
    said = f"everything goes through the proxy socks5://{measured['proxy']}"
    assert proxied["settings"].endswith(said)
    assert "proxy" not in direct["settings"]
    assert "s3cret" not in str(measured)
    away = measured["away"]
    assert away["seen"] == proxied["seen"], "nothing goes past a proxy that is away"
    assert f"the proxy socks5://{measured['proxy']} can't be reached" in away["reason"]
    assert (away["avoided"], away["received"]) == ([], "later")
    # The watcher sees what goes past a proxy: the directory, mixnodes and the provider. The first
    # client's connections to the proxy may have ended only now.
    past = set(direct["seen"]) - set(proxied["seen"])
    assert len(past) >= 3
    assert f"6 {measured['directory']}" in past
