"""The HTTP client for directories: answers, redirects, proxies, and what requests give away.

Servers on real sockets answer whatever a test wants them to.
"""

import os
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from gevent.pywsgi import WSGIServer

from nym.errors import (
    CertificateError,
    OwnFaultError,
    ProxyError,
    RedirectError,
    RemoteFormatError,
    StatusError,
    UnreachableError,
)
from nym.net import http
from nym.net.http import http_get, http_post
from nym.net.listening import listen
from tests.harness import free_port, serving, serving_http

TLS = Path(__file__).parent / "tls"
Location = Callable[[str], str]


@contextmanager
def redirecting(status: str, location: Location) -> Iterator[tuple[str, list[str]]]:
    """A server that redirects `/from` to `location(its URL)`.

    Gives (its URL, the requests that it got: method, path and credentials).
    """
    asked: list[str] = []

    def answer(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        credentials = environ.get("HTTP_AUTHORIZATION", "")
        asked.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} {credentials}".rstrip())
        if environ["PATH_INFO"] == "/from":
            start_response(status, [("Location", location(url))])
            return [b"moved"]
        start_response("200 OK", [("Date", "Sun, 06 Nov 1994 08:49:37 GMT")])
        return [environ["wsgi.input"].read() or b"here"]

    server = WSGIServer(("127.0.0.1", 0), answer, log=None)
    url = f"http://{listen(server)}"
    try:
        yield url, asked
    finally:
        server.stop(timeout=0)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 Other", "307 T", "308 P"])
@pytest.mark.parametrize("location", ["/from/", "{}/from/", "from/", "//{}/from/"])
def test_redirects_on_the_same_host_are_followed(status: str, location: str) -> None:
    def where(url: str) -> str:
        return location.format(url.removeprefix("http://") if location[0] == "/" else url)

    with redirecting(status, where) as (url, asked):
        assert http_get(f"{url}/from").body == b"here"
    assert asked == ["GET /from", "GET /from/"]


@pytest.mark.parametrize(
    ("authority", "why"),
    [
        (None, "unable to get local issuer certificate"),
        (TLS / "authority.pem", "certificate is not valid for '127.0.0.1'"),
    ],
)
def test_a_certificate_of_an_unknown_authority_or_for_another_name_is_refused(
    monkeypatch: pytest.MonkeyPatch, authority: Path | None, why: str
) -> None:
    asked: list[str] = []

    def answer(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        asked.append(environ["PATH_INFO"])
        start_response("200 OK", [])
        return [b"here"]

    if authority:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "directory.pem", TLS / "directory.key")
    server = WSGIServer(("127.0.0.1", 0), answer, log=None, ssl_context=context)
    url = f"https://{listen(server)}"
    try:
        with pytest.raises(CertificateError, match=f"isn't trusted: .*{why}.*; REQUESTS_CA_BUNDLE"):
            http_get(url)
    finally:
        server.stop(timeout=0)
    assert asked == []


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 T", "308 P"])
def test_a_post_stays_one(status: str) -> None:
    with redirecting(status, lambda url: "/from/") as (url, asked):
        http_post(f"{url}/from", b"{}")
    assert asked == ["POST /from", "POST /from/"]


def test_credentials_go_along_and_are_never_shown() -> None:
    with redirecting("301 Moved", lambda url: f"{url}/from/") as (url, asked):
        url = url.replace("//", "//user:pass%20word@")
        assert http_get(f"{url}/from").body == b"here"
        with pytest.raises(RedirectError, match="redirects") as loop:
            http_post(f"{url}/from".replace("127.0.0.1", "127.1"), b"{}")
    assert asked[:2] == [f"GET {path} Basic dXNlcjpwYXNzIHdvcmQ=" for path in ("/from", "/from/")]
    assert "user" not in str(loop.value)
    assert "pass" not in str(loop.value)


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://localhost:{port}/", "another host"),
        ("http://127.0.0.2/", "another host"),
        ("http://directory.example/\u202e", r"directory\.example/.*another host"),
        ("http://127.0.0.1:1/", "less safe"),
        ("ftp://127.0.0.1/", "another host"),
        ("http://[bad", "isn't a URL"),
        ("http://127.0.0.1:99999/", "isn't a URL"),
        ("/from", "more than 5 redirects"),
    ],
)
def test_redirects_elsewhere_are_refused(location: str, reason: str) -> None:
    def where(url: str) -> str:
        text = location.format(port=url.rpartition(":")[2])
        return text.encode().decode("latin-1")

    with (
        redirecting("302 Found", where) as (url, asked),
        pytest.raises(RedirectError, match=reason) as refusal,
    ):
        http_get(f"{url}/from")
    assert set(asked) == {"GET /from"}
    assert str(refusal.value).isprintable()


