"""Requests and answers as JSON objects, compared with those of the published client."""

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nym.errors import BusyError, NoTopologyError, RequestError
from nym.wire.answers import (
    Acknowledged,
    AllCancelled,
    Cancelled,
    ClientList,
    CorrespondentList,
    Fetched,
    Flushed,
    KnownClient,
    MessageProgress,
    OwnDetails,
    Received,
    Response,
    Sent,
    Subscribed,
    WaitingMessages,
)
from nym.wire.json_answers import (
    BASE64,
    ROOMS,
    TEXT,
    encode_error,
    encode_news,
    encode_response,
)
from nym.wire.json_requests import decode_request, parse
from nym.wire.keys import decode_base58, encode_base58
from nym.wire.recipients import Recipient
from nym.wire.reports import AvoidedNode, NetworkDetails, StatusReport, WaitingMessage
from nym.wire.requests import (
    Acknowledge,
    AddContact,
    Cancel,
    CancelAll,
    Clients,
    Contacts,
    Correspondents,
    Details,
    Fetch,
    History,
    Network,
    Part,
    Progress,
    Read,
    RemoveContact,
    RenameContact,
    Reply,
    Request,
    Send,
    Status,
    Subscribe,
    Waiting,
)
from nym.wire.sizes import LONGEST_FRAME

VECTORS = json.loads((Path(__file__).parent / "vectors" / "websocket_json.json").read_text())
KEY = bytes(range(32))
ADDRESS = encode_base58(KEY)
TAG = encode_base58(bytes(range(16)))
WAITING = WaitingMessage(
    id="ab12",
    recipient=ADDRESS,
    size=5,
    manner="reliable",
    anonymous_reply=False,
    accepted=1580000000.5,
    age=60.0,
    expires=None,
    left=1,
    fragments=1,
    waits_for="turn",
    why="it waits for its turn",
)


def text(pieces: Iterable[str]) -> str:
    return "".join(pieces)


def received(message: bytes) -> Received:
    return Received("ab12", message, 1580000000.5)


def test_the_set_has_cases() -> None:
    assert len(VECTORS) >= 8


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["request"][:40])
def test_requests_and_answers_as_published(case: dict[str, str]) -> None:
    expected = json.loads(case["response"])
    try:
        request, message_format = decode_request(parse(case["request"].encode()))
    except RequestError as error:
        assert expected["type"] == "error"
        assert json.loads(encode_error(error))["type"] == "error"
        return
    response: Response
    match request:
        case Send():
            response = Sent("ab12")
        case Fetch():
            messages = [received(m.encode()) for m in expected.get("messages", [])]
            response = Fetched(messages)
        case Clients():
            response = ClientList([KnownClient(decode_base58(a)) for a in expected["clients"]])
        case Details():
            response = OwnDetails(KnownClient(decode_base58(expected["address"])))
        case _:
            pytest.fail(f"{request} is not published")
    answer = json.loads(text(encode_response(response, message_format)))
    for name in ("id", "sealed"):  # fields that the published client doesn't have
        answer.pop(name, None)
    if expected["type"] != "error":  # errors such as "too long" are found by the service, later
        assert answer == expected


