"""A plan to begin with: the smallest network in which nobody sees a whole route."""

from nym.network.plan import Host, HostSettings, NetworkSettings, Plan

# The addresses are for documentation (RFC 5737).
EXAMPLE = Plan(
    NetworkSettings(name="friends", clients=50),
    (
        Host("ada", HostSettings("Ada", "192.0.2.7", layer=1, directory=True)),
        Host("barbara", HostSettings("Barbara", "198.51.100.7", layer=2)),
        Host("grace", HostSettings("Grace", "203.0.113.7", layer=3)),
        Host("hedy", HostSettings("Hedy", "198.51.100.99", provider=True)),
        Host("katherine", HostSettings("Katherine", "203.0.113.99", provider=True)),
    ),
)
