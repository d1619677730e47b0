"""A provider and its inboxes: when packets are answered, and who finds a place."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest
from gevent import monkey

from nym.config.nodes import InboxSettings, ProviderConfig, ProviderSettings
from nym.errors import OverloadError, StoreError
from nym.nodes import provider as provider_module
from nym.nodes.inboxes.engine import Work
from nym.nodes.inboxes.local import open_stored
from nym.nodes.inboxes.memory import MemoryInboxes
from nym.nodes.inboxes.sqlite import SqliteEngine
from nym.nodes.inboxes.stored import StoredInboxes
from nym.nodes.keys import Keyring, load_token_key
from nym.nodes.programs import ProviderProgram
from nym.nodes.provider import Provider
from nym.sphinx import Hop, create_packet
from nym.wire.addresses import NodeAddress, encode_address
from nym.wire.provider import ACKNOWLEDGED, REFUSED, Pull, Register
from tests.harness import PATIENCE, serving_http, wait_until

ALICE, BOB = (bytes([number]) * 32 for number in (1, 2))
ANYWHERE = NodeAddress("127.0.0.1", 0)
SETTINGS = InboxSettings(clients=8, messages=3)


class Served:
    """A provider that listens, with inboxes in a database."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.inboxes: StoredInboxes = stack.enter_context(closing(open_stored(folder, SETTINGS)))
        self.provider = Provider(
            Keyring(None), load_token_key(None), ANYWHERE, ANYWHERE, self.inboxes
        )
        self.provider.listen()
        stack.callback(self.provider.stop)

    def packets(self, *clients: bytes) -> bytes:
        """Packets for these clients, one after the other."""
        key = self.provider.keys.current.public_key
        hop = Hop(encode_address(self.provider.address), key, 0)
        return b"".join(create_packet(b"message", [hop], client) for client in clients)

    def connect(self) -> socket.socket:
        return socket.create_connection(self.provider.address, timeout=PATIENCE)

    def figures(self) -> dict[str, object]:
        return self.provider.counts.report()

    def ask(self, request: bytes, source: str = "127.0.0.1") -> bytes:
        """The answer to one request of a client with this IP address."""
        with socket.create_connection(
            self.provider.client_address, PATIENCE, source_address=(source, 0)
        ) as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(4096), b""))


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with ExitStack() as stack:
        yield Served(tmp_path, stack)


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(100), b""))


def test_foomp_means_that_it_is_on_the_disk_and_packets_are_read_meanwhile(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.inboxes.open(ALICE)
    # A lock of the system, never gevent's: the thread waits for it, and has no hub.
    gate = monkey.get_original("_thread", "allocate_lock")()
    transact = SqliteEngine.transact

    def slow(engine: SqliteEngine, work: Work, *, has_to_be: bool = False) -> None:
        transact(engine, work, has_to_be=has_to_be)
        with gate:
            pass

    monkeypatch.setattr(SqliteEngine, "transact", slow)
    gate.acquire()
    with served.connect() as connection:
        try:
            connection.sendall(served.packets(ALICE, ALICE, ALICE))
            wait_until(lambda: served.figures()["packets_received"] == 3)
            connection.settimeout(0.1)
            with pytest.raises(TimeoutError):
                connection.recv(1)
            assert served.figures()["packets_delivered"] == 0
        finally:
            gate.release()
        connection.settimeout(PATIENCE)
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection) == ACKNOWLEDGED * 3
    assert served.inboxes.count() == 3


def test_what_is_refused_ends_its_connection_behind_the_answers_before(served: Served) -> None:
    served.inboxes.open(ALICE)
    with served.connect() as connection:
        connection.sendall(served.packets(*[ALICE] * (SETTINGS.messages + 2)))
        assert read_all(connection) == ACKNOWLEDGED * SETTINGS.messages
    dropped = served.figures()["packets_dropped"]
    assert isinstance(dropped, dict)
    assert dropped["inbox_full"] >= 1
    assert served.inboxes.count() == SETTINGS.messages


def test_what_nobody_gets_is_answered_like_a_message(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    """Otherwise the node before it would know cover from messages."""
    served.inboxes.open(ALICE)
    with served.connect() as connection:
        connection.sendall(served.packets(ALICE, BOB, ALICE, BOB))
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection) == ACKNOWLEDGED * 4
    assert served.inboxes.count() == 2
    figures = served.figures()
    dropped = figures["packets_dropped"]
    assert isinstance(dropped, dict)
    assert (figures["packets_delivered"], figures["packets_for_nobody"]) == (2, 2)
    assert not any(dropped.values())
    assert caplog.text == ""


def test_a_flood_of_registrations_leaves_places_and_harms_no_client(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    token = served.ask(Register(ALICE).encode(), "127.0.0.9")
    answers = [served.ask(Register(bytes([number]) * 32).encode()) for number in range(10, 30)]
    assert [answer != REFUSED for answer in answers] == [True] * 4 + [False] * 16
    assert served.ask(Register(BOB).encode(), "127.0.0.8") != REFUSED
    assert served.ask(Register(bytes([10]) * 32).encode()) == answers[0]
    assert served.ask(Register(ALICE).encode()) == token
    served.inboxes.put(ALICE, b"for Alice")
    assert b"for Alice" in served.ask(Pull(ALICE, token).encode())
    assert caplog.text.count("one source brings more new clients") == 1
    served.inboxes.settings = replace(SETTINGS, clients=6)
    assert served.ask(Register(bytes(32)).encode(), "127.0.0.7") == REFUSED
    assert "there are 6 clients already" in caplog.text


def test_what_is_too_old_is_counted_and_directories_hear_of_clients_that_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(provider_module, "AGE_PERIOD", 0.01)
    monkeypatch.setattr("nym.nodes.node.PRESENCE_PERIOD", 3600.0)
    now = [0.0]
    inboxes = MemoryInboxes(SETTINGS, lambda: now[0])
    inboxes.open(ALICE)
    inboxes.put(ALICE, b"")
    provider = Provider(Keyring(None), load_token_key(None), ANYWHERE, ANYWHERE, inboxes)
    provider.listen()
    posts: list[int] = []

    def answer() -> bytes:
        posts.append(len(inboxes))
        return b"{}"

    with serving_http(answer) as url:
        provider.start(url)
        try:
            assert set(posts) == {1}
            now[0] = SETTINGS.client_age + 1
            wait_until(lambda: posts[-1] == 0)
        finally:
            provider.stop()
    assert provider.counts.report()["aged_out"] == {"messages": 1, "clients": 1}
    assert inboxes.clients() == []


def test_a_provider_that_runs_takes_over_new_limits(tmp_path: Path) -> None:
    config = ProviderConfig(ProviderSettings(listen="127.0.0.1:0", clients="127.0.0.1:0"))
    program = ProviderProgram(config, tmp_path)
    inboxes = program.node._inboxes
    inboxes.open(ALICE)
    program.reload(replace(config, inboxes=InboxSettings(clients=1)))
    with pytest.raises(OverloadError, match="1 clients already"):
        inboxes.open(BOB)
    program.stop()
    with pytest.raises(StoreError, match="closed"):
        inboxes.open(ALICE)
