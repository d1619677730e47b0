"""The clients of the run, as their applications see them, and the ledger of what was said."""

import base64
import hashlib
import json
import socket
import threading
from collections import Counter
from random import Random
from typing import Any

from tests.hosting.hosts import Host

SOCKET = "nym/clients/node/client.sock"


class Ledger:
    """What was accepted, and what arrived, by the digest of each message."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._planned = 0
        self._accepted: dict[bytes, str] = {}
        self._arrived: Counter[bytes] = Counter()
        self._refused: list[str] = []

    def __str__(self) -> str:
        with self._lock:
            here = sum(1 for one in self._accepted if self._arrived[one])
            return f"{here} of {len(self._accepted)} accepted messages arrived"

    def plan(self, clients: "list[Client]", messages: int, length: int, random: Random) -> None:
        """Decide who says what to whom: small messages, and two files of `length` bytes."""
        sizes = [random.choice((20, 500, 900, 3000)) for _ in range(messages)] + [length] * 2
        random.shuffle(sizes)
        for number, size in enumerate(sizes):
            sender, recipient = random.sample(clients, 2)
            sender.to_send.append((recipient.address, b"%d " % number + random.randbytes(size)))
        self._planned = len(sizes)
        for client in clients:
            client.go.set()

    def accepted(self, message: bytes, by: str) -> None:
        """A client has taken this message."""
        with self._lock:
            self._accepted[digest(message)] = f"message {message[:6]!r} from {by}"

    def refused(self, why: str) -> None:
        """A client has refused a message."""
        with self._lock:
            self._refused.append(why)

    def arrived(self, message: bytes) -> None:
        """An application has got this message."""
        with self._lock:
            self._arrived[digest(message)] += 1

    def is_over(self) -> bool:
        """Whether everything was accepted, and has arrived."""
        with self._lock:
            return len(self._accepted) == self._planned <= len(self._arrived)

    def faults(self) -> list[str]:
        """What must not be: what is lost, twice there, never sent, or refused."""
        with self._lock:
            lost = [
                f"lost: {what}" for one, what in self._accepted.items() if not self._arrived[one]
            ]
            twice = [
                f"{count} times: {one.hex()}" for one, count in self._arrived.items() if count > 1
            ]
            strange = [f"never sent: {one.hex()}" for one in self._arrived.keys() - self._accepted]
            missing = self._planned - len(self._accepted)
            return lost + twice + strange + self._refused + ["not all were sent"] * bool(missing)


def digest(message: bytes) -> bytes:
    """What the ledger knows a message by."""
    return hashlib.sha256(message).digest()


class Client:
    """Sends what the ledger has planned, and takes what arrives, over the client's own socket."""

    def __init__(self, host: Host, ledger: Ledger) -> None:
        self.host = host
        self.address = host.run("address", "--id", "node").strip()
        self.to_send: list[tuple[str, bytes]] = []
        self.go = threading.Event()
        self._ledger = ledger
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=run) for run in (self._send, self._receive)]
        self._has_stopped = False

    def __enter__(self) -> "Client":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def is_running(self) -> bool:
        """Whether the client says that it runs."""
        with self._connect() as connection, connection.makefile("rwb") as lines:
            return bool(ask(lines, type="status")["state"] == "running")

    def stop(self) -> None:
        """End the threads."""
        self._has_stopped = True
        self.go.set()
        for connection in self._sockets:
            connection.shutdown(socket.SHUT_RDWR)
        self._sockets.clear()
        for thread in self._threads:
            thread.join()

    def _connect(self) -> socket.socket:
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(str(self.host.home / SOCKET))
            except OSError:
                connection.close()
                if threading.Event().wait(0.2) or self._has_stopped:
                    raise
            else:
                return connection

    def _send(self) -> None:
        self.go.wait()
        with self._connect() as connection, connection.makefile("rwb") as lines:
            for recipient, message in self.to_send:
                if self._has_stopped:
                    return
                data = base64.b64encode(message).decode()
                answer = ask(
                    lines, type="send", recipient_address=recipient, data=data, reliable=True
                )
                if answer["type"] == "send":
                    self._ledger.accepted(message, self.host.name)
                else:
                    self._ledger.refused(f"{self.host.name}: {answer['message']}")

    def _receive(self) -> None:
        with self._connect() as connection, connection.makefile("rwb") as lines:
            self._sockets.append(connection)
            ask(lines, type="subscribe")
            for line in lines:
                said = json.loads(line)
                if said["type"] == "message":
                    self._ledger.arrived(base64.b64decode(said["data"]))
                    lines.write(json.dumps({"type": "ack", "id": said["id"]}).encode() + b"\n")
                    lines.flush()


def ask(lines: Any, **request: object) -> dict[str, Any]:
    """One request, and its answer."""
    lines.write(json.dumps(request).encode() + b"\n")
    lines.flush()
    answer: dict[str, Any] = json.loads(lines.readline())
    return answer
