"""Serves figures to Prometheus, at /metrics (nym.wire.metrics has the format)."""

import os
import resource
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from nym.net.listening import listen
from nym.net.localhost import numeric
from nym.net.web import Answer, Environment, WebServer, answer_with
from nym.wire.addresses import NodeAddress, is_loopback
from nym.wire.metrics import CONTENT_TYPE, Family, counter, encode_metrics, gauge, total
from nym.wire.origins import is_own_host

MOST_CONNECTIONS = 64
MOST_PER_SOURCE = 8  # so that one source doesn't take all places
# Seconds. Nobody needs a place for longer: Prometheus asks as soon as it is connected.
SILENCE = 5.0

_TEXT = "text/plain; charset=utf-8"
_PAGE = resource.getpagesize()  # bytes
_STARTED = time.time()


class MetricsServer:
    """An HTTP server for what `families` returns, and for figures of this process.

    If `families` has those of other processes, too, they are added up.
    """

    def __init__(self, host: str, port: int, families: Callable[[], Iterable[Family]]) -> None:
        self._families = families
        self._is_local = is_loopback(host)
        self._server = WebServer(
            (numeric(host), port), self._respond, MOST_CONNECTIONS, MOST_PER_SOURCE, SILENCE
        )

    def start(self) -> NodeAddress:
        """Listen; for port 0, the system has chosen a port. Raises ListenError."""
        return listen(self._server)

    def stop(self) -> None:
        """Stop listening."""
        self._server.stop(timeout=0)

    def _respond(self, request: Environment) -> Answer:
        # A page in the user's browser must not read this: see nym.wire.origins.
        if self._is_local and not is_own_host(request.get("HTTP_HOST", "localhost"), ()):
            return answer_with("403 Forbidden", _TEXT, b"that is no name of this machine\n")
        if request["PATH_INFO"] != "/metrics":
            return answer_with("404 Not Found", _TEXT, b"the figures are at /metrics\n")
        if request["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return answer_with("405 Method Not Allowed", _TEXT, b"this can only be read\n")
        body = encode_metrics(total([self._families(), of_this_process()]))
        return answer_with("200 OK", CONTENT_TYPE, body)


def of_this_process() -> list[Family]:
    """What Prometheus' own libraries say about each process, under their names."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    most_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    families = [
        counter(
            "process_cpu_seconds_total",
            "Processor time of this process.",
            used.ru_utime + used.ru_stime,
        ),
        gauge("process_start_time_seconds", "When it started, in seconds since 1970.", _STARTED),
        gauge("process_max_fds", "Files and connections that it may open.", most_files),
    ]
    # /proc may be hidden from this process.
    with suppress(OSError):
        families.append(
            gauge(
                "process_open_fds",
                "Files and connections that are open.",
                len(os.listdir("/proc/self/fd")),
            )
        )
    with suppress(OSError):
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[1])
        families.append(
            gauge("process_resident_memory_bytes", "Memory that it uses.", pages * _PAGE)
        )
    return families
