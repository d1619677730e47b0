"""Runs PROGRAM against a directory with a name and TLS, in a network namespace of its own.

`python -m gevent.monkey --module tests.private_network PROGRAM`, as root in a network namespace,
starts a local network, a name server that knows the directory's name, and a TLS server in front of
the directory. It prints two lines, the output of PROGRAM's `check --json`: first without the
certificate of the directory's authority, then with it.
"""

import fcntl
import json
import os
import shlex
import socket
import struct
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import requests
from gevent.pywsgi import WSGIServer
from gevent.server import DatagramServer

from nym.localnet.network import Network
from tests.harness import PATIENCE

TLS = Path(__file__).parent / "tls"
NAME = "directory.test"


def main() -> None:
    """See the module's docstring."""
    raise_loopback()
    with TemporaryDirectory() as home:
        network = Network()
        directory = network.start()
        names = NameServer(("127.0.0.1", 53))
        names.start()

        def forward(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            answered = requests.get(directory + environ["PATH_INFO"], timeout=PATIENCE)
            start_response(f"{answered.status_code} -", [])
            return [answered.content]

        server = WSGIServer(
            ("127.0.0.1", 0),
            forward,
            log=None,
            keyfile=TLS / "directory.key",
            certfile=TLS / "directory.pem",
        )
        server.start()
        environment = {"XDG_CONFIG_HOME": home, "PATH": os.environ["PATH"]}
        url = f"https://{NAME}:{server.server_port}"
        run(environment, "init", "--id", "alice", "--directory", url)
        print(run(environment, "check", "--id", "alice", "--json"))
        authority = Path(home, "authority.pem")
        authority.write_bytes((TLS / "authority.pem").read_bytes())
        environment["REQUESTS_CA_BUNDLE"] = str(authority)
        print(run(environment, "check", "--id", "alice", "--json"))
        server.stop()
        network.stop()


def raise_loopback() -> None:
    """Bring up the loopback interface, which is down in a new network namespace."""
    # SIOCGIFFLAGS, SIOCSIFFLAGS and IFF_UP of Linux, for which Python has no names.
    get_flags, set_flags, up = 0x8913, 0x8914, 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = bytearray(struct.pack("16sh14x", b"lo", 0))
        fcntl.ioctl(any_socket, get_flags, request)
        name, flags = struct.unpack_from("16sh", request)
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sh14x", name, flags | up))


class NameServer(DatagramServer):
    """Answers 127.0.0.1 for NAME; no other name exists (RFC 1035, section 4.1)."""

    def handle(self, asked: Any, who: Any) -> None:
        number = asked[:2]
        question = asked[12 : asked.index(0, 12) + 5]
        name = b"".join(bytes([len(label)]) + label for label in NAME.encode().split(b".")) + b"\0"
        is_known = question[:-4].lower() == name
        record = b""
        # Only type A, IPv4. 0xC00C points to the name in the question, at byte 12.
        if is_known and question[-4:-2] == b"\0\1":
            record = struct.pack(">HHHIH4B", 0xC00C, 1, 1, 60, 4, 127, 0, 0, 1)
        flags = 0x8180 if is_known else 0x8183  # the last digit is the code: 3, no such name
        head = number + struct.pack(">5H", flags, 1, bool(record), 0, 0)
        self.sendto(head + question + record, who)


def run(environment: dict[str, str], *arguments: str) -> str:
    """Run the program; return its JSON on one line, or nothing if `--json` isn't the last word."""
    ran = subprocess.run(
        [*shlex.split(sys.argv[1]), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        timeout=PATIENCE,
        check=False,
    )
    return json.dumps(json.loads(ran.stdout)) if arguments[-1] == "--json" else ""


if __name__ == "__main__":
    main()
