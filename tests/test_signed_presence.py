"""Nodes that sign, over real sockets: forged, old, replayed, of a stranger, after a restart."""

import json
import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
from gevent.event import Event

from nym import PROTOCOL_VERSION
from nym.errors import ConfigError, RemoteFormatError
from nym.localnet.network import Network
from nym.nodes import admission
from nym.nodes import node as node_module
from nym.nodes.admission import TOLERANCE, Admission
from nym.nodes.allowed import AllowList, parse_allowed
from nym.nodes.directory import Directory
from nym.nodes.keys import Keyring
from nym.nodes.mixnode import Mixnode
from nym.signing import Signer, generate_signer
from nym.store.clock import since_boot
from nym.wire.directory import (
    LEAVING_PATH,
    METRICS_PATH,
    MIXNODES_PATH,
    PROVIDERS_PATH,
    TOPOLOGY_PATH,
    MixNode,
    encode_presence,
)
from nym.wire.keys import encode_base58
from nym.wire.signed import HEADER, RUN_HEADER, Claim, Purpose
from nym.wire.versions import MINUTE, since_in
from tests.harness import ANYWHERE, PATIENCE, free_port, running, serving_http, wait_until

NODE = MixNode("192.0.2.1:1789", bytes(range(1, 33)), 1, "0.4.0")
BODY = encode_presence(NODE)
METRIC = json.dumps({"pubKey": "k", "received": 1, "sent": {}}).encode()


@pytest.fixture(autouse=True)
def _nodes_stay_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nym.nodes.listed.LIFETIME", PATIENCE)  # also on a busy machine


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


class Board:
    """A directory that can be started again at its port, and what is posted to it."""

    def __init__(self, stack: ExitStack, **options: Any) -> None:
        self.options = options
        self.port = 0
        self.start()
        stack.callback(lambda: self.directory.stop())

    def start(self) -> None:
        """Start it, as a new process would."""
        self.directory = Directory("127.0.0.1", self.port, **self.options)
        self.url = self.directory.start()
        self.port = int(self.url.rpartition(":")[2])
        self.run = ""

    def restart(self) -> None:
        """Stop and start it; it has forgotten everything."""
        self.directory.stop()
        self.start()

    def post(self, header: str | None, path: str = MIXNODES_PATH, body: bytes = BODY) -> str:
        """The reason of a refusal, with its status, or "" if it was taken."""
        headers = {} if header is None else {HEADER: header}
        answer = requests.post(self.url + path, data=body, headers=headers, timeout=PATIENCE)
        self.run = answer.headers.get(RUN_HEADER, self.run)
        if answer.status_code == 201:
            return ""
        return f"{answer.status_code} {answer.json()['error']}"

    def sign(
        self,
        signer: Signer,
        body: bytes = BODY,
        *,
        purpose: Purpose = "presence",
        path: str = MIXNODES_PATH,
        off: float = 0.0,
    ) -> str:
        """A header that is right now, or `off` seconds from now."""
        if not self.run:
            old = Claim(signer.public_key, 1).signed(signer.sign, purpose, path, body)
            assert self.post(old, path, body).startswith("400 the post isn't signed for this run")
        created = int(1000 * (time.time() + off))
        claim = Claim(signer.public_key, created, self.run)
        return claim.signed(signer.sign, purpose, path, body)

    def listed(self) -> list[str]:
        """The places of all mixnodes."""
        answer = requests.get(self.url + TOPOLOGY_PATH, timeout=PATIENCE).json()
        return [node["host"] for node in answer["mixNodes"]]


@pytest.fixture
def board(stack: ExitStack) -> Board:
    return Board(stack)


def test_a_post_counts_once_and_never_again(board: Board) -> None:
    signer = generate_signer()
    first = board.sign(signer)
    assert board.post(first) == ""
    assert board.listed() == [NODE.host]
    assert "400 there was a later post" in board.post(first)
    moved = encode_presence(NODE._replace(host="192.0.2.9:1"))
    second = board.sign(signer, moved)
    assert board.post(second, body=moved) == ""
    assert "400 there was a later post" in board.post(first)
    assert board.listed() == ["192.0.2.9:1"]
    board.restart()
    for header, body in ((first, BODY), (second, moved)):
        assert "400 the post isn't signed for this run" in board.post(header, body=body)
    assert board.listed() == []
    assert board.post(board.sign(signer)) == ""
    assert board.listed() == [NODE.host]