@pytest.mark.parametrize(
    ("line", "request_", "message_format"),
    [
        (
            {"type": "send", "recipient_address": ADDRESS, "message": "é"},
            Send(KEY, b"\xc3\xa9"),
            TEXT,
        ),
        (
            {
                "type": "send",
                "recipient_address": ADDRESS,
                "data": "AA==",
                "anonymous_reply": True,
            },
            Send(KEY, b"\0", is_answerable=True),
            TEXT,
        ),
        ({"type": "reply", "tag": TAG, "message": "a"}, Reply(bytes(range(16)), b"a"), TEXT),
        (
            {"type": "reply", "tag": TAG, "parts": True, "reliable": True, "anonymous_reply": True},
            Reply(bytes(range(16)), b"", True, is_in_parts=True, is_answerable=True),
            TEXT,
        ),
        (
            {"type": "send", "recipient_address": ADDRESS, "data": "AAH/"},
            Send(KEY, b"\0\1\xff"),
            TEXT,
        ),
        (
            {
                "type": "send",
                "recipient_address": ADDRESS,
                "data": "",
                "reliable": False,
                "plain": True,
            },
            Send(KEY, b"", is_plain=True, is_reliable=False),
            TEXT,
        ),
        ({"type": "getClients"}, Clients(), TEXT),
        ({"type": "ownDetails"}, Details(), TEXT),
        ({"type": "subscribe"}, Subscribe(), BASE64),
        ({"type": "subscribe", "window": 1}, Subscribe(1), BASE64),
        ({"type": "progress", "id": "ab12"}, Progress("ab12"), TEXT),
        ({"type": "network"}, Network(), TEXT),
        ({"type": "outbox"}, Waiting(0), TEXT),
        ({"type": "outbox", "after": 100}, Waiting(100), TEXT),
        ({"type": "cancel", "id": "ab12"}, Cancel("ab12"), TEXT),
        ({"type": "cancel", "recipient_address": ADDRESS}, CancelAll(KEY), TEXT),
        ({"type": "cancel", "tag": TAG}, CancelAll(bytes(range(16))), TEXT),
        ({"type": "cancel", "all": True}, CancelAll(), TEXT),
        ({"type": "ack", "id": "ab12"}, Acknowledge("ab12"), TEXT),
        ({"type": "status"}, Status(), TEXT),
        ({"type": "status", "every": 2}, Status(2.0), TEXT),
        ({"type": "history"}, History(), TEXT),
        ({"type": "subscribe", "shared": True}, Subscribe(is_shared=True), BASE64),
        ({"type": "read", "id": "ab12"}, Read("ab12"), BASE64),
        ({"type": "part", "data": "AAH/"}, Part(b"\0\1\xff"), TEXT),
        ({"type": "contacts"}, Contacts(), TEXT),
        (
            {"type": "addContact", "name": "bob", "recipient_address": f"{ADDRESS}@{ADDRESS}"},
            AddContact("bob", Recipient(KEY, KEY)),
            TEXT,
        ),
        (
            {"type": "renameContact", "name": "bob", "new_name": "rob"},
            RenameContact("bob", "rob"),
            TEXT,
        ),
        ({"type": "removeContact", "name": "bob"}, RemoveContact("bob"), TEXT),
        ({"type": "correspondents"}, Correspondents(), TEXT),
        ({"type": "ownDetails", "code": True}, Details(has_code=True), TEXT),
        (
            {"type": "send", "recipient_address": ADDRESS, "parts": True},
            Send(KEY, b"", is_in_parts=True),
            TEXT,
        ),
    ],
)
def test_requests(line: object, request_: Request, message_format: str) -> None:
    assert decode_request(parse(json.dumps(line).encode())) == (request_, message_format)


@pytest.mark.parametrize(
    ("line", "message_format"),
    [({"type": "fetch"}, TEXT), ({"type": "fetch", "format": "base64"}, BASE64)],
)
@given(kinds=st.lists(st.sampled_from([b"a", b"\0", b"\xff", "é".encode()]), min_size=1))
def test_a_fetch_knows_how_long_its_answer_gets(
    line: dict[str, str], message_format: str, kinds: list[bytes]
) -> None:
    assert decode_request(line) == (Fetch(), message_format)
    room = ROOMS[message_format]
    assert room.most_bytes is not None
    messages = [received(kind * 200) for kind in kinds]
    answer = text(encode_response(Fetched(messages), message_format))
    taken = sum(room.size(message.message) for message in messages)
    # The estimate may exceed the answer by two bytes, for commas that aren't there.
    assert len(answer) <= LONGEST_FRAME - room.most_bytes + taken <= len(answer) + 2


