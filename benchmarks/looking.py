"""Asks a client what its page asks, in the page's rhythm, and loads the page again and again.

python -m benchmarks.looking SOCKET URL prints a line after its first round. SOCKET is the path of
the client's control socket, which understands what the page's WebSocket does; URL is the page's.
"""

import json
import re
import socket
import sys
import time
from itertools import count
from threading import Thread

import requests

PERIOD = 1.0  # seconds; the page asks for some of it every 5


def main(path: str, url: str) -> None:
    """Go on for ever."""
    with socket.socket(socket.AF_UNIX) as news, socket.socket(socket.AF_UNIX) as questions:
        news.connect(path)
        for request in ({"type": "status", "every": PERIOD}, {"type": "subscribe", "shared": True}):
            news.sendall(json.dumps(request).encode() + b"\n")
        Thread(target=_drain, args=(news,), daemon=True).start()
        questions.connect(path)
        lines = questions.makefile("rw")
        for number in count():
            for kind in ("history", "network", "loops", "contacts", "outbox"):
                print(json.dumps({"type": kind}), file=lines, flush=True)
                assert json.loads(lines.readline())["type"] == kind
            page = requests.get(url, timeout=60).text
            for name in re.findall(r'(?:src|href)="(/[^"]*)"', page):
                requests.get(f"{url}{name}", timeout=60).raise_for_status()
            if not number:
                print("the page was loaded", flush=True)
            time.sleep(PERIOD)


def _drain(connection: socket.socket) -> None:
    while connection.recv(1 << 16):
        pass


if __name__ == "__main__":
    main(*sys.argv[1:])
