"""What mixnodes reported to a directory in the last few seconds (docs/protocol/directory.md)."""

import json
import time
from collections import deque
from typing import Any, NamedTuple

from nym.errors import RemoteFormatError
from nym.net.resource import JSON, Resource
from nym.net.threads import beside_the_hub
from nym.wire.directory import decode_metric

WINDOW = 3.0  # seconds; mixnodes post metrics every 3, so that the list has one of each
MOST_METRICS = 16 << 20  # bytes in one window


class _Metric(NamedTuple):
    """A metric as it is listed, how many bytes it came in, and when."""

    listed: dict[str, Any]
    size: int
    seen: float  # monotonic


class Metrics:
    """The metrics of the last WINDOW seconds."""

    def __init__(self) -> None:
        self._metrics: deque[_Metric] = deque()

    def take(self, body: bytes) -> None:
        """Take a mixnode's post. Raises RemoteFormatError."""
        metric = decode_metric(body)
        self._forget()
        if sum(kept.size for kept in self._metrics) + len(body) > MOST_METRICS:
            raise RemoteFormatError("too many metrics at once")
        listed = {
            "pubKey": metric.public_key,
            "received": metric.received,
            "sent": metric.sent,
            "timestamp": time.time_ns(),
        }
        self._metrics.append(_Metric(listed, len(body), time.monotonic()))

    def resource(self) -> Resource:
        """All of them, as the directory answers them."""
        self._forget()
        return beside_the_hub(_listed, [metric.listed for metric in self._metrics])

    def _forget(self) -> None:
        while self._metrics and self._metrics[0].seen < time.monotonic() - WINDOW:
            self._metrics.popleft()


def _listed(metrics: list[dict[str, Any]]) -> Resource:
    return Resource(json.dumps(metrics).encode(), JSON)
