"""The raw dialect: requests and answers as bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nym.errors import RequestError
from nym.wire.addresses import NodeAddress
from nym.wire.answers import ClientList, Fetched, KnownClient, OwnDetails, Received, Response, Sent
from nym.wire.raw import decode_request, encode_error, encode_response
from nym.wire.requests import Clients, Details, Fetch, Request, Send

ADDRESS = bytes(range(32))
AT = NodeAddress("127.0.0.1", 1789)

REQUESTS: list[tuple[bytes, Request]] = [
    (b"\x01" + ADDRESS + b"x", Send(ADDRESS, b"x")),
    (b"\x01" + ADDRESS + bytes(975), Send(ADDRESS, bytes(975))),
    (b"\x02", Fetch()),
    (b"\x03", Clients()),
    (b"\x04", Details()),
]
RESPONSES: list[tuple[Response, bytes]] = [
    (Sent("id"), b"ok"),
    (Fetched([]), b"\0\0"),
    (
        Fetched([Received("id", m, 0.0) for m in (b"", b"hello", b"\x01\0")]),
        b"\0\3\0\0\0\5\0\2hello\x01\0",
    ),
    (ClientList([]), b""),
    (ClientList([KnownClient(ADDRESS), KnownClient(ADDRESS, b"p" * 32, AT)]), ADDRESS + ADDRESS),
    (OwnDetails(KnownClient(ADDRESS)), ADDRESS),
]
FOLLOWED = b"UnknownRequestError: this request has one byte, but more bytes follow it"
REFUSALS = [
    (b"", b"IncompleteDataError"),
    (b"\x01", b"IncompleteDataError"),
    (b"\x01" + ADDRESS, b"IncompleteDataError"),
    (b"\x00", b"UnknownRequestError"),
    (b"\x05", b"UnknownRequestError"),
    *((bytes([kind]) + b"?", FOLLOWED) for kind in (2, 3, 4)),
    (b"{", b"UnknownRequestError"),
]


@pytest.mark.parametrize(("data", "request_"), REQUESTS)
def test_requests(data: bytes, request_: Request) -> None:
    assert decode_request(data) == request_


@pytest.mark.parametrize(("response", "data"), RESPONSES)
def test_responses(response: Response, data: bytes) -> None:
    assert encode_response(response) == data


@pytest.mark.parametrize(("data", "text"), REFUSALS)
def test_refusals(data: bytes, text: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        decode_request(data)
    assert encode_error(caught.value) == text


@given(st.binary(max_size=2048))
def test_any_bytes_are_a_request_or_refused(data: bytes) -> None:
    try:
        request = decode_request(data)
    except RequestError as error:
        assert encode_error(error)
        return
    if isinstance(request, Send):
        assert b"\x01" + request.recipient + bytes(request.message) == data
