"""A network that is generated from a plan, each host a network namespace.

`python -m tests.hosting.planned ENGINE`: five hosts run what was generated for them, with the
command lines in the files for that engine, and a client each, which writes to the next one.
tests/test_network_hosts.py runs this as root.
"""

import re
import shlex
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from nym.network.example import EXAMPLE
from nym.network.plan import format_plan
from tests.hosting.engines import ENGINES
from tests.hosting.hosts import PROGRAM, Host, Service, make_bridge

PATIENCE = 300.0  # seconds


def main() -> None:
    """See the module's docstring."""
    engine = sys.argv[1]
    make_bridge()
    with TemporaryDirectory() as place, ExitStack() as stack:
        folder = Path(place)
        hosts = {host.name: Host(host.name, folder) for host in EXAMPLE.hosts}
        generated = folder / "network"
        generate(folder, hosts, generated, engine)
        starts = {name: list(ENGINES[engine](generated / name)) for name in hosts}
        for name, host in hosts.items():
            for node, _, host.home in starts[name]:
                stack.enter_context(Service(host, *node).running())
        init = re.findall(r"^nym-client init .*", (generated / "README.md").read_text(), re.M)[0]
        clients = []
        for name, host in hosts.items():
            host.home = folder / name
            host.run(*shlex.split(init.replace("NAME", name))[1:])
            service = Service(host, "tcpsocket", "--id", name, "--quiet")
            stack.enter_context(service.running())
            clients.append((host, host.run("address", "--id", name).strip()))
        for (host, _), (other, address) in zip(clients, clients[1:] + clients[:1], strict=True):
            send = ("send", "--id", host.name, "--reliable", "-m", f"from {host.name}", address)
            until(host, *send)
            got = other.run("receive", "--id", other.name, "--count", "1", "--timeout", "300")
            print(f"{other.name} has: {got}")
        for name, host in hosts.items():
            print(host.run("check", "--id", name, "--running"))
            for _, tries, host.home in starts[name]:
                for arguments in tries:
                    host.run(*arguments)
                    print(f"tried: {shlex.join(arguments)}")


def generate(folder: Path, hosts: dict[str, Host], generated: Path, engine: str) -> None:
    """Write the plan, with the addresses of these hosts, and generate what they need."""
    plan = EXAMPLE._replace(
        hosts=tuple(
            host._replace(settings=replace(host.settings, address=hosts[host.name].address))
            for host in EXAMPLE.hosts
        )
    )
    path = folder / "plan.toml"
    path.write_text(format_plan(plan))
    command = ("network", "generate", "--for", engine, str(path), str(generated))
    subprocess.run([*PROGRAM, *command], check=True)


def until(host: Host, *arguments: str) -> None:
    """Run a command until it succeeds."""
    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            host.run(*arguments)
        except AssertionError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.5)
        else:
            return


if __name__ == "__main__":
    main()
