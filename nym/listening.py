"""Servers that start, or say why they can't."""

from gevent.server import StreamServer

from nym.errors import ListenError
from nym.wire.addresses import NodeAddress


def listen(server: StreamServer) -> NodeAddress:
    """Start `server`; returns where it listens, with the port that the system chose for a 0.

    Raises ListenError.
    """
    try:
        server.start()
    except OSError as error:
        where = server.address
        if isinstance(where, tuple):
            where = "{}, port {}".format(*where)
        raise ListenError(
            f"can't listen on {where}: {error.strerror or error}; another port can be chosen "
            "with --port"
        ) from error
    return listening_address(server)


def listening_address(server: StreamServer) -> NodeAddress:
    """Where a started server listens."""
    return NodeAddress(str(server.server_host), int(server.server_port or 0))
