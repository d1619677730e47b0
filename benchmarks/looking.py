"""Looks at a client as its page does: loads the page, follows the news, and asks every 5 s.

python -m benchmarks.looking SOCKET URL prints a line when the page is loaded. SOCKET is the path of
the client's control socket, which understands what the page's WebSocket does; URL is the page's.
"""

import json
import re
import socket
import sys
import time
from threading import Thread
from typing import TextIO

import requests

PERIOD = 5.0  # seconds between two looks at the network


def main(path: str, url: str) -> None:
    """Go on for ever."""
    page = requests.get(url, timeout=60).text
    for name in re.findall(r'(?:src|href)="(/[^"]*)"', page):
        requests.get(f"{url}{name}", timeout=60).raise_for_status()
    with socket.socket(socket.AF_UNIX) as news, socket.socket(socket.AF_UNIX) as questions:
        news.connect(path)
        for request in ({"type": "status", "every": 1}, {"type": "subscribe", "shared": True}):
            news.sendall(json.dumps(request).encode() + b"\n")
        Thread(target=_drain, args=(news,), daemon=True).start()
        questions.connect(path)
        lines = questions.makefile("rw")
        _ask(lines, "ownDetails", "contacts", "outbox", "history")
        print("the page was loaded", flush=True)
        while True:
            _ask(lines, "network", "loops")
            time.sleep(PERIOD)


def _ask(lines: TextIO, *kinds: str) -> None:
    for kind in kinds:
        print(json.dumps({"type": kind}), file=lines, flush=True)
        assert json.loads(lines.readline())["type"] == kind


def _drain(connection: socket.socket) -> None:
    while connection.recv(1 << 16):
        pass


if __name__ == "__main__":
    main(*sys.argv[1:])
