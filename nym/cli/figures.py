"""Serves figures to Prometheus, for each command that runs something, if a setting says where."""

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from nym.wire.addresses import is_loopback, split_host
from nym.wire.metrics import Family

if TYPE_CHECKING:
    from nym.net.metrics import MetricsServer

log = logging.getLogger(__name__)


def serve_figures(
    place: str, families: Callable[[], Iterable[Family]], danger: str
) -> "MetricsServer | None":
    """A server at `place`, HOST:PORT, or None if that is empty. Raises ListenError.

    `danger` is what others can learn there, for a warning if they can reach it.
    """
    if not place:
        return None
    from nym.net.metrics import MetricsServer  # imported here because it would slow down each start

    host, port = split_host(place)
    server = MetricsServer(host, port, families)
    address = server.start()
    log.info("figures for Prometheus are at http://%s/metrics", address)
    if not is_loopback(host):
        log.warning(
            "%s can be reached from other machines, and asks for no password: anyone who connects "
            "can see %s",
            address,
            danger,
        )
    return server
