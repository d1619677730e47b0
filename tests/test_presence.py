"""Which nodes a directory lists if some of them sign, and who can take whose place."""

from itertools import count

import pytest

from nym import PROTOCOL_VERSION
from nym.errors import RemoteFormatError
from nym.nodes.listed import LIFETIME
from nym.nodes.presence import Node, Presences
from nym.wire.clients import EMPTY
from nym.wire.directory import MixNode, Provider

ALICE, BOB = b"alice", b"bob"
_keys = (number.to_bytes(32, "big") for number in count(1))


def mixnode(host: str = "192.0.2.1:1789", layer: int = 1) -> MixNode:
    return MixNode(host, next(_keys), layer, PROTOCOL_VERSION)


class Present(Presences):
    """Presences without times that don't matter."""

    def post(self, node: Node, now: float, identity: bytes | None = None) -> None:
        """Take a post."""
        self.note(node, now, 0, LIFETIME, identity)

    def refuses(self, node: Node, now: float, identity: bytes | None = None) -> bool:
        """Whether a post is refused because it contradicts another node."""
        before = self.listed(now)
        try:
            self.post(node, now, identity)
        except RemoteFormatError as error:
            assert "another node" in str(error)
            assert self.listed(now) == before
            return True
        return False

    def listed(self, now: float) -> list[Node]:
        """The nodes that are there."""
        return list(self.present(now, LIFETIME))


def test_an_identity_changes_key_place_and_layer_in_one_step() -> None:
    present = Present()
    node = mixnode()
    present.post(node, 0.0, ALICE)
    changes: list[Node] = [
        mixnode(),  # another key
        mixnode("192.0.2.2:1", 3),
        Provider("192.0.2.2:1", "192.0.2.2:2", next(_keys), EMPTY, PROTOCOL_VERSION),
        node,
    ]
    for number, changed in enumerate(changes):
        before = present.changes
        present.post(changed, 1.0 + number, ALICE)
        assert present.listed(1.0 + number) == [changed]
        assert present.changes == before + 1
    present.post(node, 6.0, ALICE)
    assert present.changes == 5


def test_no_other_post_takes_the_key_or_the_place_of_an_identity() -> None:
    present = Present()
    node = mixnode()
    present.post(node, 0.0, ALICE)
    others: list[Node] = [
        node,  # the same, without its signature
        node._replace(version="0.4.9"),
        node._replace(layer=2),
        node._replace(host="192.0.2.9:1"),
        mixnode(node.host),
        Provider("192.0.2.2:1", node.host, next(_keys), EMPTY, PROTOCOL_VERSION),
    ]
    for other in others:
        assert present.refuses(other, 5.0)
        assert present.refuses(other, 5.0, BOB)
    assert present.listed(5.0) == [node]


def test_one_that_was_known_first_and_does_not_sign_gets_no_place_back_from_one_that_does() -> None:
    present = Present()
    plain, signed = mixnode(), mixnode()
    present.post(plain, 0.0)
    assert present.refuses(signed, 5.0, ALICE)
    present.post(signed, 20.0, ALICE)
    assert present.refuses(plain, 21.0)
    assert present.listed(21.0) == [signed]
    # Another identity that was known before does get it back.
    other = mixnode("192.0.2.2:1")
    present.post(other, 30.0, BOB)
    later = mixnode("192.0.2.2:1")
    present.post(later, 50.0, b"carol")
    present.post(other, 51.0, BOB)
    assert present.listed(51.0) == [other]


def test_an_identity_takes_no_place_of_a_node_that_is_there_by_moving() -> None:
    present = Present()
    old, young, signed = mixnode("192.0.2.1:1"), mixnode("192.0.2.2:1"), mixnode("192.0.2.3:1")
    present.post(old, 0.0, ALICE)
    present.post(young, 5.0)
    present.post(signed, 6.0, BOB)
    for taken in (
        mixnode(young.host),
        old._replace(public_key=young.public_key),
        mixnode(signed.host),
        old._replace(public_key=signed.public_key),
    ):
        assert present.refuses(taken, 7.0, ALICE)
    assert set(present.listed(7.0)) == {old, young, signed}


def test_a_new_key_keeps_the_claim_to_the_place() -> None:
    present = Present()
    node, thief = mixnode(), mixnode()
    present.post(node, 0.0, ALICE)
    present.post(thief, 20.0, BOB)  # while the node is away
    rotated = mixnode()
    present.post(rotated, 30.0, ALICE)
    assert present.listed(30.0) == [rotated]
    assert present.refuses(thief, 31.0, BOB)


def test_one_that_leaves_is_not_listed_any_more_and_keeps_its_claim() -> None:
    present = Present()
    node, thief = mixnode(), mixnode()
    present.post(node, 0.0, ALICE)
    changes = present.changes
    present.leave(BOB)
    assert (present.listed(1.0), present.changes) == ([node], changes)
    present.leave(ALICE)
    assert (present.listed(1.0), present.changes) == ([], changes + 1)
    present.post(thief, 2.0)
    present.post(node, 3.0, ALICE)
    assert present.listed(3.0) == [node]


def test_those_that_are_not_allowed_any_more_are_forgotten() -> None:
    present = Present()
    alice, bob, plain = (mixnode(f"192.0.2.{number}:1") for number in range(3))
    present.post(alice, 0.0, ALICE)
    present.post(bob, 0.0, BOB)
    present.post(plain, 0.0)
    present.keep_only({BOB})
    assert present.listed(1.0) == [bob]
    # They have no claim either, so another node can have the place at once.
    present.post(bob._replace(host=alice.host), 1.0, BOB)
    assert present.refuses(alice, 2.0, ALICE)


def test_as_many_as_there_may_be_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nym.nodes.presence.MOST_NODES", 2)
    present = Present()
    nodes = [mixnode(f"192.0.2.{number}:1") for number in range(3)]
    present.post(nodes[0], 0.0, ALICE)
    present.post(nodes[1], 0.0)
    with pytest.raises(RemoteFormatError, match="too many"):
        present.post(nodes[2], 0.0, BOB)
    present.post(nodes[2], 0.0, ALICE)  # which moves
    assert set(present.listed(0.0)) == {nodes[1], nodes[2]}


def test_what_is_too_old_is_forgotten_with_its_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nym.nodes.presence.MOST_KNOWN", 10)
    present = Present()
    for number in range(30):
        identity = bytes([number]) if number % 2 else None
        present.post(mixnode(f"192.0.2.{number}:1"), 20.0 * number, identity)
    assert len(present._known) == 10
    assert len(present._by_identity) == 5
    assert len(present._by_mark) == 20
