"""Sizes that all parts of the protocol share (docs/protocol/sphinx.md, "Sizes"), in bytes.

Those of packets are fixed by Nym 0.4. The longest sealed message and the longest frame and line are
this client's own limits, which bound the memory that one peer or application can take.
"""

MOST_LAYERS = 4  # layers of mixnodes; a header has room for five hops, the last one a provider
KEY_LENGTH = 32
TAG_LENGTH = 16  # names a reply address of somebody else to applications
ADDRESS_LENGTH = 32  # of a client (its public key), and of a node in a header
PACKET_LENGTH = 1372
LONGEST_MESSAGE = 975  # in one packet
LONGEST_SEALED = 16 << 20  # in many packets, each with an envelope
LONGEST_FRAME = 1 << 20  # of a frame, a WebSocket message, and an answer with several messages
LONGEST_LINE = 24 << 20  # enough for the longest message in base64
