"""The description of a directory's API, as OpenAPI 2.0, at /swagger/doc.json as 0.4 has it."""

from typing import Any

from nym import PROTOCOL_VERSION


def _listed(kind: str) -> dict[str, Any]:
    return {"type": "array", "items": {"$ref": f"#/definitions/{kind}"}}


def _object(**fields: Any) -> dict[str, Any]:
    return {"type": "object", "properties": fields, "required": list(fields)}


def _refusal(status: str, why: str) -> dict[str, Any]:
    return {status: {"description": why, "schema": {"$ref": "#/definitions/Error"}}}


_TAKEN = {"201": {"description": "taken", "schema": {"$ref": "#/definitions/Ok"}}}


def _post(summary: str, kind: str) -> dict[str, Any]:
    body = {
        "name": "body",
        "in": "body",
        "required": True,
        "schema": {"$ref": f"#/definitions/{kind}"},
    }
    signature = {"name": "Nym-Signature", "in": "header", "type": "string", "required": False}
    return {
        "summary": summary,
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "parameters": [body, signature],
        "responses": {
            **_TAKEN,
            **_refusal("400", "refused"),
            **_refusal("403", "not on this directory's list of identities"),
        },
    }


def _get(summary: str, schema: dict[str, Any], *parameters: dict[str, Any]) -> dict[str, Any]:
    return {
        "summary": summary,
        "produces": ["application/json"],
        "parameters": list(parameters),
        "responses": {"200": {"description": "the list", "schema": schema}},
    }


_TEXT = {"type": "string"}
_DIGEST = _TEXT | {"description": "the digest of a list of addresses: SIZE-HEX"}
_CHANGES = {"type": "string", "format": "binary"}
_NAMED = {"name": "digest", "in": "path", "required": True, **_DIGEST}
_SINCE = {"name": "since", "in": "query", "required": False, **_DIGEST}
_BY_DIGEST = {
    "name": "clients",
    "in": "query",
    "required": False,
    **_TEXT,
    "enum": ["digest"],
    "description": "providers come with the digests of their lists of clients (ListedInShort)",
}
_HOST = _TEXT | {"description": "HOST:PORT: a name, an IPv4 address, or an IPv6 one in brackets"}
_KEY = _TEXT | {"description": "an X25519 public key in base58"}
_TIME = {"type": "integer", "format": "int64", "description": "nanoseconds since 1970"}
_COUNT = {"type": "integer"}
_LAYER = {"type": "integer", "minimum": 1}

_MIXNODE = {"host": _HOST, "pubKey": _KEY, "layer": _LAYER, "version": _TEXT}
_COCONODE = {"host": _HOST, "pubKey": _TEXT, "type": _TEXT, "version": _TEXT}
_PROVIDER = {
    "clientListener": _HOST,
    "mixnetListener": _HOST,
    "pubKey": _KEY,
    "registeredClients": _listed("Client"),
    "version": _TEXT,
}
_IN_SHORT = {
    **{name: schema for name, schema in _PROVIDER.items() if name != "registeredClients"},
    "clients": _DIGEST,
}
_METRIC = {
    "pubKey": _TEXT,
    "received": _COUNT,
    "sent": {"type": "object", "additionalProperties": _COUNT},
}

DESCRIPTION: dict[str, Any] = {
    "swagger": "2.0",
    "info": {
        "title": "Directory of a Nym 0.4 mix network",
        "description": "Nodes post that they are alive. Clients ask which nodes there are. Besides "
        "these calls, GET /ws opens a WebSocket, on which each ListedMetric is one text message.",
        "version": PROTOCOL_VERSION,
    },
    "basePath": "/api",
    "paths": {
        "/healthcheck": {"get": _get("Whether the directory works", {"$ref": "#/definitions/Ok"})},
        "/presence/topology": {
            "get": _get("All nodes that are alive", {"$ref": "#/definitions/Topology"}, _BY_DIGEST)
        },
        "/presence/clients/{digest}": {
            "get": {
                "summary": "The changes to a list of clients, since the one that is known or none",
                "produces": ["application/octet-stream"],
                "parameters": [_NAMED, _SINCE],
                "responses": {
                    "200": {"description": "the changes", "schema": _CHANGES},
                    **_refusal("404", "no provider has this list"),
                },
            },
            "post": {
                "summary": "A list of clients that this directory has asked a provider for",
                "consumes": ["application/octet-stream"],
                "produces": ["application/json"],
                "parameters": [
                    _NAMED,
                    {"name": "body", "in": "body", "required": True, "schema": _CHANGES},
                ],
                "responses": {**_TAKEN, **_refusal("400", "refused")},
            },
        },
        "/presence/mixnodes": {"post": _post("A mixnode is alive", "MixNode")},
        "/presence/mixproviders": {"post": _post("A provider is alive", "Provider")},
        "/presence/coconodes": {"post": _post("A coconode is alive", "CocoNode")},
        "/presence/leaving": {"post": _post("A node that signs has stopped", "Leaving")},
        "/metrics/mixes": {
            "get": _get("What mixnodes did in the last 3 s", _listed("ListedMetric")),
            "post": _post("What a mixnode did since its last post", "Metric"),
        },
    },
    "definitions": {
        "Ok": _object(ok={"type": "boolean"}),
        "Error": _object(error=_TEXT),
        "Client": _object(pubKey=_KEY),
        "MixNode": _object(**_MIXNODE),
        "Provider": _object(**_PROVIDER),
        "CocoNode": _object(**_COCONODE),
        "Leaving": _object(),
        "Metric": _object(**_METRIC),
        "ListedMetric": _object(**_METRIC, timestamp=_TIME),
        "ListedMixNode": _object(**_MIXNODE, lastSeen=_TIME),
        "ListedProvider": _object(**_PROVIDER, lastSeen=_TIME),
        "ListedInShort": _object(**_IN_SHORT, lastSeen=_TIME),
        "ListedCocoNode": _object(**_COCONODE, lastSeen=_TIME),
        "Topology": _object(
            mixNodes=_listed("ListedMixNode"),
            mixProviderNodes=_listed("ListedProvider"),
            cocoNodes=_listed("ListedCocoNode"),
        ),
    },
}
