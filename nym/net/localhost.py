"""localhost is this machine, whatever a name server says (RFC 6761, section 6.3).

Where there is no /etc/hosts, as in a container of one file, the system would ask one.
"""

from typing import Any

from gevent.resolver.thread import Resolver as ThreadResolver

ADDRESS = "127.0.0.1"


class Resolver(ThreadResolver):
    """gevent's default, but for that name."""

    def getaddrinfo(self, host: Any, *arguments: Any, **named: Any) -> Any:
        """See socket.getaddrinfo."""
        return super().getaddrinfo(numeric(host), *arguments, **named)

    def gethostbyname(self, host: Any, *arguments: Any) -> Any:
        """See socket.gethostbyname."""
        return super().gethostbyname(numeric(host), *arguments)


def numeric(host: Any) -> Any:
    """What to use in the place of a host's name; any other than this one is left as it is."""
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    is_localhost = isinstance(name, str) and name.lower().removesuffix(".") == "localhost"
    return ADDRESS if is_localhost else host
