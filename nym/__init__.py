"""A client for the Nym 0.4 mix network, and a local network to run it on."""

# The program's own version. It grows with what the program does, whatever the protocol is.
__version__ = "1.0.0"

# The mixnet version whose protocol it speaks. Nodes announce it, and the banner shows it.
PROTOCOL_VERSION = "0.4.0"
