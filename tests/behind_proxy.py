"""Watches the line of a client that uses a proxy, and that of one that uses none.

`python -m gevent.monkey --module tests.behind_proxy`, as root in a network namespace and a mount
namespace of its own, prints one line of JSON. The network and the proxy are in this namespace, the
clients in another one, which could reach the nodes, the directory and a name server directly.
"""

import json
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import gevent
from gevent import config

from nym.localnet.network import Network
from nym.nodes.inboxes.memory import MemoryInboxes
from nym.nodes.keys import Keyring, load_token_key
from nym.nodes.provider import Provider
from nym.signing import generate_signer
from nym.wire.addresses import NodeAddress
from nym.wire.keys import decode_base58, encode_base58
from tests.harness import Application, Program, run_program, running, serving, wait_until
from tests.private_directory import add_address
from tests.private_network import raise_loopback
from tests.socks_server import SocksServer

HOST = "5.5.5.5"  # a public address: the directory, which has a name, may list no other ones
NEAR, FAR = "10.77.0.1", "10.77.0.2"  # the two ends of the client's line
NAME = "directory.test"
LOGIN = "me", "s3cret"
MANY = 30  # connections in vain; a node would be avoided after a few
IPV4, OUTGOING = 0x0800, 4  # ETH_P_IP and PACKET_OUTGOING of Linux


def main() -> None:
    """See the module's docstring."""
    config.resolver = "nym.net.localhost.Resolver"
    raise_loopback()
    add_address(HOST)
    with TemporaryDirectory() as home, line() as enter, ExitStack() as stack:
        # Two mixnodes in a layer, so that one could be avoided.
        network = stack.enter_context(running(Network(host=HOST, width=2, providers=0)))
        stack.callback(start_provider(network.url).stop)
        names = Path(home, "resolv.conf")
        names.write_text(f"nameserver {NEAR}\noptions timeout:1 attempts:1\n")
        mount = ("mount", "--bind", names, "/etc/resolv.conf")
        subprocess.run(mount, check=True)
        Program.command = [*enter, *Program.command]
        port = urlsplit(network.url).port or 0
        proxy = SocksServer({(NAME, port): (HOST, port)}, LOGIN)
        with serving(proxy.serve, NEAR) as place, Application(network.url) as bob:
            user, password = LOGIN
            through = f"socks5://{user}:{password}@{place}"
            measured = {
                # The direct one last: what it leaves behind could still be on the line.
                "proxied": measure(Path(home), f"http://{NAME}:{port}", through, bob),
                "away": proxied_in_vain(Path(home), proxy, bob),
                "direct": measure(Path(home), network.url, "none", bob),
                "proxy": str(place),
                "directory": str(NodeAddress(HOST, port)),
                "asked": sorted({host for host, _ in proxy.asked}),
            }
        print(json.dumps(measured), flush=True)


def start_provider(directory: str) -> Provider:
    """A provider with an identity, and so with sealed lines."""
    tokens, anywhere, signer = load_token_key(None), NodeAddress(HOST, 0), generate_signer()
    provider = Provider(Keyring(None), tokens, anywhere, anywhere, MemoryInboxes(), signer=signer)
    provider.listen()
    provider.start(directory)
    return provider


@contextmanager
def line() -> Iterator[Sequence[str]]:
    """Another network namespace, with a line to this one; gives the words that enter it."""
    apart = ("unshare", "--net", "cat")
    with subprocess.Popen(apart, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin
        assert holder.stdout
        holder.stdin.write(b"is there\n")
        holder.stdin.flush()
        holder.stdout.readline()  # now, it is in its namespace
        enter = ("nsenter", f"--net=/proc/{holder.pid}/ns/net")
        for prefix, command in (
            ((), f"link add near type veth peer name far netns {holder.pid}"),
            ((), f"address add {NEAR}/24 dev near"),
            ((), "link set near up"),
            (enter, "link set lo up"),
            (enter, f"address add {FAR}/24 dev far"),
            (enter, "link set far up"),
            (enter, f"route add default via {NEAR}"),
        ):
            subprocess.run((*prefix, "ip", *command.split()), check=True)
        yield enter
        holder.stdin.close()


def measure(home: Path, directory: str, proxy: str, bob: Application) -> dict[str, object]:
    """What a new client finds, gets and sends, and to which places packets leave its line."""
    name = "proxied" if proxy != "none" else "direct"
    seen: set[str] = set()
    watcher = gevent.spawn(watch, seen)
    init = run(home, "init", "--id", name, "--directory", directory, "--proxy", proxy)
    address = init.split("Address: ")[1].strip()
    findings = json.loads(run(home, "check", "--id", name, "--json"))
    view = json.loads(run(home, "network", "view", "--id", name, "--json"))
    with Program(home, "tcpsocket", "--id", name, "--port", "0") as alice:
        log = alice.logged("Using directory").string
        run(home, "send", "--id", name, "--message", f"from {name}", encode_base58(bob.address))
        (received,) = bob.receive(1)
        with bob.lines() as lines:
            lines.send(decode_base58(address), b"from bob")
        got = run(home, "receive", "--id", name, "--count", "1", "--timeout", "300")
        _, _, rest = alice.end(15)
    watcher.kill()
    return {
        "ok": [finding["check"] for finding in findings if finding["ok"]],
        "settings": next(f["found"] for f in findings if f["check"] == "settings"),
        "mixnodes": sum(map(len, view["layers"])),
        "received": received.decode(),
        "got": got.strip(),
        "log": log + rest,
        "seen": sorted(seen),
    }


def proxied_in_vain(home: Path, proxy: SocksServer, bob: Application) -> dict[str, object]:
    """What the client with a proxy says while the proxy is away, and to which places it turns."""
    seen: set[str] = set()
    with Program(home, "tcpsocket", "--id", "proxied", "--port", "0"):
        wait_until(lambda: status(home)["state"] == "running")
        proxy.is_away = True
        watcher = gevent.spawn(watch, seen)
        run(home, "send", "--id", "proxied", "--message", "later", encode_base58(bob.address))
        wait_until(lambda: proxy.missed > MANY and "the proxy" in str(status(home)["reason"]))
        during = status(home)
        proxy.is_away = False
        (received,) = bob.receive(1)
        watcher.kill()
    return {
        "reason": during["reason"],
        "avoided": during["avoided_nodes"],
        "received": received.decode(),
        "seen": sorted(seen),
    }


def status(home: Path) -> dict[str, Any]:
    """The status of the client with a proxy; empty while it can't be asked."""
    code, out, _ = run_program(home, "status", "--id", "proxied", "--json")
    return dict(json.loads(out)) if not code else dict.fromkeys(("state", "reason"))


def watch(seen: set[str]) -> None:
    """Note the place of each IPv4 packet that leaves the client's line, as PROTOCOL IP:PORT."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(IPV4)) as capture:
        capture.bind(("near", IPV4))
        while True:
            packet, (_, _, direction, *_) = capture.recvfrom(1 << 16)
            if direction != OUTGOING:  # that is from here to the client
                head = (packet[0] & 0xF) * 4
                port = int.from_bytes(packet[head + 2 : head + 4], "big")
                place = NodeAddress(socket.inet_ntoa(packet[16:20]), port)
                seen.add(f"{packet[9]} {place}")


def run(home: Path, *arguments: str) -> str:
    """Run the program beyond the line; return its output."""
    code, out, err = run_program(home, *arguments)
    assert code == 0, (arguments, out, err)
    return out


if __name__ == "__main__":
    main()