def test_the_servers_clock() -> None:
    with redirecting("301 Moved", lambda url: "/") as (url, _):
        assert http_get(url).date == 784111777.0
    for date in ("", "Date: nonsense", "Date: Mon, 01 Jan 99999 0:0:0 +2359"):
        with serving(_saying(f"HTTP/1.1 200 OK\r\n{date}\r\n\r\n".encode())) as address:
            assert http_get(f"http://{address}/").date is None


def _saying(answer: bytes) -> Callable[[socket.socket], None]:
    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)

    return serve


@pytest.mark.parametrize(
    "url",
    [
        "http://[bad/",
        "http://" + "a" * 64 + ".example/",
        "http://x..y/",
        "http://\ud800/",
        "http://127.0.0.1:99999/",
        "nonsense://127.0.0.1/",
        "127.0.0.1",
        "",
        "http://",
        "http://no-such-host.invalid/",
    ],
)
def test_what_is_no_url_of_a_server_cannot_be_reached(
    url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UnreachableError, match="can't be reached"):
        http_get(url)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("variable", ["ALL_PROXY", "all_proxy", "http_proxy"])
def test_a_socks_proxy_is_refused_by_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    for name in os.environ:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv(variable, "socks5h://me:secret@127.0.0.1:9050")
    reason = f"{variable} names a SOCKS proxy.*unset {variable}, or set NO_PROXY=directory.example"
    with pytest.raises(ProxyError, match=reason) as refusal:
        http_get("http://directory.example/")
    assert "secret" not in str(refusal.value)
    with serving_http(lambda: b"direct") as url:
        assert http_get(url).body == b"direct"


def test_a_proxy_that_does_not_answer_is_not_the_directorys_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", f"http://me:secret@127.0.0.1:{free_port()}")
    with pytest.raises(OwnFaultError, match="the proxy that http_proxy names") as refusal:
        http_get("http://directory.example/")
    assert "secret" not in str(refusal.value)


def test_http_answers_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "LONGEST_ANSWER", 1000)
    with serving_http(lambda: bytes(1000)) as url:
        assert http_get(url).body == bytes(1000)
    with (
        serving_http(lambda: bytes(1001)) as url,
        pytest.raises(RemoteFormatError, match="more than 1000"),
    ):
        http_get(url)


def test_http_errors_are_errors() -> None:
    with serving_http(lambda: b"{}", "404 Not Found") as url:
        with pytest.raises(RemoteFormatError, match="404"):
            http_get(url)
        with pytest.raises(RemoteFormatError, match="404"):
            http_post(url, b"{}")


def test_a_proxy_is_not_asked_for_what_is_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    with serving_http(lambda: b"direct") as url:
        assert http_get(url).body == b"direct"


@pytest.mark.parametrize("host", ["127.0.0.1", "directory.example"])
def test_certificates_that_are_named_and_not_there_are_said(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/authorities.pem")
    with pytest.raises(UnreachableError, match=r"CA certificate bundle.*/nowhere/authorities.pem"):
        http_get(f"https://{host}:1")


def test_requests_tell_nothing_of_the_machine() -> None:
    """Headers must not show versions, nor which compressions happen to be installed."""
    asked: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        asked.append(connection.recv(65536))
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}")

    with serving(serve) as address:
        http_get(f"http://{address}/")
        http_post(f"http://{address}/", b"{}")
    names = [
        {line.partition(b":")[0]: line.partition(b": ")[2] for line in head.split(b"\r\n")[1:]}
        for head in (request.partition(b"\r\n\r\n")[0] for request in asked)
    ]
    same = {
        b"Host": str(address).encode(),
        b"User-Agent": b"nym-client",
        b"Accept": b"*/*",
        b"Accept-Encoding": b"gzip, deflate",
    }
    assert names == [
        same,
        same | {b"Content-Type": b"application/json", b"Content-Length": b"2"},
    ]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"error": "the node is too old"}', ": the node is too old"),
        (b'{"error": "a\\u001b[2J\\nforged"}', r": a\x1b[2J\nforged"),
        (b'{"error": 1}', ""),
        (b'{"no": "error"}', ""),
        (b'["error"]', ""),
        (b'"error"', ""),
        (b"[" * 100_000, ""),
        (b'{"error": "' + b"x" * 100_000 + b'"}', ""),
        (b"", ""),
    ],
)
def test_the_reason_of_a_refusal_is_told(body: bytes, reason: str) -> None:
    with (
        serving_http(lambda: body, "400 Bad Request") as url,
        pytest.raises(StatusError) as caught,
    ):
        http_post(url, b"{}")
    assert str(caught.value) == f"{url} answers with HTTP status 400{reason}"
    assert caught.value.status == 400
