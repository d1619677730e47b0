"""Simulates whole networks, event by event: python -m benchmarks network.

Nothing here sends a packet, so networks can be far larger than what runs on one machine, and an
hour takes as long as it takes to compute. All randomness comes from one seed: the same scenario
with the same seed gives the same result.

The parts, from the bottom: `scenario` says which network is simulated, and what its nodes take for
each packet. `clock` has what happens at which time. `stations` are the nodes, and `churn` says when
they are away. `clients` has all clients, and `traffic` what is on its way. `simulation` moves it
from clients through stations to clients, and `anonymity` judges what an observer saw of it.
`result` has the figures. `comparison` compares some with a network that really runs, which
`running` is. `command` is the command line.
"""
