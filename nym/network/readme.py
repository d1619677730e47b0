"""The README of a generated folder: what is in it, and what to do with it."""

from nym.network.generated import File
from nym.network.homes import Network


def readme(network: Network, engine: str, how: str) -> File:
    """Return it; `how` says what to do, as Markdown."""
    of = network.plan.network
    all_nodes = len(network.homes)
    ours = sum(home.is_ours for home in network.homes)
    text = f"""\
# The network {of.name}, for {engine}

Made by `nym-client network generate` from the plan. Change the plan and run that again: it
changes only what the plan changes. Files that it calls unused belong to what the plan has no more.

The private identities of {ours} of {all_nodes} nodes are here, as `identity.pem` in their folders.
They are made once, and stay. Whoever has one can pose as that node: keep this folder to yourself,
and make a backup of it.

{how}
## Is all well?

On any machine, with the plan for PLAN, this tries every node, and says what is wrong and what to
do:

```sh
{network.check}
```

## People

Each makes a client with

```sh
{network.init}
```

with a name of their own for NAME. The key is that of the directory: with it, a client uses nothing
that somebody on the way has changed. Tell it to people on a way that nobody else can change, such
as in person.
"""
    return File("README.md", text)


def ports(network: Network) -> str:
    """A list of the ports of each host, as Markdown."""
    return "\n".join(
        f"- {host.name}: {', '.join(str(port) for port in host.ports().values())}"
        for host in network.plan.hosts
    )
