"""Lists of providers' clients over real sockets: by digest and as in 0.4, with 100,000 of them."""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import gevent
import pytest
import requests
from gevent.pywsgi import WSGIServer

from nym.client.kept_lists import FOLDER, KeptLists
from nym.errors import RemoteError
from nym.judge import Judgement, Rules, judge
from nym.localnet.network import Network
from nym.net.directory import fetch_topology
from nym.net.listening import listen
from nym.nodes import lists as lists_module
from nym.nodes.directory import Directory
from nym.nodes.listing import MOST_WHOLE, Listing
from nym.nodes.lists import ClientLists
from nym.nodes.posting import Desk
from nym.reach import Reach
from nym.signing import Stamps, generate_signer
from nym.wire.addresses import parse_numeric
from nym.wire.clients import EMPTY, AddressList, changes_between
from nym.wire.directory import (
    BY_DIGEST,
    LISTS_PATH,
    PROVIDERS_PATH,
    SINCE_HEADER,
    TOPOLOGY_PATH,
    Lists,
    Provider,
    decode_provider,
    encode_presence,
)
from tests.harness import PATIENCE, Application, running, wait_until
from tests.hub import nobody_is_held_up

log = logging.getLogger(__name__)

MANY = 100_000
KEY = bytes(range(3, 35))


def addresses(count: int) -> list[bytes]:
    """New addresses. They are no keys, which lists don't mind."""
    return [os.urandom(32) for _ in range(count)]


def record(clients: AddressList) -> Provider:
    return Provider("127.0.0.1:1", "127.0.0.1:2", KEY, clients, "0.4.0")


