"""The nodes of a network: mixnode, provider and directory.

`nym.localnet` puts them together in one process.
"""
