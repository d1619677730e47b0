"""Looks up names in threads of their own, and answers for localhost without a name server.

A name server that doesn't answer blocks these threads, and nothing else. localhost is always this
machine (RFC 6761, section 6.3), by IPv4 and IPv6. Without /etc/hosts, as in a container that holds
only the program, the system would ask a name server for localhost, which could name any machine.
"""

import _socket
from typing import Any

from gevent.resolver.thread import Resolver as ThreadResolver

from nym.net.threads import Threads
from nym.wire.addresses import is_localhost

ADDRESS = "127.0.0.1"  # where a server listens that is told to listen on localhost
ADDRESSES = (ADDRESS, "::1")
THREADS = 8


class NameThreads(Threads):
    """Threads that only look up names."""

    def _as_meant(self, outcome: Any) -> Any:
        # Python raises UnicodeError for a name that can't be encoded, such as one with a label of
        # more than 63 characters. Callers expect what the system raises for names it doesn't know.
        if isinstance(outcome, UnicodeError):
            refusal = _socket.gaierror(_socket.EAI_NONAME, "not the name of a host")
            refusal.__cause__ = outcome
            return refusal
        return outcome


class Resolver(ThreadResolver):
    """gevent's default resolver, except for localhost, and with threads of its own."""

    def __init__(self, hub: Any = None) -> None:
        super().__init__(hub)
        self.pool = NameThreads(THREADS, hub)

    def getaddrinfo(self, host: Any, port: Any, *arguments: Any, **named: Any) -> Any:
        """See socket.getaddrinfo."""
        if not is_localhost(host):
            return super().getaddrinfo(host, port, *arguments, **named)
        found = []
        for ip in ADDRESSES:
            try:
                found += _socket.getaddrinfo(ip, port, *arguments, **named)
            # The caller wants the other family, or this machine has no IPv6.
            except _socket.gaierror as error:
                refusal = error
        if not found:
            raise refusal
        return found

    def gethostbyname(self, host: Any, *arguments: Any) -> Any:
        """See socket.gethostbyname."""
        return super().gethostbyname(numeric(host), *arguments)


def numeric(host: Any) -> Any:
    """127.0.0.1 for localhost; any other host as it is."""
    return ADDRESS if is_localhost(host) else host