class Board:
    """A directory, and what went over its wire."""

    def __init__(self, stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("nym.nodes.listed.LIFETIME", PATIENCE)
        monkeypatch.setattr("nym.net.http.TIMEOUT", PATIENCE)  # a busy machine takes its time
        self.directory = Directory("127.0.0.1", 0)
        self.url = self.directory.start()
        stack.callback(lambda: self.directory.stop())
        self.traffic: list[tuple[str, str, int]] = []  # method, path, bytes of a list
        respond = self.directory._server._respond

        def noting(environ: Any) -> Any:
            answer: Any = respond(environ)
            sent = int(environ.get("CONTENT_LENGTH") or 0) or len(answer.body)
            self.traffic.append((environ["REQUEST_METHOD"], environ["PATH_INFO"], sent))
            return answer

        self.directory._server._respond = noting

    def lists(self) -> list[tuple[str, int]]:
        """The lists that were sent since the last call: who sent them, and how many bytes."""
        found = [(how, size) for how, path, size in self.traffic if path.startswith(LISTS_PATH)]
        self.traffic.clear()
        return found

    def listed(self) -> AddressList:
        (provider,) = fetch_topology(self.url, has_lists=True).records.providers
        return provider.clients


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    with ExitStack() as stack:
        yield Board(stack, monkeypatch)


class Posting:
    """What a provider does, with these clients."""

    def __init__(self, url: str, clients: list[bytes]) -> None:
        self.clients = clients
        self.said: list[str] = []
        self.desk = Desk(url, generate_signer(), Stamps())
        self.listing = Listing(record, lambda: list(self.clients), self.said.append)

    def post(self) -> None:
        self.listing.post(self.desk)


def judged(url: str) -> Judgement:
    """What a client makes of a directory's list, before it has the lists of clients."""
    records = fetch_topology(url).records
    places = {
        host: address
        for node in records.providers
        for host in (node.mixnet_listener, node.client_listener)
        if (address := parse_numeric(host))
    }
    return judge(records, places, Rules(Reach.LOOPBACK, is_vouched=True), {})


def completed(kept: KeptLists, url: str) -> AddressList:
    (node,) = kept.complete(judged(url), url).nodes.values()
    assert isinstance(node, Provider)
    return node.clients


def test_a_list_goes_over_the_wire_once_and_then_its_changes(board: Board, tmp_path: Path) -> None:
    posting = Posting(board.url, addresses(1000))
    whole, change = 40 + 32 * 1000, 40 + 32
    posting.post()
    assert board.lists() == [("POST", whole)]
    kept = KeptLists(tmp_path)
    assert completed(kept, board.url) == AddressList.of(posting.clients)
    assert board.lists() == [("GET", whole)]
    posting.post()
    completed(kept, board.url)
    assert board.lists() == []
    posting.clients += addresses(1)
    posting.post()
    assert completed(kept, board.url) == AddressList.of(posting.clients)
    assert board.lists() == [("POST", change), ("GET", change)]
    del posting.clients[0]
    posting.post()
    again = KeptLists(tmp_path)
    assert completed(again, board.url) == AddressList.of(posting.clients)
    assert board.lists() == [("POST", change), ("GET", change)], "after a client's restart"


def test_a_directory_that_was_restarted_asks_for_the_whole_list(board: Board) -> None:
    posting = Posting(board.url, addresses(10))
    posting.post()
    posting.clients += addresses(1)
    board.directory._listed._lists = board.directory._list_service._lists = ClientLists()
    posting.post()
    assert board.listed() == AddressList.of(posting.clients)


def test_a_provider_is_listed_when_its_first_list_is_there(board: Board) -> None:
    clients = AddressList.of(addresses(3))
    body = encode_presence(record(clients), Lists.BY_DIGEST)
    answer = requests.post(board.url + PROVIDERS_PATH, data=body, timeout=PATIENCE)
    assert (answer.status_code, answer.headers[SINCE_HEADER]) == (201, str(EMPTY.digest))
    assert not fetch_topology(board.url).records.providers
    url = f"{board.url}{LISTS_PATH}/{clients.digest}"
    assert requests.post(url, data=clients.whole, timeout=PATIENCE).status_code == 201
    other = AddressList.of(addresses(3))
    unasked = f"{board.url}{LISTS_PATH}/{other.digest}"
    assert requests.post(unasked, data=other.whole, timeout=PATIENCE).status_code == 400
    requests.post(board.url + PROVIDERS_PATH, data=body, timeout=PATIENCE)
    assert board.listed() == clients
    # Until the next one is there, it keeps this one.
    more = AddressList.of([*clients, *addresses(1)])
    body = encode_presence(record(more), Lists.BY_DIGEST)
    answer = requests.post(board.url + PROVIDERS_PATH, data=body, timeout=PATIENCE)
    assert answer.headers[SINCE_HEADER] == str(clients.digest)
    assert board.listed() == clients
    url = f"{board.url}{LISTS_PATH}/{more.digest}"
    for wrong in (
        b"",
        clients.whole,
        changes_between(more, clients).encode(),
        more.whole + bytes(32 * 10),
        changes_between(clients, more).encode()[:-1],
    ):
        assert requests.post(url, data=wrong, timeout=PATIENCE).status_code == 400
    change = changes_between(clients, more).encode()
    assert requests.post(url, data=change, timeout=PATIENCE).status_code == 201


def test_providers_with_the_same_clients_can_be_asked_for_their_list_at_the_same_time(
    board: Board,
) -> None:
    """As those of a new network are, once `network check` has registered at each of them."""
    clients = AddressList.of(addresses(10))
    desks = [Desk(board.url, generate_signer(), Stamps()) for _ in range(2)]
    nodes = [
        Provider(f"127.0.0.1:{number}1", f"127.0.0.1:{number}2", bytes([number]) * 32, clients, "")
        for number in (1, 2)
    ]
    for desk, node in zip(desks, nodes, strict=True):
        body = encode_presence(node, Lists.BY_DIGEST)
        asked = desk.post("presence", PROVIDERS_PATH, lambda: body)  # noqa: B023 - called at once
        assert asked[SINCE_HEADER] == str(EMPTY.digest)
    for desk in desks:
        desk.post_list(clients.digest, changes_between(EMPTY, clients).encode())


def test_published_programs_get_and_post_whole_lists(board: Board) -> None:
    clients = AddressList.of(addresses(2))
    body = encode_presence(record(clients))
    assert requests.post(board.url + PROVIDERS_PATH, data=body, timeout=PATIENCE).ok
    (listed,) = requests.get(board.url + TOPOLOGY_PATH, timeout=PATIENCE).json()["mixProviderNodes"]
    assert len(listed["registeredClients"]) == 2
    assert "clients" not in listed
    query = f"{board.url}{TOPOLOGY_PATH}?{BY_DIGEST}"
    (listed,) = requests.get(query, timeout=PATIENCE).json()["mixProviderNodes"]
    assert listed["clients"] == str(clients.digest)
    assert "registeredClients" not in listed
    assert completed(KeptLists(), board.url) == clients


class Published:
    """A directory of 0.4: it takes posts, and announces nothing."""

    def __init__(self, stack: ExitStack) -> None:
        self.posts: list[bytes] = []

        def respond(environ: Any, start: Any) -> list[bytes]:
            if environ["REQUEST_METHOD"] == "POST":
                assert environ["PATH_INFO"] == PROVIDERS_PATH
                self.posts.append(environ["wsgi.input"].read())
            start("200 OK", [])
            return [b'{"ok": true}']

        server = WSGIServer(("127.0.0.1", 0), respond, log=None)
        self.url = f"http://{listen(server)}"
        stack.callback(server.stop)


def test_a_published_directory_gets_whole_lists_or_as_much_as_fits() -> None:
    with ExitStack() as stack:
        published = Published(stack)
        posting = Posting(published.url, addresses(3))
        posting.post()
        assert decode_provider(published.posts[-1]).clients == AddressList.of(posting.clients)
        assert not posting.said
        posting.clients = [number.to_bytes(32, "big") for number in range(MOST_WHOLE + 5)]
        posting.post()
        assert decode_provider(published.posts[-1]).clients == AddressList.of(posting.clients[5:])
        assert len(published.posts[-1]) <= 4 << 20
        assert len(posting.said) == 1


def test_a_directory_that_has_forgotten_what_it_announced_gets_whole_lists_again(
    board: Board,
) -> None:
    """Another program is at its URL now: the first post tells, and the second is whole."""
    with ExitStack() as stack:
        published = Published(stack)
        posting = Posting(board.url, addresses(3))
        posting.post()
        posting.desk.directory = published.url
        posting.post()
        posting.post()
        assert decode_provider(published.posts[-1]).clients == AddressList.of(posting.clients)


# A client, whose directory or disk may do anything.


def serving_list(stack: ExitStack, body: bytes) -> str:
    def respond(environ: Any, start: Any) -> list[bytes]:
        start("200 OK", [])
        return [body]

    server = WSGIServer(("127.0.0.1", 0), respond, log=None)
    stack.callback(server.stop)
    return f"http://{listen(server)}"


@pytest.mark.parametrize("kind", ["nothing", "another", "long", "noise"])
def test_a_list_that_is_not_what_was_announced_is_not_used(
    board: Board, kind: str, tmp_path: Path
) -> None:
    posting = Posting(board.url, addresses(3))
    posting.post()
    judgement = judged(board.url)
    body = {
        "nothing": b"",
        "another": AddressList.of(addresses(3)).whole,
        "long": bytes(1 << 20),
        "noise": os.urandom(100),
    }[kind]
    with ExitStack() as stack:
        kept = KeptLists(tmp_path)
        with pytest.raises(RemoteError):
            kept.complete(judgement, serving_list(stack, body))
    assert completed(kept, board.url) == AddressList.of(posting.clients)


def test_a_provider_with_another_key_keeps_its_list(board: Board, tmp_path: Path) -> None:
    posting = Posting(board.url, addresses(1000))
    posting.post()
    completed(KeptLists(tmp_path), board.url)
    renewed = bytes(range(4, 36))
    posting.listing._record = lambda clients: record(clients)._replace(public_key=renewed)
    posting.clients += addresses(1)
    posting.post()
    board.lists()
    kept = KeptLists(tmp_path)
    kept.complete(judged(board.url)._replace(nodes={}), None)
    before = judged(board.url)
    (node,) = before.nodes.values()
    old = before._replace(nodes={place: node._replace(public_key=KEY) for place in before.nodes})
    kept.complete(old, None)  # what the client remembers of the network
    assert completed(kept, board.url) == AddressList.of(posting.clients)
    assert board.lists() == [("GET", 40 + 32)]
    assert [path.name for path in (tmp_path / FOLDER).iterdir()] == [renewed.hex()]


def test_a_file_that_breaks_off_is_as_good_as_its_beginning(board: Board, tmp_path: Path) -> None:
    posting = Posting(board.url, addresses(1000))
    posting.post()
    kept = KeptLists(tmp_path)
    completed(kept, board.url)
    for _ in range(2):
        posting.clients += addresses(1)
        posting.post()
        completed(kept, board.url)
    (path,) = (tmp_path / FOLDER).iterdir()
    whole = path.read_bytes()
    for left, size in ((len(whole) - 1, 40 + 32), (len(whole), None), (100, 40 + 32 * 1002)):
        path.write_bytes(whole[:left])
        board.lists()
        assert completed(KeptLists(tmp_path), board.url) == AddressList.of(posting.clients)
        assert board.lists() == ([("GET", size)] if size else [])
        assert completed(KeptLists(tmp_path), board.url) == AddressList.of(posting.clients)
        assert board.lists() == []


def test_a_disk_that_fails_costs_nothing_but_time(
    board: Board, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FOLDER).write_text("in the way")
    posting = Posting(board.url, addresses(3))
    posting.post()
    assert completed(KeptLists(tmp_path), board.url) == AddressList.of(posting.clients)
    assert caplog.text.count("lists of clients") == 1


def test_a_directory_keeps_so_many_addresses_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists_module, "MOST_ADDRESSES", 5)
    lists = ClientLists()
    one, other = AddressList.of(addresses(3)), AddressList.of(addresses(3))
    lists.hold(one, 0.0)
    with pytest.raises(RemoteError, match="more than 5"):
        lists.hold(other, 1.0)
    lists.hold(other, lists_module.GRACE + 1)
    assert (lists.find(one.digest), lists.find(other.digest)) == (None, other)


