"""HTTP, as far as a directory needs it: every exchange with a limit on its length and its time.

A redirect is followed on the same host only, and never from https to http: a directory is not to
choose what else this machine asks. Bytes of a peer make requests, and the libraries below it, raise
nearly anything (OverflowError for a long length, UnicodeError for a name), so whatever comes out of
them is translated.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies, select_proxy
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from nym.errors import ProxyError, RemoteFormatError
from nym.net.boundary import deadline, translated
from nym.wire.addresses import is_loopback
from nym.wire.text import visible, visible_url

TIMEOUT = 10.0  # seconds, for a whole exchange, redirects included
CONNECT_TIMEOUT = 4.0  # seconds for each of a name's addresses: another one may answer
LONGEST_ANSWER = 16 << 20
MOST_REDIRECTS = 5
HEADERS = {"User-Agent": "nym-client", "Accept": "*/*", "Accept-Encoding": "gzip, deflate"}
_CHUNK = 1 << 16

_SAME_METHOD = frozenset({301, 302, 307, 308})

# Its lines quote the peer and the URL; what matters of them is in our errors.
logging.getLogger("urllib3").setLevel(logging.CRITICAL)


class Answer(NamedTuple):
    """What came with a success: the body, and the server's clock in seconds since 1970, if told.

    `peer` is the server's IP address; None where a proxy asked it.
    """

    body: bytes
    date: float | None
    peer: str | None


def http_get(url: str) -> Answer:
    """A 200 answer. Raises RemoteError."""
    with _answer("GET", url, None) as answer:
        peer = getattr(answer.raw.connection, "peer", None)  # while there is a connection
        if answer.status_code != 200:
            raise RemoteFormatError(f"{visible_url(url)} answers with {_status(answer)}")
        body = bytearray()
        with translated(visible_url(url), Exception):
            for chunk in answer.iter_content(_CHUNK):
                body += chunk
                if len(body) > LONGEST_ANSWER:
                    break
        if len(body) > LONGEST_ANSWER:
            raise RemoteFormatError(
                f"{visible_url(url)} answers with more than {LONGEST_ANSWER} bytes"
            )
        return Answer(bytes(body), _date(answer), peer)


def http_post(url: str, body: bytes) -> None:
    """Post JSON; 200 and 201 are success. Raises RemoteError."""
    with _answer("POST", url, body) as answer:
        if answer.status_code not in (200, 201):
            raise RemoteFormatError(f"{visible_url(url)} answers with {_status(answer)}")


class _NotingPeer:
    """A connection that knows with whom it is, after its socket is gone, too."""

    peer: str | None = None
    sock: Any

    def connect(self) -> None:
        """See http.client."""
        super().connect()  # type: ignore[misc]
        self.peer = self.sock.getpeername()[0]


class _Plain(_NotingPeer, HTTPConnection):
    """http."""


class _Secure(_NotingPeer, HTTPSConnection):
    """https."""


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _Secure


class _Adapter(HTTPAdapter):
    """Notes who answers, unless a proxy does.

    And takes no cookies: no directory needs them, and http.cookiejar prints what it can't parse.
    """

    def init_poolmanager(self, *arguments: Any, **named: Any) -> None:
        """See requests."""
        super().init_poolmanager(*arguments, **named)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        """See requests, which reads cookies from the headers as http.client has them."""
        if original := getattr(resp, "_original_response", None):
            for name in ("Set-Cookie", "Set-Cookie2"):
                del original.msg[name]
        return super().build_response(req, resp)


class _Session(requests.Session):
    """Leaves redirects to us: requests would read all of their bodies.

    Its headers don't depend on the machine, or on what is installed there. The libraries would name
    themselves with their versions, and list the compressions that they found. Some servers refuse
    whoever names nothing, so all clients name the program, which the requests' manner tells anyway.
    """

    def __init__(self) -> None:
        super().__init__()
        self.headers.clear()
        self.headers.update(HEADERS)
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter())

    def get_redirect_target(self, resp: requests.Response) -> None:
        """See requests."""


@contextmanager
def _answer(method: str, url: str, body: bytes | None) -> Iterator[requests.Response]:
    """The answer behind all redirects, its body not read yet."""
    with _Session() as session, deadline(visible_url(url), TIMEOUT):
        for _ in range(MOST_REDIRECTS + 1):
            answer = _ask(session, method, url, body)
            if not _is_redirect(method, answer):
                break
            target = _target(url, answer)
            answer.close()
            url = target
        else:
            raise RemoteFormatError(
                f"{visible_url(url)} is behind more than {MOST_REDIRECTS} redirects"
            )
        with answer:
            yield answer


def _ask(session: requests.Session, method: str, url: str, body: bytes | None) -> requests.Response:
    with translated(visible_url(url), Exception):
        # A proxy from the environment is for the world, not for this machine.
        is_here = is_loopback(urlsplit(url).hostname or "")
        if not is_here:
            _check_proxy(url)
        try:
            return session.request(
                method,
                url,
                data=body,
                headers={"Content-Type": "application/json"} if body else None,
                proxies={"no_proxy": "*"} if is_here else None,
                timeout=(CONNECT_TIMEOUT, TIMEOUT),
                allow_redirects=False,
                stream=True,
            )
        except requests.exceptions.ProxyError as error:
            raise ProxyError(
                f"{visible_url(url)} can't be reached: the proxy that {_proxy(url)[1]} names "
                "doesn't answer as one"
            ) from error


def _check_proxy(url: str) -> None:
    """Raises ProxyError for one of a kind that requests can't use."""
    proxy, variable = _proxy(url)
    if proxy.lower().startswith("socks"):
        raise ProxyError(
            f"{visible_url(url)} can't be reached: {variable} names a SOCKS proxy, and those "
            f"aren't supported; unset {variable}, or set NO_PROXY={urlsplit(url).hostname}"
        )


