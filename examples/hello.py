"""Says hello to an address, or to oneself, and prints the next messages that come.

Usage: python3 hello.py [PORT [ADDRESS [COUNT]]], with a port of `nym-client tcpsocket`.
"""

import base64
import json
import socket
import sys
from collections import deque
from typing import Any


class Client:
    """A connection to the client. After `subscribe`, messages come between the answers."""

    def __init__(self, port: int) -> None:
        self._connection = socket.create_connection(("127.0.0.1", port))
        # Only for reading: a file that also writes would lose what it has read ahead.
        self._lines = self._connection.makefile("r", encoding="utf-8")
        self._news: deque[dict[str, Any]] = deque()

    def ask(self, **request: Any) -> dict[str, Any]:
        """One request, and its answer."""
        self._connection.sendall(json.dumps(request).encode() + b"\n")
        while (answer := self._read())["type"] in ("message", "failed"):
            self._news.append(answer)
        if answer["type"] == "error":
            sys.exit(answer["message"])
        return answer

    def next_message(self) -> dict[str, Any]:
        """The next message; waits until there is one."""
        while (news := self._news.popleft() if self._news else self._read())["type"] != "message":
            print("was given up:", news["id"], file=sys.stderr)
        return news

    def _read(self) -> dict[str, Any]:
        line = self._lines.readline()
        if not line:
            sys.exit("the client has stopped")
        answer: dict[str, Any] = json.loads(line)
        return answer


def main(port: str = "9001", address: str = "", count: str = "1") -> None:
    """Says hello `count` times, and waits for as many messages."""
    try:
        client = Client(int(port))
    except ConnectionRefusedError:
        sys.exit(f"no client listens on port {port}; start one: nym-client tcpsocket --id ID")
    own = client.ask(type="ownDetails")["address"]
    print("I am", own)
    client.ask(type="subscribe")
    for _ in range(int(count)):
        client.ask(type="send", recipient_address=address or own, message="Hello from Python!")
    for _ in range(int(count)):
        message = client.next_message()
        print(base64.b64decode(message["data"]).decode(errors="replace"))
        client.ask(type="ack", id=message["id"])  # otherwise the next subscriber gets it again


main(*sys.argv[1:])