def test_changes_over_several_lists_are_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists_module, "MOST_CHANGES", 3)
    lists, some = ClientLists(), addresses(4)
    versions = [AddressList.of(some[:2]), AddressList.of(some[1:3]), AddressList.of(some[2:])]
    for before, after in pairwise(versions):
        lists.take(after, changes_between(before, after), 0.0)
    first, _, last = versions
    assert lists.changes(first.digest, last.digest) == changes_between(first, last)
    assert lists.changes(last.digest, first.digest) is None
    lists.take(first, changes_between(last, first), 0.0)
    assert lists.changes(first.digest, last.digest) == changes_between(first, last)
    other = AddressList.of(some[:1])
    lists.take(other, changes_between(first, other), 0.0)
    assert lists.changes(versions[1].digest, other.digest) == changes_between(versions[1], other)


@pytest.mark.no_cover
def test_100_000_clients_hold_up_nobody(board: Board, tmp_path: Path) -> None:
    """Neither in the provider, nor the directory, nor the client; it logs how long each takes."""
    posting = Posting(board.url, addresses(MANY))
    kept = KeptLists(tmp_path)
    took = {}

    def step(name: str, do: Any) -> None:
        began = time.perf_counter()
        gevent.spawn(do).get()
        took[name] = round(1000 * (time.perf_counter() - began))

    with nobody_is_held_up():
        step("first post", posting.post)
        step("first fetch", lambda: completed(kept, board.url))
        step("post of the same", posting.post)
        step("fetch of the same", lambda: completed(kept, board.url))
        posting.clients += addresses(1)
        step("post of a change", posting.post)
        step("fetch of a change", lambda: completed(kept, board.url))
        step("a start", lambda: completed(KeptLists(tmp_path), board.url))
        step("fetch as in 0.4", board.listed)
    log.info("milliseconds: %s; bytes: %s", took, board.lists())
    assert took["fetch of the same"] < took["first fetch"]


@pytest.mark.no_cover
def test_a_client_of_a_provider_with_100_000_works() -> None:
    with running(Network()) as network:
        inboxes = network.providers[0]._inboxes
        for address in addresses(MANY):
            inboxes.open(address)
        network.providers[0].announce()
        with Application(network.url) as alice, Application(network.url) as bob:
            for client in (alice, bob):
                wait_until(client.client._session.registered.is_set)
            with alice.lines() as lines:
                for client in (alice, bob):
                    wait_until(partial(is_known, alice, client.address))
                lines.send(bob.address, b"hello", reliable=True)
                assert len(lines.ask(type="getClients")["clients"]) == MANY + 2
                # Others come, and lists change.
                for address in addresses(3):
                    inboxes.open(address)
                    network.providers[0].changed.set()
                    wait_until(partial(is_known, alice, address))
                assert bob.receive(1) == [b"hello"]


def is_known(client: Application, address: bytes) -> bool:
    topology = client.client._refresher.topology
    return topology is not None and any(address in node.clients for node in topology.providers)
