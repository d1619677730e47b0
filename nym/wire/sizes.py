"""Sizes that every part of the protocol shares (docs/protocol/sphinx.md, "Sizes").

In bytes, where nothing else is said.
"""

MOST_LAYERS = 4  # of mixnodes, before a provider
KEY_LENGTH = 32
ADDRESS_LENGTH = 32  # of a client (its public key), and of a node in a header
PACKET_LENGTH = 1372
LONGEST_MESSAGE = 975  # that one packet carries
LONGEST_SEALED = 16 << 20  # that many packets carry, in envelopes
LONGEST_FRAME = 1 << 20  # a frame, a WebSocket message, an answer of several messages
LONGEST_LINE = 24 << 20  # a line with the longest message in base64
