"""Simulates whole networks, event by event: python -m benchmarks network.

Nothing here sends a packet, so networks can be far larger than what runs on one machine, and an
hour takes as long as it takes to compute. All randomness comes from one seed: the same scenario
with the same seed gives the same result.

The parts, from the bottom: `clock` has what happens at which time. `scenario` says which network
is simulated, and what its nodes take for each packet. `stations` are the nodes; `churn` says when
they are away. `simulation` moves packets from clients through stations to clients, and `anonymity`
judges what was recorded of that. `result` has the figures, `figures` the drawings for
docs/scale.md, made by `plot`. `real` compares with a network that really runs. `command` is the
command line.
"""
