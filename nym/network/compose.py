"""Docker Compose for the nodes of a planned network: a file, and what starts it on each host."""

from collections.abc import Iterator
from hashlib import sha256

from nym.network.containers import USER, image
from nym.network.copying import copy
from nym.network.generated import File
from nym.network.homes import Home, Network, config_of
from nym.network.plan import Host
from nym.network.readme import ports, readme
from nym.wire.addresses import is_ipv6

_COMPOSE = """\
# The nodes of {host}, for Docker Compose. ./start builds their image, and starts them.

# What all of them have in common.
x-node: &node
  # From the Dockerfile beside this file. No registry has it.
  image: nym-client
  pull_policy: never
  restart: unless-stopped
  # When a node stops, it goes on until clients know: for mixnode.farewell, and ten seconds more.
  stop_grace_period: 90s
  # Only the folders of the nodes can be written to. z is for SELinux, and means nothing elsewhere.
  read_only: true
  volumes:
    - ./nym:/data/nym:z
  cap_drop: [ALL]
  security_opt: ["no-new-privileges:true"]
  ulimits:
    # A node takes up to 10,000 connections, and its clients as many again.
    nofile: 65536
    # Keys are locked in memory, so that they aren't written to swap.
    memlock: 8388608
  # Docker keeps all of a log for ever, unless told otherwise.
  logging:
    driver: json-file
    options:
      max-size: 10m
      max-file: "5"

# Compose starts a node anew if its nym.settings change, which stand for what is in its config.toml.
# `docker ps` shows how the health checks end. They ask the node alone, which knows whether a
# directory takes what it posts. Docker hands on packets with their source, which the nodes' limits
# for each source need.
services:
{services}{networks}"""

_SERVICE = """\
  {id}:
    <<: *node
    command: [{role}, --id, {id}]
    ports:
{ports}
    labels:
      nym.settings: "{settings}"
    healthcheck:
      test: [CMD, /nym-client, check, --running, --id, {id}]
      interval: 1m
      timeout: 30s
      start_period: 1m
"""

_IPV6 = """
# Without this, all packets of IPv6 would have the same source.
networks:
  default:
    enable_ipv6: true
"""

_START = """\
#!/bin/sh
# Starts the nodes of {host}, or takes over what has changed in this folder. As root, on {host}:
#
#   ./start
#
# The program has to be in this folder, too: the one file, because its image has nothing else.
set -eu
cd "$(dirname "$0")"
[ "$(id -u)" = 0 ] || {{ echo "start: only root can give files to the nodes" >&2; exit 1; }}
[ -e nym-client ] || {{ echo "start: nym-client is missing; copy it here" >&2; exit 1; }}

# Compose is a plugin of Docker, or on older systems a program.
compose="docker compose"
$compose version > /dev/null 2>&1 || compose=docker-compose

# The nodes use nothing that belongs to another user. Nobody else may get into this folder: a user
# of this host may have the same number.
chmod 700 .
chown -R {user}:{user} nym
chmod 755 nym-client
docker build --quiet --tag nym-client .
# Those whose settings or program are the same go on. Those that the plan has no more are removed.
$compose up --detach --remove-orphans
{reload}"""

_RELOAD = """\
# A directory reads allowed.txt again without a restart.
$compose kill -s HUP {id}
"""

_HOW = """\
## Hosts

Each host has a folder here, with `compose.yaml`, the settings and identities of its nodes, and
`start`, which builds the image and starts the nodes. Read both; they are short. A host needs Docker
20.10 or newer, run by root, and Compose 1.29 or newer{ipv6}. These ports have to be open
to everybody:

{ports}

If you may log in to the hosts as root, `./copy` copies each its folder and the program, as
`nym-nodes` in root's home, and runs `start` there. Otherwise give each operator the folder of their
host, on a way that nobody else can read. They put the program into it, and run `./start` as root.
The program has to be the one file: the image has nothing but it. The folder has to stay, because
the nodes keep all that they have in it.

After a change of the plan, or with a newer program, do the same again. Nodes whose settings have
changed are started anew, and those that the plan has no more are removed from their host. Their
folders stay.

On a host, in its folder, `docker compose ps` shows the nodes, and `docker compose logs` what they
say; it is `docker-compose` where Compose is no plugin. This asks a node whether all is well:

```sh
docker compose exec {id} /nym-client check --id {id}
```

"""


def files(network: Network) -> Iterator[File]:
    """What each host needs, and what copies it there."""
    hosts = network.plan.hosts
    ipv6 = ", and Docker 27 or newer for IPv6" if any(is_ipv6(host.ip) for host in hosts) else ""
    how = _HOW.format(ports=ports(network), id=network.homes[0].node.id, ipv6=ipv6)
    yield readme(network, "Docker Compose", how)
    for host in hosts:
        yield File(f"{host.name}/compose.yaml", _compose(network, host))
        yield File(f"{host.name}/start", _start(network, host), is_program=True)
        yield from image(f"{host.name}/")
    yield copy(hosts, "nym-nodes", "start")


def _compose(network: Network, host: Host) -> str:
    services = [_service(network, host, home) for home in network.of(host)]
    networks = _IPV6 if is_ipv6(host.ip) else ""
    return _COMPOSE.format(host=host.name, services="\n".join(services), networks=networks)


def _service(network: Network, host: Host, home: Home) -> str:
    node = home.node
    return _SERVICE.format(
        id=node.id,
        role=node.role,
        ports="\n".join(f'      - "{port}:{port}"' for port in host.ports_of(node.role).values()),
        settings=sha256(config_of(network, host, node).encode()).hexdigest()[:16],
    )


def _start(network: Network, host: Host) -> str:
    nodes = [home.node for home in network.of(host)]
    reload = "".join(_RELOAD.format(id=node.id) for node in nodes if network.has_list(node))
    return _START.format(host=host.name, user=USER, reload=reload)
