"""Each packet is forwarded once: tags, what they are kept in, and packets that are played again."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nym import sphinx
from nym.errors import SphinxError, StoreError
from nym.identity import generate_identity
from nym.localnet.network import Network
from nym.net.transport import exchange, send_packet
from nym.nodes import replays as replays_module
from nym.nodes.node import Node
from nym.nodes.provider import Provider
from nym.nodes.replays import Replays
from nym.sphinx import Forward, Hop, create_packet, unwrap
from nym.wire.addresses import encode_address
from nym.wire.provider import DUMMY, Pull, Register, decode_messages
from nym.wire.sizes import PACKET_LENGTH
from tests.harness import SmallDisk, running, wait_until

CLIENT = bytes(range(1, 33))
LONGEST = 1 << 20  # bytes of an answer
HEADER = PACKET_LENGTH - 1024
TOP_BIT = 0x80  # of a group element's last byte; products don't depend on it (RFC 7748)


def tags(count: int) -> list[bytes]:
    return [os.urandom(16) for _ in range(count)]


# Tags.


NODES = [generate_identity() for _ in range(2)]


def packet(message: bytes = b"hello") -> bytes:
    hops = [Hop(bytes(32), node.public_key, 0) for node in NODES]
    return create_packet(message, hops, CLIENT)


def tag(data: bytes, node: int = 0) -> bytes:
    return unwrap(data, NODES[node].private_key).tag


def test_a_packet_has_one_tag_at_a_node_whatever_is_changed_in_it() -> None:
    original = packet()
    expected = tag(original)
    assert len(expected) == 16
    changed = bytearray(original)
    changed[31] ^= TOP_BIT
    assert tag(bytes(changed)) == expected
    for position in (HEADER, HEADER + 500, PACKET_LENGTH - 1):  # the payload, which has no MAC here
        changed = bytearray(original)
        changed[position] ^= 1
        assert tag(bytes(changed)) == expected


@pytest.mark.parametrize("position", [0, 32, 48, HEADER - 1])
def test_what_would_change_the_tag_is_refused(position: int) -> None:
    changed = bytearray(packet())
    changed[position] ^= 1
    with pytest.raises(SphinxError):
        tag(bytes(changed))


def test_other_packets_and_other_nodes_have_other_tags() -> None:
    first = packet()
    task = unwrap(first, NODES[0].private_key).task
    assert isinstance(task, Forward)
    assert len({tag(first), tag(packet()), tag(task.packet, 1)}) == 3


def test_a_tag_does_not_tell_the_secret() -> None:
    secret = os.urandom(32)
    hops = [Hop(bytes(32), NODES[0].public_key, 0)]
    data = create_packet(b"", hops, CLIENT, secret=secret)
    shared = sphinx.multiply(secret, NODES[0].public_key)
    assert tag(data) not in shared
    assert tag(data) != shared[:16]


# Memory.


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 300), max_size=500))
def test_it_says_whether_a_tag_is_new(numbers: list[int]) -> None:
    replays, seen = Replays(None), set[int]()
    for number in numbers:
        assert replays.is_new(number.to_bytes(16, "big")) == (number not in seen)
        seen.add(number)
    replays.close()


@pytest.mark.parametrize("is_on_disk", [False, True])
def test_nothing_is_forgotten_while_it_grows(tmp_path: Path, is_on_disk: bool) -> None:
    replays = Replays(tmp_path / "replays" if is_on_disk else None)
    sent = tags(60_000)
    assert all(map(replays.is_new, sent))
    assert not any(map(replays.is_new, sent))
    assert len(replays._tables) > 1
    replays.close()
    if is_on_disk:
        again = Replays(tmp_path / "replays")
        assert not any(map(again.is_new, sent))
        assert again.is_new(os.urandom(16))
        again.close()


def test_the_files_are_for_the_owner_alone(tmp_path: Path) -> None:
    Replays(tmp_path / "replays").close()
    assert (tmp_path / "replays").stat().st_mode & 0o777 == 0o700
    (file,) = (tmp_path / "replays").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.stat().st_blocks * 512 >= file.stat().st_size  # it has its room on the disk


def test_memory_has_a_limit_and_nothing_is_forgotten_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = sum((places + 8) * 4 for places in replays_module.SIZES)
    packets = sum(places * 3 // 4 for places in replays_module.SIZES)
    assert (size >> 20, packets // 100_000) == (50, 98)  # as docs/protocol/mixnode.md says

    monkeypatch.setattr(replays_module, "SIZES", (1 << 13, 1 << 14))
    replays = Replays(tmp_path)
    full = (3 << 11) + (3 << 12)
    sent = tags(full)
    assert all(map(replays.is_new, sent[:-1]))
    assert not replays.is_full
    assert replays.is_new(sent[-1])
    assert replays.is_full
    # There is some room until the node has a new key.
    late = tags(1 << 11)
    assert all(map(replays.is_new, late))
    for _ in range(2):
        with pytest.raises(StoreError, match="until this node has a new key"):
            replays.is_new(os.urandom(16))
    assert len(list(tmp_path.iterdir())) == 2
    replays.close()
    again = Replays(tmp_path)
    assert again.is_full
    assert not any(map(again.is_new, sent[:6000]))
    again.close()


def test_a_new_tag_is_hardly_ever_taken_for_an_old_one() -> None:
    replays = Replays(None)
    assert all(map(replays.is_new, tags(400_000)))
    replays.close()


CHILD = """
import os, sys
from pathlib import Path
from nym.nodes.provider import Provider
from nym.nodes.replays import Replays
replays = Replays(Path(sys.argv[1]))
while True:
    tag = os.urandom(16)
    assert replays.is_new(tag)
    os.write(1, tag)
