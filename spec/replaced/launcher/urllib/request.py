"""Stands for urllib.request in the one file: requests asks it for the proxies of the environment.

The library would be loaded with its own clients for HTTP and FTP, which nothing here uses.
"""

import os
from collections.abc import Mapping

import importer

_rest = __getattr__ = importer.rest_of("urllib.request")

_ENDING = "_proxy"


def getproxies_environment() -> dict[str, str]:
    """{scheme: the proxy that the environment names for it}; a name in lower case comes first."""
    any_case, lower_case = {}, {}
    for name, value in os.environ.items():
        scheme = name.lower().removesuffix(_ENDING)
        if value and name.lower().endswith(_ENDING):
            any_case[scheme] = value
        if name.endswith(_ENDING):
            lower_case[scheme] = value
    # A web server that starts CGI programs sets HTTP_PROXY to a header of the request.
    if "REQUEST_METHOD" in os.environ:
        any_case.pop("http", None)
    return {scheme: value for scheme, value in {**any_case, **lower_case}.items() if value}


def proxy_bypass_environment(host: str, proxies: Mapping[str, str] | None = None) -> bool:
    """Whether no proxy is used for a host, because NO_PROXY names it or a domain of it."""
    exceptions = (getproxies_environment() if proxies is None else proxies).get("no", "")
    if exceptions == "*":
        return True
    host = host.lower()
    name, colon, port = host.rpartition(":")
    forms = {host, name if colon and not port.strip("0123456789") else host}
    for exception in exceptions.lower().split(","):
        domain = exception.strip().lstrip(".")
        if exception.strip() and any(f".{form}".endswith(f".{domain}") for form in forms):
            return True
    return False


getproxies, proxy_bypass = getproxies_environment, proxy_bypass_environment


def parse_http_list(text: str) -> list[str]:
    """See the library; for digest authentication, which nothing here asks for."""
    parse: list[str] = _rest("parse_http_list")(text)
    return parse
