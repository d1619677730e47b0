"""Networks on several machines: planned, set up from the plan (docs/network.md), and checked.

Nothing here runs a node. It says what a plan would carry, writes what the hosts need, and tells how
a network is.
"""
