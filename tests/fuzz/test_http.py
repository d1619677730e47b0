"""Answers that no honest directory gives: each becomes a value or one of this program's errors.

A server answers the HTTP client with combinations of valid and broken pieces of HTTP. Error texts
must not contain escapes for a terminal, nor the URL's password. Nothing is printed or logged.
`NYM_FUZZ=1000000 python -m pytest -n0 tests/fuzz/test_http.py` tries a million answers.
"""

import gzip
import os
import random
import socket
import warnings
import zlib
from collections import Counter

import gevent
import pytest

from nym.errors import RemoteError, RemoteFormatError
from nym.net.http import http_get, http_post
from nym.wire.text import visible
from tests.harness import serving

INPUTS = int(os.environ.get("NYM_FUZZ", "1500"))

STATUS_LINES = [
    b"HTTP/1.1 200 OK",
    b"HTTP/1.1 200 OK",
    b"HTTP/1.1 200 OK",
    b"HTTP/1.0 201 Created",
    b"HTTP/1.1 302 Found",
    b"HTTP/1.1 301 \x1b[31mMoved",
    b"HTTP/1.1 307 Moved",
    b"HTTP/1.1 308 \xff\xfe",
    b"HTTP/1.1 303 See Other",
    b"HTTP/1.1 401 Who are you",
    b"HTTP/1.1 407 Proxy",
    b"HTTP/1.1 100 Continue",
    b"HTTP/1.1 101 Switching",
    b"HTTP/1.1 204 Nothing",
    b"HTTP/1.1 304 As before",
    b"HTTP/1.1 999 \x1b]0;title\x07",
    b"HTTP/1.1 -1 OK",
    b"HTTP/1.1 2000 OK",
    b"HTTP/1.1 \xd9\xa2\xd9\xa0\xd9\xa0 OK",
    b"HTTP/9.9 200 OK",
    b"HTTP/1.1 200",
    b"HTTP/1.1",
    b"ICY 200 OK",
    b"\x1b[31mred",
    b"",
    b"H" * 70_000,
]
LOCATIONS = [
    b"/elsewhere",
    b"//[bad",
    b"http://[bad",
    b"http://" + b"a" * 64 + b".example/",
    b"http://x..y/",
    b"http://\xff\xfe/",
    b"/\xff\xfe",
    b"/\xe2\x80\xae",
    b"http://\xed\xa0\x80/",
    b"http://127.0.0.1:99999/",
    b"http://127.0.0.1:x/",
    b"http://127.0.0.1:1/",
    b"https://127.0.0.1:1/",
    b"https://127.0.0.1:{port}/",
    b"http://127.0.0.1:{port}/again",
    b"http://user:secret@127.0.0.1:{port}/",
    b"http://169.254.169.254/latest",
    b"file:///etc/passwd",
    b"ftp://127.0.0.1/",
    b"javascript:alert(1)",
    b"",
    b"?",
    b"%",
    b"http:",
    b"http://",
    b"\x1b[31m",
    b"http://xn--a/",
    b"http://127.1:{port}/",
    b"http://[::ffff:127.0.0.1%25lo]:{port}/",
]
HEADERS = [
    b"Content-Length: 5",
    b"Content-Length: 0",
    b"Content-Length: -1",
    b"Content-Length: five",
    b"Content-Length: 99999999999999999999",
    b"Content-Length: 5\r\nContent-Length: 6",
    b"Content-Length: 5, 6",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: \xff",
    b"Content-Encoding: gzip",
    b"Content-Encoding: deflate",
    b"Content-Encoding: gzip, deflate, gzip",
    b"Content-Encoding: " + b"gzip, " * 50 + b"gzip",
    b"Content-Encoding: br",
    b"Content-Encoding: zstd",
    b"Content-Encoding: what",
    b"Content-Type: text/html; charset=\xff\xfe",
    b"Content-Type: application/json; charset=nonsense",
    b"Set-Cookie: a=b; expires=\xff; domain=.; path=\x1b",
    b"Set-Cookie: \xff\xfe; max-age=" + b"9" * 5000,
    b"Set-Cookie2: a=b; Version=x; Max-Age=y",
    b"Date: Wed, 21 Oct 2015 07:28:00 GMT",
    b"Date: Wed, 99 Oct 99999 99:99:99 +9999",
    b"Date: \xff",
    b"Date: 0",
    b"Date: Mon, 01 Jan 0001 00:00:00 +2359",
    b"WWW-Authenticate: Digest realm=\xff",
    b"Connection: keep-alive",
    b"Connection: close, \x1b[2J",
    b"Link: <http://[>; rel=next",
    b"Upgrade: h2c",
    b"no colon at all",
    b": no name",
    b" folded: line",
    b"Long: " + b"x" * 70_000,
    b"\r\n".join(b"X-%d: y" % number for number in range(200)),
    b"\x00\x00",
    b"X: \x1b[31m\x9b\xe2\x80\xae",
]
BODIES = [
    b"",
    b"hello",
    b"5\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n",
    b"zz\r\nhello\r\n0\r\n\r\n",
    b"-5\r\nhello\r\n",
    b"ffffffffffffffffff\r\nhello",
    b"5;ext=\xff\r\nhello\r\n0\r\ntrailer \x1b\r\n\r\n",
    b"x" * 70_000 + b"\r\n",
    gzip.compress(b"hello"),
    gzip.compress(b"hello")[:-3],
    gzip.compress(b"hello") + b"more",
    zlib.compress(b"hello"),
    b"\x1f\x8b\x08\x00nonsense",
    bytes(200),
]


