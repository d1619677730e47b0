"""A Nym 0.4 network in one process: for tests, for a first look, for work on other programs.

It hides nothing from whoever runs it, who sees every hop.
"""
