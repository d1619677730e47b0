"""A client of the Nym 0.4 mix network, and a network of its own to run on."""

__version__ = "0.4.0"
