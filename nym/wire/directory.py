"""The directory's JSON (docs/protocol/directory.md): two shapes, read into the same records.

The shapes of October 2019 and January 2020 differ in the capitals of the top-level names, in how
keys are written, and in the fields of a provider. A node of 2019 has no version (None here). A
malformed record is left out and counted. It must not make the whole answer unusable, because anyone
can post one.

Between programs of ours, a provider's clients are named by the digest of their list
(nym.wire.clients), in place of the list.
"""

import json
import re
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, NamedTuple, TypeVar

from nym.errors import RemoteFormatError
from nym.wire.addresses import split_host
from nym.wire.clients import EMPTY, AddressList, Digest, parse_digest
from nym.wire.keys import decode_base58, decode_base64, encode_base58
from nym.wire.sizes import MOST_LAYERS
from nym.wire.text import visible

Node = TypeVar("Node")

_TEXT = re.compile(r"[\w.:+\[\]=/-]{0,300}", re.ASCII)
_SHOWN = 60  # characters of a text in an error
_DIGEST = "clients"  # the field with the digest of a provider's list

TOPOLOGY_PATH = "/api/presence/topology"
MIXNODES_PATH = "/api/presence/mixnodes"
PROVIDERS_PATH = "/api/presence/mixproviders"
COCONODES_PATH = "/api/presence/coconodes"
LEAVING_PATH = "/api/presence/leaving"  # a signed post; published directories answer with 404
METRICS_PATH = "/api/metrics/mixes"
HEALTH_PATH = "/api/healthcheck"
LISTS_PATH = "/api/presence/clients"  # and behind it the digest of a list

# With this query, a topology names lists by their digests. Published directories ignore it.
BY_DIGEST = "clients=digest"
SINCE = "since"  # in the query for a list: the digest of the one that is known
# The header of each answer by a directory that takes lists by digest; its value is BY_DIGEST.
TAKES_HEADER = "Nym-Takes"
# In an answer to a provider whose list the directory hasn't: it wants the changes since this one.
SINCE_HEADER = "Nym-Clients-Since"

CLIENT_PORT_2019 = 9000  # where providers of 2019 take clients; their records don't say it


class MixNode(NamedTuple):
    """A mixnode as the directory lists it. `host` is a `host:port`, perhaps with a name."""

    host: str
    public_key: bytes
    layer: int
    version: str | None
    last_seen: int = 0


class Provider(NamedTuple):
    """A provider: where it takes packets, where it takes clients, and who is registered there.

    `digest` is that of the list of clients, while `clients` is not that list yet.
    """

    mixnet_listener: str
    client_listener: str
    public_key: bytes
    clients: AddressList
    version: str | None
    last_seen: int = 0
    digest: Digest | None = None


class CocoNode(NamedTuple):
    """A credential node. No packet goes there, but the directory lists it."""

    host: str
    public_key: str
    kind: str
    version: str
    last_seen: int = 0


class Records(NamedTuple):
    """All records in one answer. `skipped` counts those that can't be read."""

    mixnodes: tuple[MixNode, ...] = ()
    providers: tuple[Provider, ...] = ()
    coconodes: tuple[CocoNode, ...] = ()
    skipped: int = 0


class Lists(Enum):
    """How a topology tells providers' clients."""

    WHOLE = "whole"  # as published programs do
    BY_DIGEST = "digest"
    NONE = "none"  # by a directory that has no lists for clients that ask in our form


class Metric(NamedTuple):
    """How many packets a mixnode received, and sent to each `ip:port`, since its last report."""

    public_key: str
    received: int
    sent: dict[str, int]


def parse_topology(data: bytes) -> Records:
    """The records in an answer of either shape. Raises RemoteFormatError if it is no topology."""
    body = _object(data)
    old = "MixNodes" in body or "MixProviderNodes" in body
    try:
        if old:
            mixnodes, providers = body["MixNodes"], body["MixProviderNodes"]
        else:
            mixnodes, providers = body["mixNodes"], body["mixProviderNodes"]
    except KeyError as error:
        raise RemoteFormatError(f"not a topology: {error.args[0]} is missing") from error
    # Go writes an empty list as null.
    good_mixnodes = _readable(mixnodes or [], _mixnode_2019 if old else _mixnode_2020)
    good_providers = _readable(providers or [], _provider_2019 if old else _provider_2020)
    skipped = len(mixnodes or []) + len(providers or []) - len(good_mixnodes) - len(good_providers)
    return Records(tuple(good_mixnodes), tuple(good_providers), (), skipped)


