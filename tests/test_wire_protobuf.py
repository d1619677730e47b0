"""The messages of the framed dialect, compared with those of the published types."""

import json
import re
import subprocess
import sys
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nym.errors import BusyError, RequestError
from nym.wire import mix_pb2, protobuf
from nym.wire.addresses import NodeAddress
from nym.wire.answers import (
    ClientList,
    Fetched,
    Flushed,
    KnownClient,
    OwnDetails,
    Received,
    Response,
    Sent,
)
from nym.wire.framing import FrameBuffer, Framing, encode_frame
from nym.wire.protobuf import (
    decode_json,
    decode_request,
    encode_error,
    encode_error_json,
    encode_response,
    encode_response_json,
)
from nym.wire.requests import Clients, Details, Flush, Request, Send
from nym.wire.sizes import LONGEST_FRAME

ROOT = Path(__file__).parent.parent
CASES: dict[str, dict[str, Any]] = {
    case["name"]: case
    for case in json.loads((ROOT / "tests" / "vectors" / "protobuf_frames.json").read_text())
}
NAMES = st.sampled_from(
    ["send", "fetch", "recipient", "message", "pubKey", "provider", "layer", "id", "value"]
)
ADDRESS = bytes.fromhex("c8cbced1d4d7dadde0e3e6e9eceff2f5f8fbfe0104070a0d101316191c1f2225")
PROVIDER = bytes((7 * i) % 256 for i in range(32))


def message(name: str) -> bytes:
    (content,) = FrameBuffer(Framing.FIXED).feed(bytes.fromhex(CASES[name]["frame"]))
    return content


def without_layer(data: bytes) -> mix_pb2.Response:
    """The response without layers: the published examples have one, but real providers don't."""
    response = mix_pb2.Response.FromString(data)
    for client in [*response.clients.clients, response.details.details]:
        client.provider.ClearField("layer")
    return response


def test_the_set_has_cases() -> None:
    assert len(CASES) == 15


@pytest.mark.parametrize(
    ("name", "request_"),
    [
        ("request details", Details()),
        ("request clients", Clients()),
        ("request flush", Flush()),
        ("request send", Send(ADDRESS, b"foomp")),
    ],
)
def test_requests_as_published(name: str, request_: Request) -> None:
    assert decode_request(message(name)) == request_


@given(st.lists(st.integers(0, 900), min_size=1, max_size=20))
def test_a_fetch_knows_how_long_its_answer_gets(lengths: list[int]) -> None:
    fetched = Fetched([Received("id", bytes(length), 0.0) for length in lengths])
    for room, answer in (
        (protobuf.ROOM, encode_response(fetched)),
        (protobuf.JSON_ROOM, encode_response_json(fetched)),
    ):
        assert room.most_bytes is not None
        taken = sum(room.size(received.message) for received in fetched.messages)
        assert len(answer) <= LONGEST_FRAME - room.most_bytes + taken
        assert taken <= len(answer) + 8 * len(lengths)


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("request")])
def test_requests_in_json_as_published(name: str) -> None:
    try:
        expected = decode_request(message(name))
    except RequestError as error:
        with pytest.raises(RequestError, match=re.escape(str(error))):
            decode_json(CASES[name]["json"])
        return
    assert decode_json(CASES[name]["json"]) == expected


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("response")])
def test_answers_in_json_as_published(name: str) -> None:
    response = mix_pb2.Response.FromString(message(name))
    assert json.loads(protobuf._json(response)) == CASES[name]["json"]


def test_defaults_are_left_out_of_json() -> None:
    assert encode_response_json(Fetched([])) == '{"fetch":{}}'
    assert encode_response_json(Fetched([Received("id", b"\0\1\2\xff", 0.0)])) == (
        '{"fetch":{"messages":["AAEC/w=="]}}'
    )
    address = b64encode(ADDRESS).decode()
    assert json.loads(encode_response_json(OwnDetails(KnownClient(ADDRESS)))) == {
        "details": {"details": {"id": urlsafe_b64encode(ADDRESS).decode(), "pubKey": address}}
    }


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"fetch": {"all": True}}, 'no field named "all"'),
        ({"nonsense": {}}, 'no field named "nonsense"'),
        ({"fetch": {}, "details": {}}, "oneof"),
        ({"send": {"message": "eA?="}}, "in base64"),
        ({"send": []}, "takes an object"),
        ({"send": {"message": None}}, "recipient"),
        ({"send": None}, "was expected"),
        ({"send": {"message": "eA==", "recipient": {"pubKey": "eA=="}}}, "1 bytes instead of 32"),
        ({"send": 3}, "send"),
        ({}, "was expected"),
    ],
)
def test_what_is_wrong_in_json_is_said(body: dict[str, Any], says: str) -> None:
    with pytest.raises(RequestError, match=says) as caught:
        decode_json(body)
    assert json.loads(encode_error_json(caught.value)) == {
        "exception": {"error": str(caught.value)}
    }


