"""A local network: a whole Nym 0.4 network in one process.

It is for tests, for a first look, and for work on other programs. It hides nothing from anyone who
can look into this machine, because every hop is there.
"""
