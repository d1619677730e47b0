"""HTTP as directories need it; every exchange has a limit on its length and on its time.

Redirects are followed on the same host only and never from https to http, so that a directory can't
make this machine send requests elsewhere. Bytes of a peer can make requests, and the libraries
below it, raise nearly anything (OverflowError for a long length, UnicodeError for a name). So every
exception that comes out of them is translated to a RemoteError.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from nym.errors import ProxyError, RedirectError, RemoteError, RemoteFormatError, StatusError
from nym.net.bodies import CHUNK, gather
from nym.net.boundary import deadline, translated
from nym.net.outward import outward, proxy_of_environment
from nym.wire.addresses import is_loopback
from nym.wire.text import visible, visible_url

TIMEOUT = 10.0  # seconds for a whole exchange, redirects included
# Seconds for each address of a name. With two addresses, the second is tried within TIMEOUT.
CONNECT_TIMEOUT = 4.0
LONGEST_ANSWER = 16 << 20  # bytes, once they are unpacked: a short answer can unpack to gigabytes
LONGEST_REFUSAL = 1000  # bytes of the answer to a post that is refused
LONGEST_REASON = 400  # characters of it in an error
MOST_REDIRECTS = 5
HEADERS = {"User-Agent": "nym-client", "Accept": "*/*", "Accept-Encoding": "gzip, deflate"}

_SAME_METHOD = frozenset({301, 302, 307, 308})  # redirects after which a POST stays a POST

# urllib3's log lines quote the peer's bytes and the URL, with any password in it. Our own errors
# have what matters, made visible and without credentials.
logging.getLogger("urllib3").setLevel(logging.CRITICAL)


class Answer(NamedTuple):
    """A successful answer: its body, and the server's clock in seconds since 1970.

    `date` is None if the server didn't tell the time. `peer` is the server's IP address; None if a
    proxy is between it and this machine. The names of `headers` can have any case.
    """

    body: bytes
    date: float | None
    peer: str | None
    headers: Mapping[str, str]


def http_get(url: str, longest: int | None = None, patience: float | None = None) -> Answer:
    """GET `url`; only an answer with status 200 is a success. Raises RemoteError.

    The answer may have `longest` bytes, else LONGEST_ANSWER, and take `patience` seconds, else
    TIMEOUT.
    """
    longest = longest or LONGEST_ANSWER
    with _answer("GET", url, None, patience=patience) as answer:
        # Before the body is read: behind its end, `raw` has no connection any more.
        peer = getattr(answer.raw.connection, "peer", None)
        if answer.status_code != 200:
            raise _refusal(url, answer)
        with translated(visible_url(url), Exception):
            body = gather(answer.iter_content(CHUNK), longest)
        if body is None:
            raise RemoteFormatError(f"{visible_url(url)} answers with more than {longest} bytes")
        return Answer(body, _date(answer), peer, answer.headers)


def http_post(
    url: str,
    body: bytes,
    headers: Mapping[str, str] | None = None,
    patience: float | None = None,
) -> Mapping[str, str]:
    """POST JSON to `url`, or what `headers` say; 200 and 201 are a success. Raises RemoteError.

    Returns the headers of the answer. A server's reason for refusing it, as directories give it, is
    in the error's text.
    """
    with _answer("POST", url, body, headers, patience) as answer:
        if answer.status_code not in (200, 201):
            try:
                with translated(visible_url(url), Exception):
                    begin = next(answer.iter_content(LONGEST_REFUSAL), b"")
            except RemoteError as error:
                # The status says more than that its reason can't be read.
                raise _refusal(url, answer) from error
            raise _refusal(url, answer, _reason(begin))
        return answer.headers


class _Outward:
    """Makes connections as `outward` says.

    Adds the IP address of the peer, which stays when the socket is closed.
    """

    peer: str | None = None
    host: str
    port: int

    def _new_conn(self) -> Any:
        """See urllib3: a connected socket, over which TLS may be spoken later."""
        if proxy := outward.proxy_to(self.host):
            return proxy.connect(self.host, self.port)
        connection = super()._new_conn()  # type: ignore[misc]
        self.peer = connection.getpeername()[0]
        return connection


class _Plain(_Outward, HTTPConnection):
    """A connection for http."""


class _Secure(_Outward, HTTPSConnection):
    """A connection for https."""


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _Secure


class _Adapter(HTTPAdapter):
    """Makes connections as `outward` says, and takes no cookies.

    Those through a proxy of the environment come from other pools. Cookies are dropped
    because no directory needs them, and http.cookiejar prints a traceback for those that it can't
    parse.
    """

    def init_poolmanager(self, *arguments: Any, **named: Any) -> None:
        """See requests."""
        super().init_poolmanager(*arguments, **named)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        """See requests, which takes cookies from the original headers of http.client."""
        if original := getattr(resp, "_original_response", None):
            for name in ("Set-Cookie", "Set-Cookie2"):
                del original.msg[name]
        return super().build_response(req, resp)


class _Session(requests.Session):
    """A session whose requests look the same on every machine, and which follows no redirects.

    By default, the libraries name their versions and list the compressions that are installed,
    which tells clients apart. All clients name only the program: its way of asking shows that
    anyway, and some servers refuse requests without a User-Agent.

    requests would read the whole body of each redirect, however long, so `_answer` follows them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.headers.clear()
        self.headers.update(HEADERS)
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter())

    def get_redirect_target(self, resp: requests.Response) -> None:
        """See requests; None, so that it follows no redirect."""


