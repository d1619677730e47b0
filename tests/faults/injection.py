"""Makes a client's own I/O fail: its sockets, its database, any function, and its clocks.

Faults of sockets are chosen by the part of the network that a socket is connected to. Everything
works by replacing functions in the process of the test. So the network of these tests runs in
another process, where nothing fails.
"""

import math
import os
import socket
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

import gevent
import gevent.socket
import pytest

from nym.net.bare import BareSocket
from nym.store import sqlite

# Methods of sockets, and the operation that each of them carries out.
OPERATIONS = {
    "connect": "connect",
    "send": "send",
    "sendall": "send",
    "recv": "receive",
    "recv_into": "receive",
    "shutdown": "shut down",
}
BARE = {  # of sockets that aren't gevent's
    "connect_within": "connect",
    "send": "send",
    "recv_within": "receive",
    "shutdown": "shut down",
}
CHUNK = 4096

Call = Callable[[], Any]
Fault = Callable[["Call", "Buffer | None"], Any]


class Buffer:
    """Where a read puts its bytes: `recv` returns them, `recv_into` fills its caller's buffer."""

    def __init__(self, method: str, arguments: tuple[Any, ...]) -> None:
        self._into = arguments[0] if method == "recv_into" else None

    def put(self, data: bytes) -> Any:
        """Put the bytes where the caller expects them, and return what the method would return."""
        if self._into is None:
            return data
        with memoryview(self._into).cast("B") as view:
            data = data[: len(view)]
            view[: len(data)] = data
        return len(data)

    def taken(self, result: Any) -> bytes:
        """The bytes that the method has read, given what it returned."""
        return bytes(self._into[:result]) if self._into is not None else bytes(result)


def refuse(call: Call, buffer: Buffer | None) -> Any:
    """Nothing listens at the address."""
    raise ConnectionRefusedError("refused by the test")


def reset(call: Call, buffer: Buffer | None) -> Any:
    """The peer resets the connection."""
    raise ConnectionResetError("reset by the test")


def hang(call: Call, buffer: Buffer | None) -> Any:
    """Nothing happens any more: only a time-out of the client can end this."""
    gevent.sleep(3600)


def end(call: Call, buffer: Buffer | None) -> Any:
    """The peer has ended its side of the connection."""
    assert buffer
    return buffer.put(b"")


