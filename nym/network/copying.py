"""A script that copies each host its folder, and the program, and runs what is in it."""

from nym.network.generated import File
from nym.network.plan import Host

_COPY = """\
#!/bin/sh
# Copies each host its folder and the program, and runs {run} there:
#
#   ./copy [HOST ...]
#
# without a name, on all hosts. It logs in as root with ssh. NYM_CLIENT names the program, if it is
# not on the PATH.
set -eu
program=${{NYM_CLIENT:-$(command -v nym-client || :)}}
[ -f "$program" ] || {{ echo "copy: where is nym-client? Set NYM_CLIENT" >&2; exit 1; }}
program=$(realpath "$program")
cd "$(dirname "$0")"

# host NAME ADDRESS
host() {{
  echo "copy: $1, at $2"
  # -o: what is there then belongs to root, and not to a user with the number of yours.
  tar -cf - -C "$1" . | ssh "root@$2" 'umask 077; mkdir -p {folder}; tar -xof - -C {folder}'
  # In this order: when the program is complete, everything is.
  ssh "root@$2" 'cd {folder}; cat > part && mv part nym-client && ./{run}' < "$program"
}}

[ $# -gt 0 ] || set -- {names}
for name; do
  case $name in
{cases}
    *) echo "copy: there is no host $name" >&2; exit 1 ;;
  esac
done
"""


def copy(hosts: tuple[Host, ...], folder: str, run: str) -> File:
    """Return the script. On a host, `folder` is in root's home, and `run` is a script in it."""
    # In quotes, because a host may have the name of a word of the shell, such as esac.
    cases = [f"    '{host.name}') host {host.name} {host.ip} ;;" for host in hosts]
    names = " ".join(host.name for host in hosts)
    text = _COPY.format(names=names, cases="\n".join(cases), folder=folder, run=run)
    return File("copy", text, is_program=True)
