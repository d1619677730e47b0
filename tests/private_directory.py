"""Measures which nodes clients leave out, and which names they look up, in a private network.

The directory, which isn't on a loopback address, lists a mixnode by name and one at a loopback
address. A client must not look up names unless `client.resolve_names` is set, because name servers
see lookups and decide where packets go. `python -m gevent.monkey --module tests.private_directory`,
as root in a network namespace and a mount namespace of its own, prints one line of JSON.
"""

import fcntl
import json
import socket
import struct
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gevent import config
from gevent.pywsgi import WSGIServer

from nym import PROTOCOL_VERSION
from nym.identity import generate_identity
from nym.localnet.network import Network
from nym.net.listening import listen
from nym.wire.directory import MixNode, encode_topology
from tests import private_network
from tests.harness import Application, running, wait_until

HOST = "10.77.0.1"


class CountingNameServer(private_network.NameServer):
    """Counts how often somebody asks for the name of the posted node."""

    asked = 0

    def handle(self, asked: Any, who: Any) -> None:
        """See gevent."""
        # Other questions don't count: gevent's WSGI server asks for the name of its own address.
        CountingNameServer.asked += private_network.NAME.partition(".")[0].encode() in asked
        super().handle(asked, who)


def main() -> None:
    """See the module's docstring."""
    config.resolver = "nym.net.localhost.Resolver"
    private_network.raise_loopback()
    add_address(HOST)
    with TemporaryDirectory() as folder:
        settings = Path(folder, "resolv.conf")
        settings.write_text("nameserver 127.0.0.1\n")
        mount = ("mount", "--bind", settings, "/etc/resolv.conf")
        subprocess.run(mount, check=True)
        CountingNameServer(("127.0.0.1", 53)).start()
        with running(Network(host=HOST)) as network:
            print(json.dumps(measure(network)), flush=True)


def add_address(ip: str) -> None:
    """Give this machine an address that is not a loopback address."""
    set_address = 0x8916  # SIOCSIFADDR of Linux, for which Python has no name
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        at = struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(ip))
        fcntl.ioctl(any_socket, set_address, struct.pack("16s16s8x", b"lo:1", at))


def measure(network: Network) -> dict[str, object]:
    """Which nodes a client leaves out, and how often names are asked for, by default and if set."""
    posted = [
        MixNode(host, generate_identity().public_key, 1, PROTOCOL_VERSION)
        for host in (f"{private_network.NAME}:5", "127.0.0.1:6")
    ]

    def answer(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        records = network._directory.records()
        return [encode_topology(records._replace(mixnodes=(*posted, *records.mixnodes)))]

    server = WSGIServer((HOST, 0), answer, log=None)
    url = f"http://{listen(server)}"
    with Application(url) as alice, alice.lines() as lines:
        wait_until(lambda: lines.ask(type="status")["state"] == "running")
        left_out = [left["why"] for left in lines.ask(type="status")["network"]["left_out"]]
        layers = lines.ask(type="status")["network"]["layers"]
        asked = CountingNameServer.asked
    with Application(url, resolve_names=True):
        wait_until(lambda: CountingNameServer.asked)
    server.stop(timeout=0)
    return {
        "left_out": left_out,
        "layers": layers,
        "asked": asked,
        "asked_if_set": CountingNameServer.asked,
    }


if __name__ == "__main__":
    main()