def test_a_post_for_one_directory_is_none_for_another(board: Board, stack: ExitStack) -> None:
    other = Board(stack)
    header = board.sign(generate_signer())
    assert "isn't signed for this run" in other.post(header)
    assert other.listed() == []
    assert board.post(header) == ""


def test_what_is_forged_is_refused(board: Board) -> None:
    signer, other = generate_signer(), generate_signer()
    header = board.sign(signer)
    changed = encode_presence(NODE._replace(layer=2))
    key, others = encode_base58(signer.public_key), encode_base58(other.public_key)
    assert "400 the signature is wrong" in board.post(header, body=changed)
    assert "400 the signature is wrong" in board.post(header.replace(key, others))
    assert "400 the signature is wrong" in board.post(board.sign(signer, purpose="leaving"))
    assert "400 the signature is wrong" in board.post(board.sign(signer, path=PROVIDERS_PATH))
    assert "400 the header Nym-Signature isn't in its form" in board.post("v=1")
    assert "400 the header Nym-Signature isn't in its form" in board.post("")
    assert board.listed() == []
    assert board.post(header) == ""


def test_what_the_clock_says_has_to_be_about_right(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert TOLERANCE == 120
    # Far more than this test takes, even on a busy machine.
    monkeypatch.setattr(admission, "TOLERANCE", 10 * PATIENCE)
    signer = generate_signer()
    assert board.post(board.sign(signer, off=-5 * PATIENCE)) == ""
    assert board.post(board.sign(signer, off=5 * PATIENCE)) == ""
    said = board.post(board.sign(signer, off=-20 * PATIENCE))
    assert "400 this node's clock is 12" in said
    assert "s behind the directory's" in said
    said = board.post(board.sign(signer, off=20 * PATIENCE))
    assert "s ahead of the directory's" in said
    # Set back by less, it has to wait until it has caught up.
    said = board.post(board.sign(signer))
    assert "there was a later post by this identity already" in said
    assert "it is accepted again in 2" in said or "it is accepted again in 3" in said


def test_an_unsigned_post_takes_nothing_from_an_identity(board: Board) -> None:
    assert board.post(board.sign(generate_signer())) == ""
    for taken in (NODE, NODE._replace(layer=2), NODE._replace(host="192.0.2.9:1")):
        assert "signs what it posts" in board.post(None, body=encode_presence(taken))
    other = encode_presence(MixNode("192.0.2.2:1", bytes(range(2, 34)), 1, "0.4.0"))
    assert board.post(None, body=other) == ""
    assert sorted(board.listed()) == [NODE.host, "192.0.2.2:1"]


def test_leaving_takes_a_node_off_the_list_at_once(board: Board) -> None:
    signer, other = generate_signer(), generate_signer()
    assert board.post(board.sign(signer)) == ""
    assert "400 only a signed post" in board.post(None, LEAVING_PATH, b"{}")
    for header in (
        board.sign(other, b"{}", purpose="leaving", path=LEAVING_PATH),
        board.sign(signer, b"{}", purpose="presence", path=LEAVING_PATH),
    ):
        board.post(header, LEAVING_PATH, b"{}")
        assert board.listed() == [NODE.host]
    late = board.sign(signer)
    leaving = board.sign(signer, b"{}", purpose="leaving", path=LEAVING_PATH, off=1.0)
    assert board.post(leaving, LEAVING_PATH, b"{}") == ""
    assert board.listed() == []
    assert "there was a later post" in board.post(late)
    assert board.post(board.sign(signer, off=2.0)) == ""
    assert board.listed() == [NODE.host]


def test_only_those_on_the_list_may_post(stack: ExitStack, tmp_path: Path) -> None:
    friend, stranger = generate_signer(), generate_signer()
    path = tmp_path / "allowed"
    path.write_text(f"# friends\n\n{friend.address}  # at home\n")
    board = Board(stack, allowed=AllowList(path))
    old = Claim(stranger.public_key, 1).signed(stranger.sign, "presence", MIXNODES_PATH, BODY)
    said = board.post(old)
    assert said.startswith(f"403 the identity {stranger.address} isn't on this directory's list")
    for path_, body in (
        (MIXNODES_PATH, BODY),
        (METRICS_PATH, METRIC),
        ("/api/presence/coconodes", b"{}"),
        (LEAVING_PATH, b"{}"),
    ):
        assert board.post(None, path_, body).startswith("403 this directory takes posts only")
    assert board.listed() == []
    assert board.post(board.sign(friend)) == ""
    metric = board.sign(friend, METRIC, purpose="metrics", path=METRICS_PATH)
    assert board.post(metric, METRICS_PATH, METRIC) == ""
    assert board.listed() == [NODE.host]


def test_the_list_is_read_again_and_a_mistake_in_it_changes_nothing(
    stack: ExitStack, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    alice, bob = generate_signer(), generate_signer()
    path = tmp_path / "allowed"
    path.write_text(f"{alice.address}\n")
    board = Board(stack, allowed=AllowList(path))
    assert board.post(board.sign(alice)) == ""
    path.write_text(f"{bob.address}\n{alice.address[:-1]}0\n")
    board.directory.reload()
    assert f"the list of nodes stays as it was: {path}: line 2: a key in base58" in caplog.text
    path.unlink()
    board.directory.reload()
    assert board.listed() == [NODE.host]
    assert "403" in board.post(board.sign(bob))
    path.write_text(f"{bob.address}\n")
    board.directory.reload()
    assert board.listed() == []
    assert "lists 1 identities now: 1 are new, and 1 are gone" in caplog.text
    assert board.post(board.sign(bob)) == ""
    assert "403" in board.post(board.sign(alice))


@pytest.mark.parametrize(
    ("text", "line"),
    [("x", 1), ("# \n\n 0", 3), (encode_base58(bytes(31)), 1), (f"{NODE.host} # x", 1)],
)
def test_a_mistake_in_a_list_is_named_by_its_line(tmp_path: Path, text: str, line: int) -> None:
    with pytest.raises(ValueError, match=f"^line {line}: "):
        parse_allowed(text)
    path = tmp_path / "allowed"
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"{path}: line {line}: "):
        AllowList(path)


def test_a_list_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere can't be read: No such file"):
        AllowList(tmp_path / "nowhere")
    (tmp_path / "bytes").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="bytes can't be read: it is not UTF-8"):
        AllowList(tmp_path / "bytes")


