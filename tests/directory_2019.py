"""The directory of October 2019, which tests play: clients read its shape, nobody writes it."""

import json

from nym.wire.directory import Records
from nym.wire.keys import encode_base64


def encode_topology_2019(records: Records) -> bytes:
    """In the shape of October 2019, which has neither versions nor a provider's client listener."""
    return json.dumps(
        {
            "CocoNodes": [],
            "MixNodes": [
                {
                    "host": node.host,
                    "pubKey": encode_base64(node.public_key),
                    "layer": node.layer,
                    "lastSeen": node.last_seen,
                }
                for node in records.mixnodes
            ],
            "MixProviderNodes": [
                {
                    "host": node.mixnet_listener,
                    "pubKey": encode_base64(node.public_key),
                    "registeredClients": [{"pubKey": encode_base64(key)} for key in node.clients],
                    "lastSeen": node.last_seen,
                }
                for node in records.providers
            ],
        }
    ).encode()
