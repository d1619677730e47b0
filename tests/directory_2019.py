"""Encodes a topology as the directory of October 2019 did.

Clients still read that shape. No part of the program writes it, so only tests have an encoder.
"""

import json

from nym.wire.directory import Records
from nym.wire.keys import encode_base64


def encode_topology_2019(records: Records) -> bytes:
    """The records as JSON of October 2019, without versions and without client listeners."""
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
