"""Names as this machine has them, asked for in threads that a dead name server may hold.

localhost is this machine, whatever a name server says (RFC 6761, section 6.3), by both families:
where there is no /etc/hosts, as in a container of one file, the system would ask one.
"""

import _socket
from typing import Any

from gevent.resolver.thread import Resolver as ThreadResolver

from nym.net.threads import Threads
from nym.wire.addresses import is_localhost

ADDRESS = "127.0.0.1"  # where localhost listens
ADDRESSES = (ADDRESS, "::1")
THREADS = 8


class NameThreads(Threads):
    """Threads that do nothing but ask for names."""

    def _as_meant(self, outcome: Any) -> Any:
        if isinstance(outcome, UnicodeError):
            refusal = _socket.gaierror(_socket.EAI_NONAME, "not the name of a host")
            refusal.__cause__ = outcome
            return refusal
        return outcome


class Resolver(ThreadResolver):
    """gevent's default, but for that name, and with threads of its own."""

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
            except _socket.gaierror as error:  # another family is asked for, or there is none
                refusal = error
        if not found:
            raise refusal
        return found

    def gethostbyname(self, host: Any, *arguments: Any) -> Any:
        """See socket.gethostbyname."""
        return super().gethostbyname(numeric(host), *arguments)


def numeric(host: Any) -> Any:
    """What to listen on in the place of a host's name; any other than localhost stays as it is."""
    return ADDRESS if is_localhost(host) else host
