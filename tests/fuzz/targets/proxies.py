"""What SOCKS proxies answer, and URLs that name them."""

from nym.errors import RemoteFormatError
from nym.wire import socks
from tests.fuzz.targets import Target


def reply(data: bytes) -> None:
    code, rest = socks.decode_reply(data)
    assert 0 <= code <= 255
    assert 0 <= rest <= 257


def url(data: bytes) -> None:
    read = socks.parse_proxy_url(data.decode())
    assert socks.parse_proxy_url(str(read)) == read._replace(user="", password="")
    assert len(socks.encode_login(read)) <= 3 + 2 * 255
    assert socks.encode_request(read.host, read.port)


TARGETS = {
    "proxy_method": Target(socks.decode_method, RemoteFormatError, lambda: [b"\5\0"], 8),
    "proxy_login": Target(socks.decode_login, RemoteFormatError, lambda: [b"\1\0"], 8),
    "proxy_reply": Target(reply, RemoteFormatError, lambda: [b"\5\0\0\1\0", b"\5\1\0\3\7"], 8),
    "proxy_url": Target(
        url,
        ValueError,
        lambda: [b"socks5://me:a%40b@proxy.example:9050", b"socks5h://[2001:db8::7]/"],
        512,
    ),
}