def _proxy(url: str) -> tuple[str, str]:
    """The proxy for a URL, and the environment's variable that names it; empty without one."""
    proxy = select_proxy(url, get_environ_proxies(url)) or ""
    names = (f"{urlsplit(url).scheme}_proxy", "all_proxy")
    variables = [name for name in os.environ if name.lower() in names and os.environ[name] == proxy]
    return proxy, next(iter(variables), "the environment")


def _is_redirect(method: str, answer: requests.Response) -> bool:
    return answer.status_code in _SAME_METHOD or (method == "GET" and answer.status_code == 303)


def _target(url: str, answer: requests.Response) -> str:
    """Where a redirect leads. Raises RemoteFormatError."""
    where = f"{visible_url(url)} redirects to"
    try:
        # Headers are bytes that http.client reads as Latin-1.
        location = answer.headers.get("Location", "").encode("latin-1").decode()
        before, after = urlsplit(url), urlsplit(urljoin(url, location))
        places = _place(before), _place(after)
    except ValueError as error:
        raise RemoteFormatError(
            f"{where} something that isn't a URL: {visible(str(error))}"
        ) from error
    shown = visible_url(after.geturl())
    if after.scheme not in ("http", "https") or after.hostname != before.hostname:
        raise RemoteFormatError(f"{where} {shown}, which is another host; it isn't followed")
    if after.scheme != "https" and places[0] != places[1]:
        raise RemoteFormatError(f"{where} {shown}, which is less safe; it isn't followed")
    user, at, _ = before.netloc.rpartition("@")
    return after._replace(netloc=f"{user}{at}{after.netloc.rpartition('@')[2]}").geturl()


def _place(url: SplitResult) -> tuple[str, int | None]:
    """Raises ValueError for a port that is none."""
    return url.scheme, url.port


def _status(answer: requests.Response) -> str:
    return f"HTTP status {answer.status_code}"


def _date(answer: requests.Response) -> float | None:
    try:
        return parsedate_to_datetime(answer.headers["Date"]).timestamp()
    except (KeyError, ValueError, OverflowError):
        return None
