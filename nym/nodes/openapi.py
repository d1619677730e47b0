"""The description of a directory's API, as OpenAPI 2.0, at /swagger/doc.json as 0.4 has it."""

from typing import Any

from nym import PROTOCOL_VERSION


def _listed(kind: str) -> dict[str, Any]:
    return {"type": "array", "items": {"$ref": f"#/definitions/{kind}"}}


def _object(**fields: Any) -> dict[str, Any]:
    return {"type": "object", "properties": fields, "required": list(fields)}


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
            "201": {"description": "taken", "schema": {"$ref": "#/definitions/Ok"}},
            "400": {"description": "refused", "schema": {"$ref": "#/definitions/Error"}},
            "403": {
                "description": "not on this directory's list of identities",
                "schema": {"$ref": "#/definitions/Error"},
            },
        },
    }


def _get(summary: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "summary": summary,
        "produces": ["application/json"],
        "responses": {"200": {"description": "the list", "schema": schema}},
    }


_TEXT = {"type": "string"}
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
            "get": _get("All nodes that are alive", {"$ref": "#/definitions/Topology"})
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
        "ListedCocoNode": _object(**_COCONODE, lastSeen=_TIME),
        "Topology": _object(
            mixNodes=_listed("ListedMixNode"),
            mixProviderNodes=_listed("ListedProvider"),
            cocoNodes=_listed("ListedCocoNode"),
        ),
    },
}