@pytest.mark.parametrize(
    ("response", "message_format", "line"),
    [
        (Sent("ab12"), TEXT, {"type": "send", "id": "ab12"}),
        (
            Fetched([received(b"hi"), received(b"\xff")]),
            TEXT,
            {"type": "fetch", "messages": ["hi", "\ufffd"], "sealed": [False, False]},
        ),
        (
            Fetched([received(b"hi"), received(b"\xff")._replace(sealed=True)]),
            BASE64,
            {"type": "fetch", "messages": ["aGk=", "/w=="], "sealed": [False, True]},
        ),
        (ClientList([KnownClient(KEY)]), TEXT, {"type": "getClients", "clients": [ADDRESS]}),
        (OwnDetails(KnownClient(KEY)), TEXT, {"type": "ownDetails", "address": ADDRESS}),
        (
            CorrespondentList([KEY, bytes(range(16))], [bytes(range(16))]),
            TEXT,
            {"type": "correspondents", "correspondents": [ADDRESS, TAG], "answered": [TAG]},
        ),
        (Subscribed(), BASE64, {"type": "subscribe"}),
        (Acknowledged("ab12"), TEXT, {"type": "ack", "id": "ab12"}),
        (
            StatusReport(
                "0.4.0",
                ADDRESS,
                state="running",
                directory="http://d",
                directory_verified=True,
                network={"layers": [2, 2], "providers": 1, "left_out": [], "digest": "abcd"},
                uptime=1.5,
                outbox=2,
                inbox=3,
                partial=4,
                partial_lost=5,
                failed=["cd"],
                packets_real=6,
                packets_cover=7,
                loops_sent=8,
                loops_returned=9,
                loop_time=1.25,
                avoided_nodes=[
                    AvoidedNode(key="k", address="10.0.0.1:1789", why="refuses", seconds=3.0)
                ],
            ),
            TEXT,
            {
                "type": "status",
                "version": "0.4.0",
                "state": "running",
                "state_seconds": 0.0,
                "reason": None,
                "directory": "http://d",
                "directory_verified": True,
                "network": {"layers": [2, 2], "providers": 1, "left_out": [], "digest": "abcd"},
                "backlog": None,
                "tempo": None,
                "address": ADDRESS,
                "provider": None,
                "provider_identity": None,
                "registered": False,
                "provider_sealed": False,
                "uptime": 1.5,
                "outbox": 2,
                "inbox": 3,
                "inbox_lost": 0,
                "inbox_refused": {
                    "anonymous": 0,
                    "strangers": 0,
                    "contacts": 0,
                    "correspondents": 0,
                },
                "plain_refused": 0,
                "partial": 4,
                "partial_lost": 5,
                "partial_given_up": {
                    "anonymous": 0,
                    "strangers": 0,
                    "contacts": 0,
                    "correspondents": 0,
                },
                "failed": ["cd"],
                "packets_real": 6,
                "packets_cover": 7,
                "packets_received": 0,
                "loops_sent": 8,
                "loops_returned": 9,
                "loop_time": 1.25,
                "loss": None,
                "avoided_nodes": [
                    {"key": "k", "address": "10.0.0.1:1789", "why": "refuses", "seconds": 3.0}
                ],
                "reply_addresses": {"registered": 0, "free": 0},
            },
        ),
        (
            MessageProgress("ab12", "waiting", 3, 5),
            TEXT,
            {
                "type": "progress",
                "id": "ab12",
                "state": "waiting",
                "left": 3,
                "fragments": 5,
                "waits_for": None,
                "why": None,
            },
        ),
        (
            NetworkDetails(
                [[{"key": ADDRESS, "address": "192.0.2.1:1"}]], [], [], "abcd", "http://d"
            ),
            TEXT,
            {
                "type": "network",
                "layers": [[{"key": ADDRESS, "address": "192.0.2.1:1"}]],
                "providers": [],
                "left_out": [],
                "digest": "abcd",
                "directory": "http://d",
                "directory_verified": False,
            },
        ),
        (
            WaitingMessages([WAITING], 7),
            TEXT,
            {"type": "outbox", "messages": [WAITING], "next": 7},
        ),
        (Cancelled("ab12"), TEXT, {"type": "cancel", "id": "ab12"}),
        (AllCancelled(["ab", "cd"]), TEXT, {"type": "cancel", "ids": ["ab", "cd"]}),
    ],
)
def test_responses(response: Response, message_format: str, line: object) -> None:
    encoded = text(encode_response(response, message_format))
    assert "\n" not in encoded
    assert json.loads(encoded) == line


def test_what_json_never_asks_for() -> None:
    with pytest.raises(TypeError):
        encode_response(Flushed(), TEXT)


def test_a_subscriber_gets_everything_about_a_message() -> None:
    assert json.loads(text(encode_news(received(b"\xff")))) == {
        "type": "message",
        "id": "ab12",
        "data": "/w==",
        "sender": None,
        "sealed": False,
        "received": 1580000000.5,
    }


