"""Each value has one form as text: decoders refuse whatever no encoder writes."""

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from string import ascii_letters, ascii_uppercase, digits

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nym.cli.options import number
from nym.errors import NymError
from nym.identity import decode_pem
from nym.wire import base64, json_requests, protobuf
from nym.wire.addresses import parse_numeric
from nym.wire.keys import decode_base58, decode_base64, encode_base58, encode_base64
from nym.wire.origins import parse_origin
from nym.wire.requests import Send

KEY = bytes(range(224, 256))
BASE58, BASE64 = encode_base58(KEY), b64encode(KEY).decode()
SPACES = (" ", "\n", "\t", "\r\n", "\v", "\f", "\x1c", "\x85", "\xa0", "\u2003", "\u2028")
UNSEEN = ("\0", "\ufeff", "\u200b")


def sent_as_json(recipient: str, data: str) -> Send:
    line = json.dumps({"type": "send", "recipient_address": recipient, "data": data})
    request, _ = json_requests.decode_request(json_requests.parse(line.encode()))
    assert isinstance(request, Send)
    return request


def sent_as_protobuf(message: str, **recipient: str) -> Send:
    request = protobuf.decode_json({"send": {"message": message, "recipient": recipient}})
    assert isinstance(request, Send)
    return request


def pem(text: str) -> bytes:
    file = f"-----BEGIN A KEY-----\n{text}\n-----END A KEY-----".encode()
    return bytes(decode_pem("A KEY", memoryview(bytearray(file))))


def port(text: str) -> int | None:
    address = parse_numeric(f"127.0.0.1:{text}")
    return address and address.port


DECODERS: dict[str, tuple[str, object, Callable[[str], object]]] = {
    "a key in base58": (BASE58, KEY, decode_base58),
    "a recipient in JSON": (BASE58, KEY, lambda text: sent_as_json(text, "").recipient),
    "base64": (BASE64, KEY, base64.decode),
    "URL-safe base64": (urlsafe_b64encode(KEY).decode(), KEY, base64.decode_url_safe),
    "a key in base64": (encode_base64(KEY), KEY, decode_base64),
    "data in JSON": (BASE64, KEY, lambda text: sent_as_json(BASE58, text).message),
    "a PEM file": (BASE64, KEY, pem),
    "a message in protobuf's JSON": (
        BASE64,
        KEY,
        lambda text: sent_as_protobuf(text, pubKey=BASE64).message,
    ),
    "a key in protobuf's JSON": (
        BASE64,
        KEY,
        lambda text: sent_as_protobuf("", pubKey=text).recipient,
    ),
    "a key by its other name": (
        BASE64,
        KEY,
        lambda text: sent_as_protobuf("", pub_key=text).recipient,
    ),
    "an option": ("1789", 1789, lambda text: number("--port", text, 0, 65535)),
    "a node's port": ("1789", 1789, port),
    "an origin's port": (
        "1789",
        1789,
        lambda text: parse_origin(f"http://localhost:{text}").port,
    ),
}


def around(text: str, *fillings: str) -> Iterator[str]:
    for filling in fillings:
        yield from (filling + text, text[:2] + filling + text[2:], text + filling)


def strange(text: str) -> Iterator[str]:
    """Texts that look like `text`, or that lenient decoders accept; ours must refuse them."""
    if text.isdigit():
        yield from around(
            text, *SPACES, *UNSEEN, "_", "+", "-", ".", ".0", "e0", "\u00b2", "\u0663"
        )
        yield from (
            "\uff11\uff17\uff18\uff19",
            "\u0661\u0667\u0668\u0669",
            "0x6fd",
            "65536",
            "9" * 5000,
        )
    elif text == BASE58:
        yield from around(text, *SPACES, *UNSEEN, "0", "O", "I", "l", "+", "_", "1", "\uff11", "é")
        yield ""
    else:
        yield from around(text, *SPACES[4:], *UNSEEN, "*", "%3D", ".", "é", "\uff21")
        yield from (text + "AAAA", text + "==")


def not_canonical(text: str) -> Iterator[str]:
    """Base64 that lenient decoders take for the same bytes as `text`, which ends with one `=`."""
    alphabet = ascii_uppercase + ascii_letters[:26] + digits + ("-_" if "_" in text else "+/")
    last = alphabet.index(text[-2])
    yield from (text[:-2] + alphabet[last + unused] + "=" for unused in (1, 2, 3))
    yield from (text[:-1], text + "=")
    yield text.translate(str.maketrans("-_+/", "+/-_"))


@pytest.mark.parametrize("name", DECODERS)
def test_there_is_one_form(name: str) -> None:
    text, value, decode = DECODERS[name]
    assert decode(text) == value
    wrong = list(strange(text))
    if name in ("base64", "URL-safe base64", "a key in base64", "data in JSON", "a PEM file"):
        wrong += not_canonical(text)
        assert len(set(wrong)) > 40
    if name != "a PEM file":  # a PEM file has line breaks, so spaces there are another matter
        wrong += around(text, *SPACES[:4])
    for other in wrong:
        with pytest.raises((ValueError, NymError)):
            print(repr(other), "stands for", decode(other))


@given(st.binary(max_size=100))
def test_base64_both_ways(data: bytes) -> None:
    assert base64.decode(b64encode(data).decode()) == data
    assert base64.decode_url_safe(urlsafe_b64encode(data).decode()) == data


@given(st.text(alphabet="AQgwBf+/= \n-_", max_size=12))
def test_base64_that_is_read_is_what_would_be_written(text: str) -> None:
    try:
        data = base64.decode(text)
    except ValueError:
        return
    assert b64encode(data).decode() == text
