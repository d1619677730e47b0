"""Machines for a transcript: `python -m tests.hosting.machines ADDRESS ... SCRIPT`, as root.

Each address is a network namespace with folders of its own, in which `ssh root@ADDRESS` runs
commands (tools/ssh), and `systemctl` the services there (tools/systemctl). SCRIPT, which bash runs,
is typed on another machine that reaches all of them.
"""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

TOOLS = Path(__file__).parent / "tools"
# The user of the services is root under another name, so that it can read the checkout.
PASSWD = "root:x:0:0::/root:/bin/sh\nnym-client:x:0:0::/var/lib/nym-client:/bin/sh\n"
GROUP = "root:x:0:\nnym-client:x:0:\n"


def main(*arguments: str) -> int:
    """See the module's docstring. Returns the script's exit code."""
    *addresses, script = arguments
    with TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "passwd").write_text(PASSWD)
        (folder / "group").write_text(GROUP)
        ip("link", "add", "bridge", "type", "bridge")
        ip("link", "set", "bridge", "up")
        ip("link", "set", "lo", "up")
        ip("address", "add", "192.0.2.1/32", "dev", "bridge")
        ip("route", "add", "default", "dev", "bridge")
        for number, address in enumerate(addresses):
            for name in ("lib", "bin", "units", "home"):
                (folder / address / name).mkdir(parents=True)
            ip("netns", "add", address)
            there = ("peer", "name", "eth0", "netns", address)
            ip("link", "add", f"v{number}", "type", "veth", *there)
            ip("link", "set", f"v{number}", "master", "bridge", "up")
            for command in (
                "link set lo up",
                "link set eth0 up",
                f"address add {address}/32 dev eth0",
                "route add default dev eth0",
            ):
                ip("-netns", address, *command.split())
        path = f"{TOOLS}:{os.environ['PATH']}"
        environment = {**os.environ, "MACHINES": place, "PATH": path}
        return subprocess.run(["/bin/bash", script], env=environment, check=False).returncode


def ip(*arguments: str) -> None:
    """Run `ip`."""
    subprocess.run(["ip", *arguments], check=True)  # noqa: S607


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
