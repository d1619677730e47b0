"""Whether the nodes' ports take connections, as seen from this machine."""

from collections.abc import Iterable

from gevent.pool import Pool

from nym.errors import RemoteError
from nym.net.transport import try_place
from nym.wire.addresses import NodeAddress

AT_ONCE = 64


def closed_ports(places: Iterable[NodeAddress]) -> dict[NodeAddress, str]:
    """The places that take no connection, each with the reason."""
    places = list(dict.fromkeys(places))
    tried = Pool(AT_ONCE).imap(_try, places)
    return {place: why for place, why in zip(places, tried, strict=True) if why}


def _try(place: NodeAddress) -> str | None:
    try:
        try_place(place)
    except RemoteError as error:
        return str(error).removeprefix(f"{place} ")
    return None
