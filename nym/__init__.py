"""A client for the Nym 0.4 mix network, and a local network to run it on."""

__version__ = "0.4.0"