def test_a_list_can_be_empty() -> None:
    assert parse_allowed("# nobody yet\r\n\n") == frozenset()


def test_the_memory_of_identities_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MOST_REMEMBERED", 2)
    looks = Admission()
    signers = [generate_signer() for _ in range(3)]

    def post(number: int, now: float) -> None:
        signer = signers[number]
        claim = Claim(signer.public_key, int(1000 * now), looks.run)
        header = claim.signed(signer.sign, "presence", MIXNODES_PATH, BODY)
        assert looks.check(header, "presence", MIXNODES_PATH, BODY, now) == claim
        looks.note(claim)

    post(0, 1000.0)
    post(1, 1001.0)
    with pytest.raises(RemoteFormatError, match="too many identities"):
        post(2, 1002.0)
    post(0, 1003.0)
    # A time is forgotten when nothing so old can be accepted again anyway.
    with pytest.raises(RemoteFormatError, match="too many identities"):
        post(2, 1001.0 + TOLERANCE)
    post(2, 1002.0 + TOLERANCE)
    with pytest.raises(RemoteFormatError, match="a later post"):
        post(0, 1003.0)


# Nodes.


def mixnode(stack: ExitStack, *urls: str, signer: Signer | None = None) -> Mixnode:
    node = Mixnode(Keyring(None), ANYWHERE, 1, signer=signer)
    stack.callback(node.stop)
    node.listen()
    node.start(*urls)
    return node


def test_a_node_is_listed_again_after_a_restart_and_a_new_key(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_module, "PRESENCE_PERIOD", 0.05)
    signer = generate_signer()
    board = Board(stack)
    node = mixnode(stack, board.url, signer=signer)
    assert board.listed() == [str(node.address)]
    board.restart()
    wait_until(lambda: board.listed() == [str(node.address)])
    node.keys = Keyring(None)
    node.announce()
    (record,) = board.directory.records().mixnodes
    assert record.public_key == node.keys.current.public_key
    node.leave(0.0, Event())
    assert board.listed() == []
    node.announce()
    assert board.listed() == []


