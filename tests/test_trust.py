"""Directories that clients verify, and several of them: over real sockets, and through a client."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import requests
from gevent.pywsgi import WSGIServer

from nym.client.judging import Judging, first_sight
from nym.client.kept_lists import KeptLists
from nym.client.refresher import Refresher
from nym.client.remembered import RememberedNetwork
from nym.config import ClientSettings, Config
from nym.errors import RemoteError, UnreachableError, UnverifiedError
from nym.localnet.network import Network
from nym.net.directories import Directories
from nym.net.directory import Listing, fetch_topology
from nym.net.http import Answer
from nym.net.listening import listen
from nym.net.trust import AHEAD, Trust
from nym.nodes import rendered
from nym.nodes.directory import Directory
from nym.nodes.rendered import EXPIRY
from nym.reach import Reach
from nym.signing import Signer, generate_signer
from nym.store.journal import Journal
from nym.store.state import State
from nym.topology import Topology
from nym.wire.directory import TOPOLOGY_PATH, MixNode, encode_presence
from nym.wire.signed import HEADER, Claim
from tests.harness import PATIENCE, Application, free_port, is_well, running, wait_until

BODY = (Path(__file__).parent / "vectors" / "topology_2020.json").read_bytes()
HOUR = 3600.0


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def header(signer: Signer, body: bytes = BODY, age: float = 0.0, path: str = TOPOLOGY_PATH) -> str:
    """As a directory signed it `age` seconds ago."""
    created = int(1000 * (time.time() - age))
    claim = Claim(signer.public_key, created, expires=created + int(1000 * EXPIRY))
    return claim.signed(signer.sign, "topology", path, body)


class Shelf:
    """A plain web server with whatever answer is put there, as a directory's or a cache's."""

    def __init__(self, stack: ExitStack, signer: Signer | None = None) -> None:
        self.body = BODY
        self.header: Callable[[], str | None] = lambda: (
            header(signer, self.body) if signer else None
        )
        self.asked = 0
        self.date: str | None = None
        server = WSGIServer(("127.0.0.1", 0), self._answer, log=None)
        self.url = f"http://{listen(server)}"
        self._server = server
        stack.callback(self.stop)

    def stop(self) -> None:
        """Nothing answers any more."""
        self._server.stop(timeout=0)

    def _answer(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        self.asked += 1
        signed = self.header()
        headers = [(HEADER, signed)] if signed else []
        start_response("200 OK", headers + ([("Date", self.date)] if self.date else []))
        return [self.body]


SIGNER = generate_signer()


def said(shelf: Shelf, trust: Trust | None = None) -> str:
    with pytest.raises(UnverifiedError) as caught:
        fetch_topology(shelf.url, trust or Trust([SIGNER.public_key]))
    return str(caught.value)


def test_a_signed_list_is_used_by_those_who_trust_its_key(stack: ExitStack) -> None:
    shelf = Shelf(stack, SIGNER)
    trust = Trust([generate_signer().public_key, SIGNER.public_key])
    listing = fetch_topology(shelf.url, trust)
    assert listing.key == SIGNER.public_key
    assert listing.records.mixnodes
    assert fetch_topology(shelf.url).key is None
    assert fetch_topology(shelf.url, Trust()).key is None


def test_every_other_list_is_refused_and_it_is_said_why(stack: ExitStack) -> None:
    shelf, other = Shelf(stack), generate_signer()
    assert f"{shelf.url} doesn't sign its list of nodes" in said(shelf)
    shelf.header = lambda: header(other)
    assert f"signed with another key, {other.address}. client.directory_key doesn't" in said(shelf)
    shelf.header = lambda: "v=1; \x9b2J"
    assert "isn't in its form" in said(shelf)
    shelf.header = lambda: header(SIGNER, BODY + b" ")
    assert "it was changed after it was signed" in said(shelf)
    shelf.header = lambda: header(SIGNER, path="/api/presence/mixnodes")
    assert "it was changed after it was signed" in said(shelf)
    shelf.header = lambda: header(SIGNER, age=HOUR)
    assert "is an old copy, and isn't used: it expired 50 min ago" in said(shelf)
    never = Claim(SIGNER.public_key, int(1000 * time.time()))
    shelf.header = lambda: never.signed(SIGNER.sign, "topology", TOPOLOGY_PATH, BODY)
    assert "is an old copy" in said(shelf)
    presence = Claim(SIGNER.public_key, never.created, expires=never.created + 600_000)
    shelf.header = lambda: presence.signed(SIGNER.sign, "presence", TOPOLOGY_PATH, BODY)
    assert "it was changed after it was signed" in said(shelf)


def test_each_bit_of_the_list_counts() -> None:
    signed, trust = header(SIGNER), Trust([SIGNER.public_key])

    def check(body: bytes) -> bytes | None:
        return trust.check("http://d", Answer(body, None, None, {HEADER: signed}))

    assert check(BODY) == SIGNER.public_key
    for bit in range(8 * len(BODY)):
        changed = bytearray(BODY)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(UnverifiedError, match="was changed"):
            check(bytes(changed))


def test_no_list_counts_that_is_older_than_one_that_was_seen(stack: ExitStack) -> None:
    shelf = Shelf(stack, SIGNER)
    trust = Trust([SIGNER.public_key])
    old = header(SIGNER, age=EXPIRY / 2)
    fetch_topology(shelf.url, trust)
    newest = dict(trust.newest)
    shelf.header = lambda: old
    assert "this client has seen one that is 5 min newer" in said(shelf, trust)
    # Also after a restart, with what is remembered; but the keys of others have their own times.
    assert "seen one that is" in said(shelf, Trust([SIGNER.public_key], newest))
    assert trust.newest == newest
    other = generate_signer()
    shelf.header = lambda: header(other, age=EXPIRY / 2)
    fetch_topology(shelf.url, Trust([SIGNER.public_key, other.public_key], newest))
    shelf.header = lambda: old
    fetch_topology(shelf.url, Trust([SIGNER.public_key]))
    # The same copy may come again.
    fetch_topology(shelf.url, trust=Trust([SIGNER.public_key], {SIGNER.public_key: 0}))


def test_a_wrong_clock_of_this_machine_is_named_as_the_reason(stack: ExitStack) -> None:
    shelf = Shelf(stack)
    shelf.header = lambda: header(SIGNER, age=HOUR)
    assert "clock" not in said(shelf)
    shelf.date = http_date(time.time() - HOUR)
    assert "This machine's clock is 1 h 0 min ahead of the directory's: set it" in said(shelf)
    shelf.header = lambda: header(SIGNER, age=-HOUR)
    assert "ahead of this machine's clock. One of the two clocks is wrong" in said(shelf)
    # Some seconds more, for a busy machine: durations are rounded down.
    shelf.date = http_date(time.time() + HOUR + 30)
    assert "This machine's clock is 1 h 0 min behind the directory's: set it" in said(shelf)
    assert AHEAD == 300
    shelf.header = lambda: header(SIGNER, age=-AHEAD / 2)
    assert fetch_topology(shelf.url, Trust([SIGNER.public_key])).key


def http_date(seconds: float) -> str:
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(seconds))


# Our directory signs.


@pytest.fixture
def directory(stack: ExitStack) -> str:
    directory = Directory("127.0.0.1", 0, signer=SIGNER)
    stack.callback(directory.stop)
    return directory.start()


def test_what_a_directory_signs_is_verified_also_if_it_is_packed(directory: str) -> None:
    trust = Trust([SIGNER.public_key])
    assert fetch_topology(directory, trust).key == SIGNER.public_key
    for number in range(20):  # so many that it is packed
        key = bytes([number + 1]) * 32
        body = encode_presence(MixNode(f"192.0.2.{number}:1", key, 1, "0.4.0"))
        posted = requests.post(f"{directory}/api/presence/mixnodes", data=body, timeout=PATIENCE)
        assert posted.status_code == 201
    packed = requests.get(directory + TOPOLOGY_PATH, timeout=PATIENCE)
    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(fetch_topology(directory, trust).records.mixnodes) == 20


def test_a_list_that_is_signed_again_is_another_one_for_caches(
    directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendered, "FRESH", 0.0)
    first, second = (requests.get(directory + TOPOLOGY_PATH, timeout=PATIENCE) for _ in range(2))
    assert first.content == second.content
    assert first.headers[HEADER] != second.headers[HEADER]
    assert first.headers["ETag"] != second.headers["ETag"]
    known = {"If-None-Match": second.headers["ETag"]}
    monkeypatch.setattr(rendered, "FRESH", PATIENCE)
    third = requests.get(directory + TOPOLOGY_PATH, timeout=PATIENCE)
    known = {"If-None-Match": third.headers["ETag"]}
    again = requests.get(directory + TOPOLOGY_PATH, timeout=PATIENCE, headers=known)
    assert (again.status_code, again.headers[HEADER]) == (304, third.headers[HEADER])


# Several directories.


def used(directories: Directories) -> str:
    return directories.first(lambda listing: listing.directory)


def test_the_next_directory_is_used_when_one_is_away_stale_or_wrong(
    stack: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    a, b = Shelf(stack, SIGNER), Shelf(stack, SIGNER)
    directories = Directories([a.url, b.url], Trust([SIGNER.public_key]))
    assert used(directories) == directories.used == a.url
    a.header = lambda: header(SIGNER, age=HOUR)  # stale
    assert used(directories) == b.url
    assert "it expired 50 min ago; using" in caplog.text
    a.header = lambda: header(SIGNER)
    assert used(directories) == b.url, "it stays with the one that works"
    asked = a.asked
    b.header = lambda: None  # wrong
    assert used(directories) == directories.used == a.url
    assert a.asked == asked + 1
    a.body = b"garbage"
    b.header = lambda: header(SIGNER)
    assert used(directories) == b.url
    a.body = BODY
    b.stop()  # away
    assert used(directories) == a.url
    assert len([r for r in caplog.records if "instead" in r.getMessage()]) == 4
    # A list that has the right form, but can't be used.

    def use(listing: Listing) -> str:
        if listing.directory == a.url:
            raise RemoteError("no network")
        return listing.directory

    with pytest.raises(RemoteError, match=r"no directory can be used: .*no network"):
        directories.first(use)


def test_if_none_works_each_is_named(stack: ExitStack) -> None:
    nowhere = [f"http://127.0.0.{host}:{free_port()}" for host in (1, 2)]
    with pytest.raises(UnreachableError) as caught:
        used(Directories(nowhere))
    for url in nowhere:
        assert f"{url}/api" in str(caught.value)
    shelf = Shelf(stack)
    with pytest.raises(RemoteError) as mixed:
        used(Directories([nowhere[0], shelf.url], Trust([SIGNER.public_key])))
    assert not isinstance(mixed.value, UnreachableError)
    assert "doesn't sign" in str(mixed.value)


# A client, from one start to the next.


class Starts:
    """Makes refreshers over one folder, as successive starts of a client do."""

    def __init__(self, journal: Journal) -> None:
        self.state = State(journal)
        self.followed: list[Topology] = []

    def __call__(self, *urls: str, keys: tuple[bytes, ...] = ()) -> Refresher:
        remembered = RememberedNetwork(self.state, urls, keys)
        return Refresher(
            Directories(urls, Trust(keys, remembered.newest)),
            10.0,
            Random(1),
            self.followed.append,
            None,
            Judging(KeptLists(), resolve_names=False),
            remembered,
        )


@pytest.fixture
def start(journal: Journal) -> Starts:
    return Starts(journal)


def test_an_old_copy_is_refused_also_after_a_restart(
    start: Starts, stack: ExitStack, journal: Journal, tmp_path: Path
) -> None:
    shelf = Shelf(stack, SIGNER)
    old = header(SIGNER, age=EXPIRY / 2)
    start(shelf.url, keys=(SIGNER.public_key,)).tick()
    journal.close()
    reopened = Journal(tmp_path, bytes(32))
    stack.callback(reopened.close)
    again = Starts(reopened)
    shelf.header = lambda: old
    refresher = again(shelf.url, keys=(SIGNER.public_key,))
    assert refresher.tick() < 10
    assert "seen one that is" in (refresher.outage.reason or "")
    # The network of the last run was verified, so it is used meanwhile.
    assert refresher.topology is not None


def test_with_a_key_the_network_of_the_last_run_counts_only_if_it_signed_that(
    start: Starts, stack: ExitStack
) -> None:
    shelf, other = Shelf(stack, SIGNER), generate_signer()
    start(shelf.url).tick()  # nobody verified it
    shelf.header = lambda: None
    unverified = start(shelf.url, keys=(SIGNER.public_key,))
    unverified.tick()
    assert unverified.topology is None
    shelf.header = lambda: header(SIGNER)
    verified = start(shelf.url, keys=(SIGNER.public_key,))
    assert verified.tick() == 10
    assert verified.is_verified
    nowhere = f"http://127.0.0.1:{free_port()}"
    wrong = start(nowhere, keys=(other.public_key,))
    wrong.tick()
    assert wrong.topology is None
    moved = start(nowhere, keys=(other.public_key, SIGNER.public_key))
    moved.tick()
    assert moved.topology is not None


def test_several_directories_are_one_network(start: Starts, stack: ExitStack) -> None:
    # The system may give a port that is free again.
    a, b, c = (f"http://127.0.0.{host}:{free_port()}" for host in (1, 2, 3))
    shelf = Shelf(stack)
    start(a, shelf.url).tick()
    for urls, is_known in (
        ((a,), True),
        ((b, a), True),
        ((shelf.url + "/",), True),
        ((b, c), False),
    ):
        refresher = start(*urls)
        assert refresher.view.layers == (3 if is_known else 0)
        if shelf.url not in urls[0]:
            refresher.tick()
            assert (refresher.topology is not None) == is_known
    # As earlier versions kept it.
    start.state.set("network", json.dumps({"directory": a, "layers": {a: 3}}).encode())
    assert RememberedNetwork(start.state, [b, a]).is_of_these_directories
    assert not RememberedNetwork(start.state, [b]).is_of_these_directories
    assert RememberedNetwork(start.state, [a]).reach is Reach.LOOPBACK
    start.state.set("network", b"{}")
    assert RememberedNetwork(start.state, [b]).is_of_these_directories


def test_a_client_goes_on_with_the_other_directory_and_says_which(
    stack: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    network = stack.enter_context(running(Network()))
    shelves = [Shelf(stack), Shelf(stack)]
    signers = [generate_signer(), generate_signer()]

    def listed(shelf: Shelf, signer: Signer) -> str:
        shelf.body = requests.get(network.url + TOPOLOGY_PATH, timeout=PATIENCE).content
        return header(signer, shelf.body)

    for shelf, signer in zip(shelves, signers, strict=True):
        shelf.header = lambda shelf=shelf, signer=signer: listed(shelf, signer)  # type: ignore[misc]
    a, b = (shelf.url for shelf in shelves)
    client = stack.enter_context(
        Application(f"{a}, {b}", directory_key=" ".join(signer.address for signer in signers))
    )
    with client.lines() as lines:

        def status() -> Any:
            return lines.ask(type="status")

        wait_until(lambda: status()["state"] == "running")
        assert (status()["directory"], status()["directory_verified"]) == (a, True)
        shelves[0].stop()
        wait_until(lambda: status()["directory"] == b)
        assert is_well(status())
        assert lines.ask(type="network")["directory"] == b
        assert f"using {b} instead" in caplog.text
        # Nobody signs any more: the client keeps its network, and says what is wrong.
        shelves[1].header = lambda: None
        wait_until(lambda: "doesn't sign" in (status()["reason"] or ""))
        assert status()["state"] == "running"


def test_at_first_sight_it_is_verified_too(stack: ExitStack) -> None:
    shelf = Shelf(stack)
    settings = ClientSettings(directory=shelf.url, directory_key=SIGNER.address)
    with pytest.raises(UnverifiedError):
        first_sight(Config(client=settings))
    (_, listing) = first_sight(Config(client=replace(settings, directory_key="")))
    assert listing.key is None
    shelf.header = lambda: header(SIGNER)
    (_, listing) = first_sight(Config(client=settings))
    assert listing.key == SIGNER.public_key
