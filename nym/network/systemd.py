"""Services of systemd for the nodes of a planned network, and what installs them on each host."""

from collections.abc import Iterator

from nym.config.folders import FOLDERS
from nym.network.copying import copy
from nym.network.generated import File
from nym.network.homes import Network
from nym.network.plan import Host
from nym.network.readme import ports, readme

# One unit is for all kinds of nodes: which one it runs is in the file's name. The same text is in
# contrib/nym-node@.service, for hosts that are set up by hand.
UNIT = """\
[Unit]
Description=Nym mix network %j %i
Documentation=man:nym-client(1)
After=network.target

[Service]
# With nym-client-standard, which is two processes, NotifyAccess=all is needed, too.
Type=notify
ExecStart=/usr/local/bin/nym-client %j --id %i
# The program kill is in a package that small systems don't have.
ExecReload=/bin/sh -c 'kill -HUP $MAINPID'
KillMode=mixed
WatchdogSec=60
Restart=on-failure
RestartSec=5
# A node goes on for some seconds when it stops, until clients know: mixnode.farewell, and ten more.
TimeoutStopSec=90
# 2: the command line, 5: keys or configuration. The next start would end in the same way.
RestartPreventExitStatus=2 5
# Standard output has only the banner and what the log has, too. The log is on standard error.
StandardOutput=null
StandardError=journal

User=nym-client
Group=nym-client
StateDirectory=nym-client
StateDirectoryMode=0700
Environment=XDG_CONFIG_HOME=%S/nym-client
UMask=0077
# No core dumps: they would contain keys.
LimitCORE=0

NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProcSubset=pid
RemoveIPC=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""

_INSTALL = """\
#!/bin/sh
# Installs the nodes of {name}, or takes over what has changed in this folder. As root, on {name}:
#
#   ./install
#
# The program has to be in this folder, too, or in /usr/local/bin already.
set -eu
cd "$(dirname "$0")"
[ "$(id -u)" = 0 ] || {{ echo "install: only root can install services" >&2; exit 1; }}

program=/usr/local/bin/nym-client
home=/var/lib/nym-client
new_program=
if [ -e nym-client ] && ! cmp -s nym-client "$program"; then
  # Put in place by a rename, because the old one may be running.
  install -m 755 nym-client "$program.new"
  mv "$program.new" "$program"
  new_program=yes
fi
[ -e "$program" ] ||
  {{ echo "install: nym-client is missing; copy it into this folder" >&2; exit 1; }}

getent passwd nym-client > /dev/null || useradd --system --home-dir "$home" --create-home \\
  --skel /dev/null --shell /usr/sbin/nologin nym-client
install -d -o nym-client -g nym-client -m 700 "$home" "$home/nym"

# node ROLE FOLDER ID: puts the settings of a node in place, and starts it, if anything is new.
node() {{
  folder=$home/nym/$2/$3
  install -d -o nym-client -g nym-client -m 700 "$home/nym/$2" "$folder"
  # The identity of a node that is there already stays.
  [ -e "$folder/identity.pem" ] || [ ! -e "nym/$2/$3/identity.pem" ] ||
    install -o nym-client -g nym-client -m 600 "nym/$2/$3/identity.pem" "$folder"
  todo=${{new_program:+restart}}
  systemctl is-active --quiet "nym-$1@$3" || todo=restart
  # A directory reads allowed.txt again without a restart.
  ! put "nym/$2/$3/allowed.txt" "$folder" || todo=${{todo:-reload-or-restart}}
  ! put "nym/$2/$3/config.toml" "$folder" || todo=restart
  install -m 644 nym-node@.service "/etc/systemd/system/nym-$1@.service"
  systemctl daemon-reload
  systemctl enable --quiet "nym-$1@$3"
  [ -z "$todo" ] || {{ echo "install: $todo nym-$1@$3" && systemctl "$todo" "nym-$1@$3"; }}
}}

# put FILE FOLDER: puts a file in place; returns 1 if there is none, or it is in place already.
put() {{
  [ -e "$1" ] || return 1
  ! cmp -s "$1" "$2/${{1##*/}}" || return 1
  install -o nym-client -g nym-client -m 600 "$1" "$2" || exit 1
}}

{nodes}
"""

_HOW = """\
## Hosts

Each host has a folder here, with the settings and identities of its nodes, and `install`, which
puts all of it in place. Read it; it is short. A host needs Linux with systemd 239 or newer, and
these ports, open to everybody:

{ports}

If you may log in to the hosts as root, `./copy` copies each its folder and the program, and runs
`install` there. Otherwise give each operator the folder of their host, on a way that nobody else
can read. They put the program into it, and run `./install` as root.

After a change of the plan, do the same again. It restarts the nodes whose settings have changed,
and no others. Stop a node that is no longer in the plan on its host: `systemctl disable --now
nym-mixnode@NAME`.

On a host, `systemctl status 'nym-*'` shows the services. This asks a node whether all is well:

```sh
runuser -u nym-client -- env XDG_CONFIG_HOME=/var/lib/nym-client nym-client check --id {id}
```

"""


def files(network: Network) -> Iterator[File]:
    """What each host needs, and what copies it there."""
    how = _HOW.format(ports=ports(network), id=network.homes[0].node.id)
    yield readme(network, "systemd", how)
    for host in network.plan.hosts:
        yield File(f"{host.name}/nym-node@.service", UNIT)
        yield File(f"{host.name}/install", _install(network, host), is_program=True)
    yield copy(network.plan.hosts, "nym-install", "install")


def _install(network: Network, host: Host) -> str:
    nodes = [
        f"node {home.node.role} {FOLDERS[home.node.role]} {home.node.id}"
        for home in network.of(host)
    ]
    return _INSTALL.format(name=host.name, nodes="\n".join(nodes))