def test_a_node_says_when_it_made_its_key_and_says_it_again_only_if_that_changes() -> None:
    passed = [0.0]
    keys = Keyring(None, since_boot=lambda: since_boot() + passed[0])
    node = Mixnode(keys, ANYWHERE, 1, signer=generate_signer())
    said = node._presence().version
    made = since_in(said)
    assert made is not None
    assert abs(made * MINUTE - time.time()) < MINUTE + PATIENCE
    # The wall clock and the one that tells the age drift apart, by less than it tells.
    for passed[0] in (MINUTE / 2, -MINUTE / 2, 0.0):
        assert node._presence().version == said
    passed[0] = 10.0 * MINUTE
    assert node._presence().version != said
    unsigned = Mixnode(Keyring(None), ANYWHERE, 1)
    assert unsigned._presence().version == PROTOCOL_VERSION


def test_a_node_that_leaves_says_nothing_bad_to_directories_that_do_not_know_that(
    stack: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    asked: list[str] = []

    def answer() -> bytes:
        asked.append("")
        return b"404 page not found"

    board = Board(stack)
    published = stack.enter_context(serving_http(answer, "404 Not Found"))
    node = mixnode(stack, board.url, published, signer=generate_signer())
    caplog.clear()
    asked.clear()
    node.leave(0.0, Event())
    assert asked
    assert not caplog.records
    # One that doesn't sign can only stop posting.
    unsigned = mixnode(stack, board.url)
    unsigned.leave(0.0, Event())
    unsigned.announce()
    assert board.listed() == [str(unsigned.address)]


def test_leaving_waits_for_nobody(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_module, "LEAVE_PATIENCE", 0.2)
    board = Board(stack)
    node = mixnode(stack, board.url, signer=generate_signer())
    lock = node._desks[0]._lock
    lock.acquire()
    began = time.monotonic()
    node.leave(0.0, Event())
    assert time.monotonic() - began < PATIENCE / 2
    lock.release()


def test_nodes_post_to_all_directories_and_an_outage_of_each_is_said_once(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(node_module, "PRESENCE_PERIOD", 0.05)
    boards = [Board(stack), Board(stack)]
    nowhere = f"http://127.0.0.1:{free_port()}"
    node = mixnode(stack, nowhere, *(board.url for board in boards), signer=generate_signer())
    for board in boards:
        assert board.listed() == [str(node.address)]
    wait_until(lambda: f"presence at {nowhere}: " in caplog.text)
    boards[0].directory.stop()
    wait_until(lambda: f"presence at {boards[0].url}: " in caplog.text)
    boards[0].start()
    wait_until(lambda: f"presence at {boards[0].url}: works again" in caplog.text)
    assert boards[0].listed() == [str(node.address)]
    said = [record.getMessage() for record in caplog.records if record.levelno > logging.INFO]
    assert len([text for text in said if text.startswith("presence at ")]) == 2


def test_a_node_says_why_it_is_refused(stack: ExitStack, tmp_path: Path) -> None:
    path = tmp_path / "allowed"
    path.write_text("")
    board = Board(stack, allowed=AllowList(path))
    signer = generate_signer()
    node = mixnode(stack, board.url, signer=signer)
    assert f"403: the identity {signer.address} isn't on" in (node.trouble or "")


def test_metrics_of_a_signing_node_count_too(
    stack: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nym.nodes.mixnode.METRICS_PERIOD", 0.05)
    signer = generate_signer()
    path = tmp_path / "allowed"
    path.write_text(signer.address)
    board = Board(stack, allowed=AllowList(path))
    node = mixnode(stack, board.url, signer=signer)

    def metrics() -> Any:
        return requests.get(board.url + METRICS_PATH, timeout=PATIENCE).json()

    wait_until(lambda: [m["pubKey"] for m in metrics()][:1] == [node.keys.current.address])


def test_the_list_of_a_local_network_is_not_signed(stack: ExitStack) -> None:
    network = stack.enter_context(running(Network()))
    answer = requests.get(network.url + TOPOLOGY_PATH, timeout=PATIENCE)
    assert HEADER not in answer.headers
    assert len(answer.json()["mixNodes"]) == 3
