"""Lengths, in bytes, that every part of the protocol shares (docs/protocol/sphinx.md, "Sizes")."""

KEY_LENGTH = 32
ADDRESS_LENGTH = 32  # of a client (its public key), and of a node in a header
PACKET_LENGTH = 1372
LONGEST_MESSAGE = 975  # that one packet carries
LONGEST_FRAME = 1 << 20  # of what applications say and hear: a frame, a line, a WebSocket message