def answer(chance: random.Random, port: int) -> bytes:
    """An answer of the server: pieces of HTTP, sometimes mutated or cut short, or only noise."""
    if chance.random() < 0.05:
        return chance.randbytes(chance.randrange(300))
    headers = chance.choices(HEADERS, k=chance.randrange(4))
    status = chance.choice(STATUS_LINES)
    if status[9:10] == b"3" or chance.random() < 0.1:
        location = chance.choice(LOCATIONS).replace(b"{port}", b"%d" % port)
        headers.append(b"Location: " + location)
    data = bytearray(b"\r\n".join([status, *headers, b"", chance.choice(BODIES)]))
    if chance.random() < 0.3:
        for _ in range(chance.randrange(1, 5)):
            if data:
                data[chance.randrange(min(len(data), 500))] = chance.randrange(256)
    if chance.random() < 0.1:
        del data[chance.randrange(len(data) + 1) :]
    return bytes(data)


@pytest.mark.parametrize("method", ["get", "post"])
def test_each_answer_is_a_value_or_an_error_of_ours(
    method: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    chance = random.Random(f"{method} {INPUTS}")
    asked: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()

    def serve(connection: socket.socket) -> None:
        asked[_request_line(connection)] += 1
        connection.sendall(answer(chance, port))

    with serving(serve) as address, warnings.catch_warnings():
        warnings.simplefilter("error")
        port = address.port
        for number in range(INPUTS):
            url = f"http://user:secret@{address}/{number}"
            try:
                with gevent.Timeout(20):
                    if method == "get":
                        assert isinstance(http_get(url).body, bytes)
                    else:
                        http_post(url, b"{}")
                outcomes["value"] += 1
            except RemoteError as error:
                outcomes[type(error).__name__] += 1
                assert visible(str(error), 1000) == str(error), repr(str(error))
                assert "secret" not in str(error)
    # Values and all kinds of errors must occur; otherwise the inputs test less than they seem.
    assert min(outcomes.values()) > INPUTS / 200, f"one outcome is rare: {outcomes}"
    assert len(outcomes) == 5, f"not these: a value, four kinds of errors: {outcomes}"
    assert sum(asked.values()) > INPUTS, "redirects on the same host were not followed"
    assert {line.partition(" ")[0] for line in asked} == {method.upper(), ""}
    assert capfd.readouterr().err == ""
    assert caplog.records == []


def _request_line(connection: socket.socket) -> str:
    request = b""
    while b"\r\n\r\n" not in request and (data := connection.recv(65536)):
        request += data
        if request.startswith(b"\x16"):  # a TLS handshake: a redirect led to https
            return ""
    return request.partition(b"\r\n")[0].decode("latin-1")


@pytest.mark.parametrize("encodings", [1, 2])
def test_a_small_answer_that_unpacks_to_gigabytes_is_cut(encodings: int) -> None:
    packed = gzip.compress(bytes(1 << 26))
    for _ in range(encodings - 1):
        packed = gzip.compress(packed)
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: " + b", ".join([b"gzip"] * encodings) + b"\r\n\r\n"
    )

    def serve(connection: socket.socket) -> None:
        _request_line(connection)
        connection.sendall(head + packed)

    with serving(serve) as address, pytest.raises(RemoteFormatError, match="more than 16777216"):
        http_get(f"http://{address}/")
