"""Measures how long the resolver takes on a machine whose name server doesn't answer.

A silent name server must not hold up the nodes that are listed by address, nor other lookups.
`python -m gevent.monkey --module tests.silent_names`, as root in a network namespace and a mount
namespace of its own, prints one line of JSON.
"""

import json
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gevent
from gevent import config

from nym.net import resolver as resolver_module
from nym.net.http import http_get
from nym.net.resolver import Resolver
from tests import private_network
from tests.harness import serving_http

NAMES = 300


class SilentNameServer(private_network.NameServer):
    """Answers nothing until `may_answer` is set; then it knows one name."""

    asked = 0
    may_answer = False

    def handle(self, asked: Any, who: Any) -> None:
        """See gevent."""
        SilentNameServer.asked += 1
        if self.may_answer:
            super().handle(asked, who)


def main() -> None:
    """See the module's docstring."""
    config.resolver = "nym.net.localhost.Resolver"
    private_network.raise_loopback()
    with TemporaryDirectory() as folder:
        settings = Path(folder, "resolv.conf")
        settings.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:5\n")
        mount = ("mount", "--bind", settings, "/etc/resolv.conf")
        subprocess.run(mount, check=True)
        names = SilentNameServer(("127.0.0.1", 53))
        names.start()
        print(json.dumps(measure()), flush=True)


def measure() -> dict[str, object]:
    """How many seconds rounds of the resolver take, and which names they resolve."""
    numeric = {f"127.0.0.1:{port}" for port in range(1, 4)}
    dead = {f"host-{number}.test:5" for number in range(NAMES)}
    first, others = f"{private_network.NAME}:7", numeric | dead
    resolver = Resolver()
    seconds = []

    def round_of(hosts: set[str], is_enough: bool) -> set[str]:
        began = time.monotonic()
        found = resolver.resolve(hosts, lambda known: is_enough)
        seconds.append(time.monotonic() - began)
        return set(found)

    hosts = others | {first}
    at_once = round_of(hosts, is_enough=True)
    again = round_of(hosts, is_enough=True)
    without_end = round_of(hosts, is_enough=False)
    began = time.monotonic()
    with serving_http(lambda: b"here") as url:
        assert http_get(url.replace("127.0.0.1", "localhost")).body == b"here"
    seconds.append(time.monotonic() - began)
    SilentNameServer.may_answer = True
    resolver_module.RETRY = 0.5
    while first not in resolver.resolve(hosts, lambda known: True):
        gevent.sleep(0.1)
    return {
        "is_numeric_at_once": at_once == again == without_end == numeric,
        "seconds": seconds,
        "asked": SilentNameServer.asked,
    }


if __name__ == "__main__":
    main()
