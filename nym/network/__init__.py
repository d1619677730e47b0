"""Networks on several machines: planned, and set up from the plan (docs/network.md).

Nothing here runs a node. It says what a plan would carry, and writes what the hosts need.
"""
