"""What directories and nodes say: topologies, presence, lists of clients, signatures."""

from pathlib import Path

from nym.errors import RemoteFormatError, UnusableNetworkError
from nym.judge import Rules
from nym.reach import Reach
from nym.signing import generate_signer
from nym.view import NetworkView
from nym.wire import directory
from nym.wire.addresses import encode_address, parse_numeric, split_host
from nym.wire.clients import EMPTY, AddressList, changes_between, decode_changes, parse_digest
from nym.wire.signed import Claim, parse_signature
from nym.wire.versions import identity_in, offers_line
from tests.fuzz.targets import Target

VECTORS = Path(__file__).parent.parent.parent / "vectors"
SIGNER = generate_signer()
LISTS = [EMPTY, AddressList.of([b"a" * 32]), AddressList.of([b"a" * 32, b"b" * 32])]


def topology(data: bytes) -> None:
    """What a client does with an answer: it reads, judges and uses it, and reports it."""
    records = directory.parse_topology(data)
    if not any(mixnode.version is None for mixnode in records.mixnodes):
        again = directory.parse_topology(directory.encode_topology(records))
        assert again.mixnodes == records.mixnodes
    view = NetworkView()
    judgement = view.judge(records, {}, Rules(Reach.LOOPBACK, is_vouched=True))
    try:
        view.look(judgement, 0.0)
    except UnusableNetworkError:
        return
    view.report()
    view.details()


def presence(data: bytes) -> None:
    """A body that a node posts, tried as each kind of node."""
    refused = 0
    for read in (
        directory.decode_mixnode,
        directory.decode_provider,
        directory.decode_coconode,
        directory.decode_metric,
    ):
        try:
            node = read(data)
        except RemoteFormatError:
            refused += 1
            continue
        if isinstance(node, directory.MixNode) or (
            isinstance(node, directory.Provider) and node.digest is None
        ):
            assert read(directory.encode_presence(node)) == node._replace(last_seen=0)
    if refused == 4:
        raise RemoteFormatError("it is no presence")


def client_list(data: bytes) -> None:
    changes = decode_changes(data)
    changes.apply(LISTS[1])


def digest(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    assert str(parse_digest(text)) == text


def signature(data: bytes) -> None:
    header = data.decode("latin-1")
    claim, signed = parse_signature(header)
    assert claim.signed(lambda _: signed, "topology", "/api", b"") == header


def host(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    split_host(text)
    if address := parse_numeric(text):
        encode_address(address)


def version(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    identity = identity_in(text)
    assert identity is None or len(identity) == 32
    offers_line(text)


def _topologies() -> list[bytes]:
    return [(VECTORS / f"topology_{year}.json").read_bytes() for year in (2019, 2020)]


def _presences() -> list[bytes]:
    records = directory.parse_topology(_topologies()[1])
    return [
        directory.encode_presence(records.mixnodes[0]),
        directory.encode_presence(records.providers[0]),
        directory.encode_presence(records.providers[0], directory.Lists.BY_DIGEST),
        directory.encode_metric(directory.Metric("key", 1, {"127.0.0.1:80": 2})),
        b'{"host": "127.0.0.1:80", "pubKey": "key", "type": "t", "version": "0.4.0"}',
    ]


def _signatures() -> list[bytes]:
    claims = [Claim(SIGNER.public_key, 1), Claim(SIGNER.public_key, 1, "0" * 32, 2)]
    return [claim.signed(SIGNER.sign, "topology", "/api", b"").encode() for claim in claims]


TARGETS = {
    "topology": Target(topology, RemoteFormatError, _topologies, 16384),
    "presence": Target(presence, RemoteFormatError, _presences),
    "client_list": Target(
        client_list,
        RemoteFormatError,
        lambda: [changes_between(a, b).encode() for a in LISTS for b in LISTS],
    ),
    "digest": Target(digest, RemoteFormatError, lambda: [str(c.digest).encode() for c in LISTS]),
    "signature": Target(signature, RemoteFormatError, _signatures),
    "host": Target(
        host, RemoteFormatError, lambda: [b"1.2.3.4:1789", b"[::1]:1789", b"mix.example:1789"], 512
    ),
    "version": Target(
        version,
        (),
        lambda: [b"0.4.0", b"0.4.0+id.11111111111111111111111111111111.line.1"],
        512,
    ),
}