"""


def test_what_was_noted_outlives_a_kill(tmp_path: Path) -> None:
    for wanted in (1, 5000, 20_000):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE
        )
        assert child.stdout
        data = child.stdout.read(16 * wanted)
        child.send_signal(signal.SIGKILL)
        data += child.stdout.read()
        child.wait()
        child.stdout.close()
        replays = Replays(tmp_path)
        sent = [data[i : i + 16] for i in range(0, len(data) - 15, 16)]
        assert len(sent) >= wanted
        assert not any(map(replays.is_new, sent))
        replays.close()


@pytest.mark.parametrize(
    "damage",
    [b"", b"x", bytes((8 + (1 << 13)) * 4), b"nymtags2" + b"\xff" * (1 << 15) + b"\xff" * 24],
)
def test_a_damaged_file_is_deleted_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: bytes
) -> None:
    (tmp_path / "1.tags").write_bytes(damage)
    replays = Replays(tmp_path)
    assert "1.tags is damaged, and is deleted" in caplog.text
    sent = tags(10)
    assert all(map(replays.is_new, sent))
    replays.close()
    again = Replays(tmp_path)
    assert not any(map(again.is_new, sent))
    again.close()


def test_a_full_disk_is_said_and_memory_is_used(
    disk: SmallDisk, caplog: pytest.LogCaptureFixture
) -> None:
    disk.fill()
    replays = Replays(disk.folder / "replays")
    assert "No space left on device" in caplog.text
    sent = tags(10_000)  # enough for a second table
    assert all(map(replays.is_new, sent))
    assert not any(map(replays.is_new, sent))
    replays.close()
    disk.empty()
    assert list((disk.folder / "replays").iterdir()) == []


# Packets that are played again.


def hops(network: Network) -> list[Hop]:
    nodes: list[Node] = [network.mixnodes[0], *network.providers]
    return [Hop(encode_address(node.address), node.keys.current.public_key, 0) for node in nodes]


def test_a_packet_that_is_played_again_is_dropped_before_and_after_a_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Any] = []
    first_data = b""
    for run in range(2):
        network = Network(folder=tmp_path / "net", trace=lambda *hop: seen.append(hop))
        with running(network):
            provider = network.providers[0]
            at = provider.client_address
            token = exchange(at, Register(CLIENT).encode(), LONGEST)
            if run == 0:
                first_data = create_packet(b"once", hops(network), CLIENT)
                send_packet(network.mixnodes[0].address, first_data)
                wait_until(partial(_has, seen, 2))
            altered = bytearray(first_data)
            altered[-1] ^= 1
            for data in (first_data, bytes(altered)):
                send_packet(network.mixnodes[0].address, data)
            # At the provider, too: what the mixnode sent it.
            send_packet(provider.address, seen[1][1])
            last = create_packet(b"%d" % run, hops(network), CLIENT)
            send_packet(network.mixnodes[0].address, last)
            # Connections are accepted in their order, so the others have been dealt with by then.
            wait_until(partial(_has, seen, 4 + 2 * run))
            expected = [b"once", b"0"] if run == 0 else [b"1"]
            # Messages are seen a moment before they are kept.
            wait_until(partial(_keeps, provider, len(expected)))
            pull = Pull(CLIENT, token).encode()
            messages = decode_messages(exchange(at, pull, LONGEST))
            assert [message for message in messages if message != DUMMY] == expected
    assert len(seen) == 6
    assert not caplog.text


def _keeps(provider: Provider, count: int) -> bool:
    return provider._inboxes.count() == count


def _has(seen: list[Any], count: int) -> bool:
    return len(seen) >= count
