"""What mixnodes reported to a directory in the last few seconds (docs/protocol/directory.md)."""

import json
import time
from collections import deque
from typing import NamedTuple

from nym.errors import RemoteFormatError
from nym.net.resource import JSON, Resource
from nym.net.threads import beside_the_hub
from nym.wire.directory import decode_metric

WINDOW = 3.0  # seconds; mixnodes post metrics every 3, so that the list has one of each
MOST_METRICS = 16 << 20  # bytes in one window


class Metric(NamedTuple):
    """A metric as it is listed, how many bytes it came in, and when."""

    listed: bytes  # a JSON object
    size: int
    seen: float  # monotonic


def read(body: bytes) -> Metric:
    """A mixnode's post. Raises RemoteFormatError."""
    metric = decode_metric(body)
    listed = {
        "pubKey": metric.public_key,
        "sent": metric.sent,
        "received": metric.received,
        "timestamp": time.time_ns(),
    }
    return Metric(json.dumps(listed).encode(), len(body), time.monotonic())


class Metrics:
    """The metrics of the last WINDOW seconds."""

    def __init__(self) -> None:
        self._metrics: deque[Metric] = deque()

    def take(self, metric: Metric) -> None:
        """Keep one. Raises RemoteFormatError if there are too many."""
        self._forget()
        if sum(kept.size for kept in self._metrics) + metric.size > MOST_METRICS:
            raise RemoteFormatError("too many metrics at once")
        self._metrics.append(metric)

    def resource(self) -> Resource:
        """All of them, as the directory answers them."""
        self._forget()
        return beside_the_hub(_listed, [metric.listed for metric in self._metrics])

    def _forget(self) -> None:
        while self._metrics and self._metrics[0].seen < time.monotonic() - WINDOW:
            self._metrics.popleft()


def _listed(metrics: list[bytes]) -> Resource:
    return Resource(b"[" + b", ".join(metrics) + b"]", JSON)