def test_an_error_does_not_quote_all_of_it() -> None:
    with pytest.raises(RequestError) as caught:
        decode_json({"é" * 3000: 1})
    assert 0 < len(str(caught.value)) < 400


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=5), inner),
    max_leaves=8,
)


@given(st.dictionaries(NAMES | st.text(max_size=5), json_values, max_size=3))
def test_any_object_is_a_request_or_refused(body: dict[str, Any]) -> None:
    try:
        decode_json(body)
    except RequestError as error:
        assert encode_error_json(error)


def test_long_messages_are_passed_on() -> None:
    request = decode_request(message("request send long"))
    assert isinstance(request, Send)
    assert len(request.message) == 800


@pytest.mark.parametrize(
    ("name", "response"),
    [
        ("response send", Sent("id")),
        ("response fetch none", Fetched([])),
        (
            "response fetch two",
            Fetched([Received("id", m, 0.0) for m in (b"foomp", b"\0\1\2\xff")]),
        ),
        ("response flush", Flushed()),
    ],
)
def test_responses_as_published(name: str, response: Response) -> None:
    assert encode_response(response) == message(name)


def test_exceptions_as_published() -> None:
    assert encode_error(BusyError("something went wrong")) == message("response exception")


def test_clients_and_details_as_published() -> None:
    client = KnownClient(ADDRESS, PROVIDER, NodeAddress("10.0.0.9", 8085))
    details = mix_pb2.Response.FromString(encode_response(OwnDetails(client)))
    expected = without_layer(message("response details"))
    assert details.details.details == expected.details.details

    clients = mix_pb2.Response.FromString(encode_response(ClientList([client, client])))
    first = clients.clients.clients[0]
    assert (first.host, first.port) == ("0.0.0.0", "42")
    assert first.provider == expected.details.details.provider
    assert len(clients.clients.clients) == 2


def test_who_knows_no_provider_says_none() -> None:
    details = mix_pb2.Response.FromString(encode_response(OwnDetails(KnownClient(ADDRESS))))
    assert not details.details.details.HasField("provider")
    assert details.details.details.pub_key == ADDRESS


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (message("request empty"), "send, fetch, clients, details or flush was expected"),
        (message("request send no recipient"), "recipient with a PubKey"),
        (
            mix_pb2.Request(
                send=mix_pb2.Send(recipient=mix_pb2.Client(pub_key=b"short"))
            ).SerializeToString(),
            "5 bytes instead of 32",
        ),
        (b"\xff\xff", "a protobuf Request was expected"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, says: str) -> None:
    with pytest.raises(RequestError, match=says):
        decode_request(data)


@given(st.binary(max_size=100))
def test_any_bytes_are_a_request_or_refused(data: bytes) -> None:
    try:
        decode_request(data)
    except RequestError as error:
        assert encode_error(error)


def test_frames_as_published() -> None:
    for name in CASES:
        assert encode_frame(Framing.FIXED, message(name)).hex() == CASES[name]["frame"]


def test_the_generated_module_is_current(tmp_path: Path) -> None:
    proto = ROOT / "nym" / "wire" / "mix.proto"
    command = re.search(r"^// +python (.*)$", proto.read_text(), re.MULTILINE)
    assert command is not None
    arguments = command[1].replace("_out=.", f"_out={tmp_path}").split()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True)
    made = sorted((tmp_path / "nym" / "wire").iterdir())
    assert [path.name for path in made] == ["mix_pb2.py", "mix_pb2.pyi"]
    for path in made:
        assert path.read_text() == (ROOT / "nym" / "wire" / path.name).read_text()