def encode_topology(records: Records, lists: Lists = Lists.WHOLE) -> bytes:
    """The records as JSON, in the shape of January 2020."""
    return _json(
        {
            "cocoNodes": [
                _coconode(node) | {"lastSeen": node.last_seen} for node in records.coconodes
            ],
            "mixNodes": [
                _mixnode(node) | {"lastSeen": node.last_seen} for node in records.mixnodes
            ],
            "mixProviderNodes": [
                _provider(node, lists) | {"lastSeen": node.last_seen} for node in records.providers
            ],
        }
    )


# What nodes post, in the shape of January 2020.


def encode_presence(node: MixNode | Provider, lists: Lists = Lists.WHOLE) -> bytes:
    """The body of a node's POST. `lastSeen` is zero, because the directory fills it in."""
    body = _mixnode(node) if isinstance(node, MixNode) else _provider(node, lists)
    return _json(body | {"lastSeen": 0})


def encode_metric(metric: Metric) -> bytes:
    """The body of POST /api/metrics/mixes."""
    return _json({"pubKey": metric.public_key, "received": metric.received, "sent": metric.sent})


def decode_mixnode(data: bytes) -> MixNode:
    """The body of POST /api/presence/mixnodes. Raises RemoteFormatError."""
    node = _mixnode_2020(_object(data))
    _check_port(node.host)
    _check_texts(node.version)
    return node


def decode_provider(data: bytes) -> Provider:
    """The body of POST /api/presence/mixproviders. Raises RemoteFormatError."""
    body = _object(data)
    if _DIGEST not in body:
        _field(body, "registeredClients", list)  # the published directory refuses null here, too
    node = _provider_2020(body)
    _check_port(node.mixnet_listener)
    _check_port(node.client_listener)
    _check_texts(node.version)
    return node


def decode_coconode(data: bytes) -> CocoNode:
    """The body of POST /api/presence/coconodes. Raises RemoteFormatError."""
    body = _object(data)
    node = CocoNode(
        _host(body, "host"),
        _field(body, "pubKey", str),
        _field(body, "type", str),
        _field(body, "version", str),
    )
    _check_port(node.host)
    _check_texts(node.public_key, node.kind, node.version)
    return node


def decode_metric(data: bytes) -> Metric:
    """The body of POST /api/metrics/mixes. Raises RemoteFormatError."""
    body = _object(data)
    sent = _field(body, "sent", dict)
    if not all(isinstance(count, int) for count in sent.values()):
        raise RemoteFormatError("sent: a count isn't an integer")
    metric = Metric(_field(body, "pubKey", str), _field(body, "received", int), sent)
    _check_texts(metric.public_key, *metric.sent)
    return metric


def _mixnode_2020(body: dict[str, Any]) -> MixNode:
    return MixNode(
        _host(body, "host"),
        _key(body, decode_base58),
        _layer(body),
        _field(body, "version", str),
        _last_seen(body),
    )


def _provider_2020(body: dict[str, Any]) -> Provider:
    return Provider(
        _host(body, "mixnetListener"),
        _host(body, "clientListener"),
        _key(body, decode_base58),
        _clients(body, decode_base58),
        _field(body, "version", str),
        _last_seen(body),
        parse_digest(_field(body, _DIGEST, str)) if _DIGEST in body else None,
    )


def _mixnode_2019(body: dict[str, Any]) -> MixNode:
    return MixNode(
        _host(body, "host"), _key(body, decode_base64), _layer(body), None, _last_seen(body)
    )