def test_a_message_that_can_be_answered_has_a_tag() -> None:
    tag = bytes(range(16))
    question = received(b"a")._replace(reply_to=tag, account=KEY)
    answer = received(b"a")._replace(sender=KEY, reply_from=tag, account=KEY)
    told = [json.loads(text(encode_news(one))) for one in (question, answer)]
    assert [one.get("reply_to") for one in told] == [TAG, None]
    assert [one.get("reply_from") for one in told] == [None, TAG]
    assert [one["sender"] for one in told] == [None, ADDRESS]
    assert not any("account" in one for one in told)


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("", "unknown_request", "JSON object"),
        ("{", "unknown_request", "JSON object"),
        ("[]", "unknown_request", "JSON object"),
        ("[" * 100_000, "unknown_request", "JSON object"),
        ("{}", "unknown_request", "send, reply, fetch"),
        ('{"type": []}', "unknown_request", "send, reply, fetch"),
        ('{"type": "send"}', "incomplete", "recipient_address is missing"),
        ('{"type": "send", "recipient_address": 3}', "incomplete", "isn't a text"),
        ('{"type": "send", "recipient_address": "abc"}', "incomplete", "32 bytes"),
        ('{"type": "send", "recipient_address": "A"}', "incomplete", 'either "message"'),
        ('{"type": "send", "recipient_address": "A", "message": 3}', "incomplete", "isn't a text"),
        ('{"type":"send","recipient_address":"A","message":"","data":""}', "incomplete", "either"),
        ('{"type": "send", "recipient_address": "A", "data": "?"}', "incomplete", "not base64"),
        (
            '{"type":"send","recipient_address":"A","message":"\\ud800"}',
            "unknown_request",
            "half of a",
        ),
        ('{"type":"send","recipient_address":"A","reliable":1}', "incomplete", "true or"),
        ('{"type":"send","recipient_address":"A","plain":"no"}', "incomplete", "true or"),
        ('{"type": "fetch", "format": "hex"}', "incomplete", "base64 or text"),
        ('{"type": "ack"}', "incomplete", "id is missing"),
        ('{"type": "progress"}', "incomplete", "id is missing"),
        ('{"type": "outbox", "after": -1}', "incomplete", "after has to be a number from 0"),
        ('{"type": "outbox", "after": true}', "incomplete", "after has to be a number from 0"),
        ('{"type": "cancel"}', "incomplete", 'one of "id"'),
        ('{"type":"reply","message":"a"}', "incomplete", "tag is missing"),
        ('{"type":"reply","tag":"","message":"a"}', "incomplete", "a tag has 16 bytes, not 0"),
        ('{"type":"reply","tag":"0","message":"a"}', "incomplete", "a tag in base58"),
        (f'{{"type":"reply","tag":"{ADDRESS}","message":"a"}}', "incomplete", "not 32"),
        (f'{{"type":"reply","tag":"{TAG}"}}', "incomplete", "reply takes either"),
        (f'{{"type":"reply","tag":"{TAG}","data":"*"}}', "incomplete", "not base64"),
        ('{"type": "cancel", "id": "ab", "all": true}', "incomplete", 'one of "id"'),
        ('{"type": "cancel", "all": false}', "incomplete", "all has to be true"),
        ('{"type": "cancel", "recipient_address": "x"}', "incomplete", "recipient_address"),
        (f'{{"type": "cancel", "tag": "{ADDRESS}"}}', "incomplete", "a tag has 16 bytes, not 32"),
        (f'{{"type": "cancel", "tag": "{TAG}", "all": true}}', "incomplete", 'one of "id"'),
        ('{"type": "subscribe", "window": 0}', "incomplete", "from 1 to 100"),
        ('{"type": "subscribe", "window": 101}', "incomplete", "from 1 to 100"),
        ('{"type": "subscribe", "window": true}', "incomplete", "from 1 to 100"),
    ],
)
def test_what_is_wrong_is_said(line: str, code: str, says: str) -> None:
    with pytest.raises(RequestError, match=says) as caught:
        decode_request(parse(line.replace('"A"', f'"{ADDRESS}"').encode()))
    error = json.loads(encode_error(caught.value))
    assert (error["type"], error["code"]) == ("error", code)


def test_errors_have_codes() -> None:
    assert json.loads(encode_error(BusyError("full"))) == {
        "type": "error",
        "message": "full",
        "code": "busy",
    }
    assert json.loads(encode_error(NoTopologyError()))["code"] == "no_network"


@given(st.binary(max_size=100) | st.text(max_size=100).map(str.encode))
def test_any_line_is_a_request_or_refused(line: bytes) -> None:
    try:
        decode_request(parse(line))
    except RequestError as error:
        assert encode_error(error)