@contextmanager
def _answer(
    method: str,
    url: str,
    body: bytes | None,
    headers: Mapping[str, str] | None = None,
    patience: float | None = None,
) -> Iterator[requests.Response]:
    """The answer at the end of all redirects; its body has not been read yet."""
    with _Session() as session, deadline(visible_url(url), patience or TIMEOUT):
        for _ in range(MOST_REDIRECTS + 1):
            answer = _ask(session, method, url, body, headers)
            if not _is_redirect(method, answer):
                break
            target = _target(url, answer)
            answer.close()
            url = target
        else:
            raise RedirectError(
                f"{visible_url(url)} is behind more than {MOST_REDIRECTS} redirects"
            )
        with answer:
            yield answer


def _ask(
    session: requests.Session,
    method: str,
    url: str,
    body: bytes | None,
    headers: Mapping[str, str] | None,
) -> requests.Response:
    with translated(visible_url(url), Exception):
        # A directory on this machine is asked directly, even if the environment names a proxy: a
        # proxy elsewhere would take the address for its own machine.
        is_here = is_loopback(urlsplit(url).hostname or "")
        follows_environment = outward.follows_environment and not is_here
        if follows_environment:
            _check_proxy(url)
        try:
            return session.request(
                method,
                url,
                data=body,
                headers={
                    **({"Content-Type": "application/json"} if body else {}),
                    **(headers or {}),
                },
                proxies=None if follows_environment else {"no_proxy": "*"},
                timeout=(CONNECT_TIMEOUT, TIMEOUT),
                allow_redirects=False,
                stream=True,
            )
        except requests.exceptions.ProxyError as error:
            _, variable = proxy_of_environment(url)
            raise ProxyError(
                f"{visible_url(url)} can't be reached: the proxy that {variable} names "
                f"doesn't answer as a proxy; correct or unset {variable}"
            ) from error


def _check_proxy(url: str) -> None:
    """Raises ProxyError for a SOCKS proxy, which only clients use."""
    proxy, variable = proxy_of_environment(url)
    if proxy.lower().startswith("socks"):
        raise ProxyError(
            f"{visible_url(url)} can't be reached: {variable} names a SOCKS proxy, and only "
            f"clients use those; unset {variable}, or set NO_PROXY={urlsplit(url).hostname}"
        )


def _is_redirect(method: str, answer: requests.Response) -> bool:
    # 303 asks for a GET, which would lose the body of a POST.
    return answer.status_code in _SAME_METHOD or (method == "GET" and answer.status_code == 303)


def _target(url: str, answer: requests.Response) -> str:
    """The URL that a redirect names. Raises RedirectError for one that isn't followed."""
    where = f"{visible_url(url)} redirects to"
    try:
        # http.client reads the bytes of headers as Latin-1; servers send UTF-8.
        location = answer.headers.get("Location", "").encode("latin-1").decode()
        before, after = urlsplit(url), urlsplit(urljoin(url, location))
        places = _place(before), _place(after)
    except ValueError as error:
        raise RedirectError(f"{where} something that isn't a URL: {visible(str(error))}") from error
    shown = visible_url(after.geturl())
    if after.scheme not in ("http", "https") or after.hostname != before.hostname:
        raise RedirectError(
            f"{where} {shown}, which is on another host, so the redirect isn't followed"
        )
    # With http, only the path may change: another port is another service of that host.
    if after.scheme != "https" and places[0] != places[1]:
        raise RedirectError(f"{where} {shown}, which is less safe, so the redirect isn't followed")
    # The user name and password of the first URL go along; those of the redirect are the server's.
    user, at, _ = before.netloc.rpartition("@")
    return after._replace(netloc=f"{user}{at}{after.netloc.rpartition('@')[2]}").geturl()


def _place(url: SplitResult) -> tuple[str, int | None]:
    """(scheme, port). Raises ValueError for a port that isn't valid."""
    return url.scheme, url.port


def _refusal(url: str, answer: requests.Response, reason: str = "") -> StatusError:
    text = f"{visible_url(url)} answers with HTTP status {answer.status_code}"
    if reason:
        text += f": {reason}"
    return StatusError(text, answer.status_code, answer.headers)


def _reason(body: bytes) -> str:
    """The text of `{"error": TEXT}`; empty for anything else."""
    try:
        reason = json.loads(body)["error"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return ""
    return visible(reason, LONGEST_REASON) if isinstance(reason, str) else ""


def _date(answer: requests.Response) -> float | None:
    try:
        return parsedate_to_datetime(answer.headers["Date"]).timestamp()
    except (KeyError, ValueError, OverflowError):
        return None