def _provider_2019(body: dict[str, Any]) -> Provider:
    mixnet_listener = _host(body, "host")
    host = mixnet_listener.rpartition(":")[0]
    return Provider(
        mixnet_listener,
        f"{host}:{CLIENT_PORT_2019}",
        _key(body, decode_base64),
        _clients(body, decode_base64),
        None,
        _last_seen(body),
    )


def _coconode(node: CocoNode) -> dict[str, Any]:
    return {
        "host": node.host,
        "pubKey": node.public_key,
        "type": node.kind,
        "version": node.version,
    }


def _mixnode(node: MixNode) -> dict[str, Any]:
    return {
        "host": node.host,
        "pubKey": encode_base58(node.public_key),
        "layer": node.layer,
        "version": node.version,
    }


def _provider(node: Provider, lists: Lists) -> dict[str, Any]:
    return {
        "clientListener": node.client_listener,
        "mixnetListener": node.mixnet_listener,
        "pubKey": encode_base58(node.public_key),
        **_listed(node.clients, lists),
        "version": node.version,
    }


def _listed(clients: AddressList, lists: Lists) -> dict[str, Any]:
    match lists:
        case Lists.WHOLE:
            return {"registeredClients": [{"pubKey": encode_base58(key)} for key in clients]}
        case Lists.BY_DIGEST:
            return {_DIGEST: str(clients.digest)}
        case Lists.NONE:
            return {}


def _json(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode()


def _object(data: bytes) -> dict[str, Any]:
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RemoteFormatError(f"not JSON: {error}") from error
    if not isinstance(body, dict):
        raise RemoteFormatError("not a JSON object")
    return body


def _readable(nodes: object, parse: Callable[[dict[str, Any]], Node]) -> list[Node]:
    if not isinstance(nodes, list):
        raise RemoteFormatError("the nodes aren't in a list")
    return list(_parsed(nodes, parse))


def _parsed(nodes: Iterable[object], parse: Callable[[dict[str, Any]], Node]) -> Iterable[Node]:
    for node in nodes:
        try:
            if isinstance(node, dict):
                yield parse(node)
        except RemoteFormatError:
            continue  # the caller counts those that are missing


def _field(body: dict[str, Any], name: str, kind: type) -> Any:
    value = body.get(name)
    # To Python, a bool is an int. In JSON, true isn't a number, and no field here is a bool.
    if not isinstance(value, kind) or isinstance(value, bool):
        raise RemoteFormatError(f"{name} is missing, or isn't of type {kind.__name__}")
    return value


def _host(body: dict[str, Any], name: str) -> str:
    host: str = _field(body, name, str)
    split_host(host)
    return host


def _check_port(host: str) -> None:
    """Raises RemoteFormatError for port 0. Directories refuse it; clients leave it out later."""
    if split_host(host)[1] == 0:
        raise RemoteFormatError(f"nothing can listen on port 0: {host}")


def _check_texts(*texts: str | None) -> None:
    """Raises RemoteFormatError for what is no version, key or host, but may be markup.

    Directories keep these texts, and pages show them.
    """
    for text in texts:
        if text is not None and not _TEXT.fullmatch(text):
            raise RemoteFormatError(f"not a version, a key or a host: {visible(text, _SHOWN)}")


def _key(body: dict[str, Any], decode: Callable[[str], bytes]) -> bytes:
    try:
        return decode(_field(body, "pubKey", str))
    except ValueError as error:
        raise RemoteFormatError(f"pubKey: {error}") from error


def _clients(body: dict[str, Any], decode: Callable[[str], bytes]) -> AddressList:
    clients = body.get("registeredClients")
    if not clients:
        return EMPTY
    return AddressList.of(_readable(clients, lambda client: _key(client, decode)))


def _layer(body: dict[str, Any]) -> int:
    layer: int = _field(body, "layer", int)
    if not 1 <= layer <= MOST_LAYERS:
        raise RemoteFormatError(f"there is no layer {layer}, only 1 to {MOST_LAYERS}")
    return layer


def _last_seen(body: dict[str, Any]) -> int:
    last_seen = body.get("lastSeen", 0)
    return last_seen if isinstance(last_seen, int) else 0
