"""How this process reaches others: directly, or through one proxy for everything.

A client decides that once, before it connects to anybody (docs/configuration.md, "Proxies"):

- `client.proxy` names a SOCKS proxy: everything goes through it.
- It is `none`: nothing goes through a proxy, whatever the environment names.
- It is empty, and ALL_PROXY names a SOCKS proxy: everything goes through that one.
- It is empty, and the environment names a proxy that only requests to a directory would use: an
  error. Whoever set it would see some of the traffic go past it.

What is on this machine is always reached directly: a proxy elsewhere would take the address for its
own machine. There is one answer for the whole process, rather than an argument of each call, so
that no connection can be forgotten. Nodes and operators' commands decide nothing: they are reached
from outside anyway, and their requests to directories follow the environment.
"""

import os
from urllib.parse import urlsplit

from requests.utils import get_environ_proxies, select_proxy

from nym.config import ClientSettings
from nym.config.checks import NO_PROXY
from nym.errors import ConfigError
from nym.net.socks import SocksProxy
from nym.wire.addresses import is_loopback
from nym.wire.socks import ProxyUrl, parse_proxy_url
from nym.wire.text import visible_url


class Outward:
    """The way out of a process."""

    def __init__(self) -> None:
        self.proxy: SocksProxy | None = None
        self.follows_environment = True  # whether HTTP uses the proxies that the environment names

    def settle(self, client: ClientSettings) -> None:
        """Decide the way for a client with these settings. Raises ConfigError."""
        if client.proxy:
            url = None if client.proxy == NO_PROXY else parse_proxy_url(client.proxy)
        else:
            url = _in_environment(client.directories)
        if url and client.resolve_names:
            raise ConfigError(
                f"client.resolve_names is true, but with the proxy {url}, nothing may be looked up "
                "past it: set client.resolve_names to false"
            )
        self.proxy = SocksProxy(url) if url else None
        self.follows_environment = False

    def proxy_to(self, host: str) -> SocksProxy | None:
        """The proxy through which a host, as a name or an IP address, is reached."""
        # The proxy first: without one, this is asked for each packet.
        return None if self.proxy is None or is_loopback(host) else self.proxy


outward = Outward()


def proxy_of_environment(url: str) -> tuple[str, str]:
    """(the proxy for a URL, the environment variable that names it); the proxy is "" for none."""
    proxy = select_proxy(url, get_environ_proxies(url)) or ""
    names = (f"{urlsplit(url).scheme}_proxy", "all_proxy")
    variables = [name for name in os.environ if name.lower() in names and os.environ[name] == proxy]
    return proxy, next(iter(variables), "the environment")


def _in_environment(directories: list[str]) -> ProxyUrl | None:
    """The proxy that the environment names for everything. Raises ConfigError."""
    # For a scheme without a variable of its own, and a host that NO_PROXY doesn't name, only
    # ALL_PROXY counts.
    general, variable = proxy_of_environment("any://all.invalid")
    is_socks = general.lower().startswith("socks")
    for url in directories:
        if is_loopback(urlsplit(url).hostname or ""):
            continue
        proxy, name = proxy_of_environment(url)
        if proxy != (general if is_socks else ""):
            what = (
                f"{name} names a proxy that only requests to {visible_url(url)} would use"
                if proxy
                else f"the proxy that {variable} names isn't for {visible_url(url)}"
            )
            raise ConfigError(
                f"{what}, and a client uses a proxy for everything or not at all. Set client.proxy "
                "to socks5://HOST:PORT, so that everything goes through that proxy, or to "
                f"{NO_PROXY}, so that no proxy is used"
            )
    try:
        return parse_proxy_url(general) if is_socks else None
    except ValueError as error:
        raise ConfigError(f"{variable}: {error}") from error