def shorten(call: Call, buffer: Buffer | None) -> Any:
    """Only the first half of the bytes arrives."""
    assert buffer
    data = buffer.taken(call())
    return buffer.put(data[: len(data) // 2])


def garble(call: Call, buffer: Buffer | None) -> Any:
    """Random bytes arrive, as many as were sent."""
    assert buffer
    return buffer.put(os.urandom(len(buffer.taken(call()))))


def drip(call: Call, buffer: Buffer | None) -> Any:
    """Bytes arrive one by one, for ever: each restarts a time-out that is meant for one read."""
    assert buffer
    gevent.sleep(0.05)
    return buffer.put(b"\0")


FAULTS: dict[str, list[Fault]] = {
    "connect": [refuse, reset, hang],
    "send": [reset, hang],
    "receive": [reset, hang, end, shorten, garble, drip],
    "shut down": [reset],
}


class Point:
    """A function or method that can be made to raise any exception, not only an OSError.

    `owner` is the class, module or object in which `name` is looked up. For sockets that can't be
    made, that is `(BareSocket, "__init__")`; for names that can't be resolved,
    `(gevent.get_hub().resolver, "getaddrinfo")`; for threads that can't be started,
    `(gevent.threadpool.ThreadPool, "spawn")`.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
        self.calls = 0
        self.raised = 0
        self._error: BaseException | None = None
        self._left = 0.0
        original = getattr(owner, name)

        def called(*arguments: Any, **more: Any) -> Any:
            self.calls += 1
            if self._error is not None and self._left > 0:
                self._left -= 1
                self.raised += 1
                raise self._error
            return original(*arguments, **more)

        monkeypatch.setattr(owner, name, called)

    def fail(self, error: BaseException, times: float = math.inf) -> None:
        """Raise this error in the next `times` calls, or in every call."""
        self._error, self._left = error, times

    def work(self) -> None:
        """From now on, call the original."""
        self._left = 0


class Sockets:
    """Wraps the operations of all sockets that are connected to a part of the network.

    `parts` says which port belongs to which part: "directory", "provider" or "mixnode". Sockets
    that are connected to other ports, such as those of applications, work as usual.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: Counter[tuple[str, str]] = Counter()  # by (part, operation)
        self.parts: dict[int, str] = {}  # by port
        self._armed: tuple[str, str, Fault] | None = None
        for owner, methods in ((gevent.socket.socket, OPERATIONS), (BareSocket, BARE)):
            for method, operation in methods.items():
                wrapped = self._wrapped(getattr(owner, method), method, operation)
                monkeypatch.setattr(owner, method, wrapped)

    def arm(self, part: str, operation: str, fault: Fault) -> None:
        """From now on, this operation on connections to this part meets the fault."""
        self._armed = (part, operation, fault)

    def disarm(self) -> None:
        """From now on, every operation works."""
        self._armed = None

    def was_called_since(self, before: int, part: str, operation: str) -> bool:
        """Whether there are two more calls than `before`: the client met the fault and retried."""
        return self.calls[part, operation] > before + 1

    def _wrapped(self, original: Any, method: str, operation: str) -> Any:
        def wrapped(connection: Any, *arguments: Any, **more: Any) -> Any:
            def call() -> Any:
                return original(connection, *arguments, **more)

            part = self._part(connection, arguments[-1] if operation == "connect" else None)
            if part is None:
                return call()
            self.calls[part, operation] += 1
            if self._armed and self._armed[:2] == (part, operation):
                buffer = Buffer(method, arguments) if operation == "receive" else None
                # These are told how long they may take; other methods have deadlines around them.
                seconds = arguments[0] if method.endswith("_within") else None
                with gevent.Timeout(seconds, TimeoutError("timed out in the test")):
                    return self._armed[2](call, buffer)
            return call()

        return wrapped

    def _part(self, connection: Any, place: Any) -> str | None:
        if connection.family != socket.AF_INET:
            return None
        try:
            peer = place or connection.getpeername()
        except OSError:
            return None
        return self.parts.get(peer[1])


class Disk(sqlite.Connection):
    """A connection to SQLite on which some statements fail.

    The first `fails_at - 1` statements work, and the next `failures` raise `error`.
    """

    statements: ClassVar[int]
    fails_at: ClassVar[int]
    failures: ClassVar[int]
    error: ClassVar[sqlite3.Error]

    @classmethod
    def install(cls, monkeypatch: pytest.MonkeyPatch) -> None:
        """Use this class for every database that is opened from now on; nothing fails yet."""
        cls.statements, cls.fails_at, cls.failures = 0, 0, 0
        monkeypatch.setattr(sqlite, "Connection", cls)

    @classmethod
    def fail(cls, at: int, failures: int, error: sqlite3.Error) -> None:
        """Let `failures` statements fail, the first of which is number `at` from now."""
        cls.statements, cls.fails_at, cls.failures, cls.error = 0, at, failures, error

    def execute(self, *arguments: Any) -> Any:
        """See sqlite3."""
        cls = type(self)
        cls.statements += 1
        if cls.failures and cls.statements >= cls.fails_at:
            cls.failures -= 1
            raise cls.error
        return super().execute(*arguments)


class Clock:
    """Both clocks of the system, `time.time` and `time.monotonic`, with an offset that can jump."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.offset = 0.0
        self._now, self._monotonic = time.time, time.monotonic
        monkeypatch.setattr(time, "time", lambda: self._now() + self.offset)
        monkeypatch.setattr(time, "monotonic", self.monotonic)

    def monotonic(self) -> float:
        """The monotonic clock, which jumps forwards only, as on a machine that slept."""
        return self._monotonic() + max(0.0, self.offset)
