"""What pages and other programs ask to look at a client: all of it leaves the inbox as it is."""

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import segno

from nym.client.history import MINUTE, MOST_MINUTES, MOST_SECONDS, History
from nym.contacts import Contact, add_contact
from nym.sockets.http import WebSocket
from nym.sockets.objects import MOST_PARTS
from nym.sockets.tcp import TcpSocket
from nym.wire.json_answers import MOST_SHOWN, encode_response
from nym.wire.keys import encode_base58
from nym.wire.reports import HISTORY, HistorySample
from nym.wire.sizes import LONGEST_SEALED
from tests.harness import OTHER, OWN, Lines, Served, wait_until
from tests.test_sockets_websocket import Application


@pytest.fixture
def served() -> Iterator[Served]:
    with Served(TcpSocket) as served:
        yield served


@pytest.fixture
def lines(served: Served) -> Iterator[Lines]:
    with Lines(served.connect()) as lines:
        yield lines


def shared(lines: Lines) -> None:
    assert lines.ask(type="subscribe", shared=True) == {"type": "subscribe"}


def test_messages_are_shown_to_everybody_and_stay(served: Served, lines: Lines) -> None:
    served.deliver(b"one", b"two")
    with Lines(served.connect()) as other:
        for application in (lines, other):
            shared(application)
            first, second = application.hear(), application.hear()
            assert [base64.b64decode(m["data"]) for m in (first, second)] == [b"one", b"two"]
            assert first["size"] == 3
            assert first["sealed"] is True
        assert len(served.inbox) == 2
        # What comes is shown, and so is what leaves, whoever takes it.
        served.deliver(b"three")
        third = lines.hear()
        assert (third["type"], base64.b64decode(third["data"])) == ("message", b"three")
        assert other.hear() == third
        assert lines.ask(type="ack", id=second["id"]) == {"type": "ack", "id": second["id"]}
        gone = {"type": "gone", "id": second["id"]}
        assert lines.hear() == other.hear() == gone
        with Lines(served.connect()) as taker:
            assert taker.ask(type="fetch")["messages"] == ["one", "three"]
        for application in (lines, other):
            left = {application.hear()["id"] for _ in range(2)}
            assert left == {first["id"], third["id"]}


def test_a_shared_subscription_keeps_nothing_from_others(served: Served, lines: Lines) -> None:
    shared(lines)
    served.deliver(b"one")
    message = lines.hear()
    with Lines(served.connect()) as other:
        assert other.ask(type="subscribe") == {"type": "subscribe"}
        assert other.hear()["id"] == message["id"]
        # While it is on offer to another one, it is shown all the same.
        with Lines(served.connect()) as third:
            shared(third)
            assert third.hear()["id"] == message["id"]


def test_the_rest_of_a_long_message_is_read_and_stays(served: Served, lines: Lines) -> None:
    longest_shown, long = bytes(MOST_SHOWN), bytes(range(256)) * 8192
    served.deliver(longest_shown, long)
    shared(lines)
    assert base64.b64decode(lines.hear()["data"]) == longest_shown
    told = lines.hear()
    assert (told["size"], "data" in told) == (len(long), False)
    assert base64.b64decode(told.pop("begin")) == long[:1024]
    read = lines.ask(type="read", id=told["id"])
    assert base64.b64decode(read.pop("data")) == long
    assert read == told
    assert len(served.inbox) == 2
    assert lines.ask(type="read", id="none")["code"] == "no_such_message"


@pytest.mark.parametrize("other", [{"window": 3}, {"follow": False}])
def test_a_shared_subscription_has_no_window_and_no_end(
    lines: Lines, other: dict[str, object]
) -> None:
    answer = lines.ask(type="subscribe", shared=True, **other)
    assert (answer["code"], next(iter(other)) in answer["message"]) == ("incomplete", True)


def test_failures_are_told_to_those_who_share(served: Served, lines: Lines) -> None:
    shared(lines)
    sent = lines.send(OTHER, b"hello")
    served.outbox.give_up(sent)
    assert lines.hear() == {"type": "failed", "id": sent}


def test_the_status_comes_again_and_again(served: Served, lines: Lines) -> None:
    once = lines.ask(type="status")
    assert lines.ask(type="status", every=0.5) == once
    began = time.monotonic()
    assert [lines.hear()["type"] for _ in range(3)] == ["status"] * 3
    assert time.monotonic() - began > 1.4
    # Other requests are answered in between, and `every` 0 ends it.
    assert lines.ask(type="ownDetails")["type"] in ("ownDetails", "status")
    lines.say(type="status", every=0)
    lines.say(type="progress", id="end")
    heard: list[Any] = []
    while not heard or heard[-1]["type"] != "progress":
        heard.append(lines.hear())
    time.sleep(0.6)
    assert lines.ask(type="ownDetails")["type"] == "ownDetails"


@pytest.mark.parametrize("every", [0.1, 3601, -1, "1", True, None])
def test_how_often_has_limits(lines: Lines, every: object) -> None:
    answer = lines.ask(type="status", every=every)
    assert (answer["code"], "every has to be" in answer["message"]) == ("incomplete", True)


def test_those_who_want_reports_keep_their_place_and_leave_some_to_others() -> None:
    with Served(TcpSocket, connections=8) as served:
        watchers = [Lines(served.connect()) for _ in range(7)]
        for watcher in watchers:
            assert watcher.ask(type="status", every=3600)["type"] == "status"
        with Lines(served.connect()) as last:
            assert last.ask(type="status", every=3600)["code"] == "busy"
            assert last.ask(type="status")["type"] == "status"
            # A new connection takes the only place that nobody keeps.
            with Lines(served.connect()) as newer:
                assert newer.ask(type="status")["type"] == "status"
                assert last.connection.recv(1) == b""
        assert watchers[0].ask(type="status")["type"] == "status"
        for watcher in watchers:
            watcher.connection.close()


def test_while_no_loop_came_back_there_is_nothing_to_show(lines: Lines) -> None:
    assert lines.ask(type="loops") == {"type": "loops", "last": None, "nodes": {}}


def test_what_was_counted_is_told_in_columns(served: Served, lines: Lines) -> None:
    assert lines.ask(type="history") == {
        "type": "history",
        "series": [{"step": step, **{name: [] for name in HISTORY}} for step in (1, 60)],
    }
    for _ in range(61):
        served.view.past.tick()
    seconds, minutes = lines.ask(type="history")["series"]
    assert (len(seconds["time"]), len(minutes["time"])) == (61, 2)
    assert minutes["time"][0] <= minutes["time"][1] <= time.time()
    assert (minutes["packets_real"], minutes["loop_time"]) == ([7.0, 7.0], [None, None])
    assert set(seconds["loss"]) == {0.25}


def test_of_what_was_counted_only_the_last_day_is_kept() -> None:
    count = 0

    def look() -> HistorySample:
        nonlocal count
        count += 1
        return HistorySample(count, 0, 0, 0, 0, 0, None, None)

    history = History(look)
    for _ in range(MINUTE * (MOST_MINUTES + 3)):
        history.tick()
    seconds, minutes = history.report().series
    assert list(seconds.columns["packets_real"]) == [*range(count - MOST_SECONDS + 1, count + 1)]
    real = minutes.columns["packets_real"]
    assert (len(real), real[-1]) == (MOST_MINUTES, count - MINUTE + 1)
    # It is written in pieces, none of which is long work.
    assert max(map(len, encode_response(history.report(), ""))) < 1 << 17


def test_a_message_in_parts_is_one_message(served: Served, lines: Lines) -> None:
    part = base64.b64encode(bytes(700_000)).decode()
    assert lines.ask(type="part", data=part) == {"type": "part", "bytes": 700_000}
    assert lines.ask(type="part", data="YWJj") == {"type": "part", "bytes": 700_003}
    recipient = encode_base58(OTHER)
    assert lines.ask(type="send", recipient_address=recipient, parts=True)["type"] == "send"
    ((outgoing, _),) = served.outbox.arrivals()
    assert bytes(outgoing.message) == bytes(700_000) + b"abc"
    # They are used up; and parts are of one connection alone.
    answer = lines.ask(type="send", recipient_address=recipient, parts=True)
    assert answer["code"] == "incomplete"
    lines.ask(type="part", data="YWJj")
    with Lines(served.connect()) as other:
        assert other.ask(type="send", recipient_address=recipient, parts=True) == answer


def test_requests_that_are_written_together_keep_their_order(served: Served, lines: Lines) -> None:
    recipient = encode_base58(OTHER)
    send = {"type": "send", "recipient_address": recipient}
    for request in (
        {**send, "message": "first"},
        {"type": "part", "data": "YQ=="},
        {"type": "part", "data": "Yg=="},
        {**send, "parts": True},
        {**send, "parts": True},
        {"type": "part", "data": "Yw=="},
        {**send, "parts": True},
    ):
        lines._file.write(json.dumps(request).encode() + b"\n")
    lines._file.flush()
    answers = [lines.hear()["type"] for _ in range(7)]
    assert answers == ["send", "part", "part", "send", "error", "part", "send"]
    sent = [bytes(outgoing.message) for outgoing, _ in served.outbox.arrivals()]
    assert sent == [b"first", b"ab", b"c"]


def test_parts_have_the_limit_of_a_message(lines: Lines) -> None:
    part = base64.b64encode(bytes(LONGEST_SEALED // 2)).decode()
    for _ in range(2):
        assert lines.ask(type="part", data=part)["type"] == "part"
    assert lines.ask(type="part", data="YQ==")["code"] == "too_long"
    # They are dropped, so the next message begins anew.
    assert lines.ask(type="part", data="YQ==") == {"type": "part", "bytes": 1}


def test_there_is_a_limit_to_how_many_parts_there_are(lines: Lines) -> None:
    for _ in range(MOST_PARTS):
        assert lines.ask(type="part", data="") == {"type": "part", "bytes": 0}
    answer = lines.ask(type="part", data="")
    assert (answer["code"], str(MOST_PARTS) in answer["message"]) == ("incomplete", True)
    assert lines.ask(type="part", data="YQ==") == {"type": "part", "bytes": 1}


@pytest.mark.parametrize("flags", [{"data": "YQ==", "parts": True}, {"parts": False}, {}])
def test_a_send_has_its_message_in_one_way(lines: Lines, flags: dict[str, Any]) -> None:
    answer = lines.ask(type="send", recipient_address=encode_base58(OTHER), **flags)
    assert (answer["code"], '"parts":true' in answer["message"]) == ("incomplete", True)


def test_a_web_socket_takes_a_message_of_any_length_in_parts() -> None:
    message = bytes(range(256)) * 8192  # longer than a frame may be
    with Served(WebSocket) as served, Application(served) as application:
        for at in range(0, len(message), 1 << 19):
            data = base64.b64encode(message[at : at + (1 << 19)]).decode()
            assert application.ask(type="part", data=data)["type"] == "part"
        to = encode_base58(OTHER)
        assert application.ask(type="send", recipient_address=to, parts=True)["type"] == "send"
        ((outgoing, _),) = served.outbox.arrivals()
        assert bytes(outgoing.message) == message


def test_the_own_address_comes_as_a_code_to_scan(lines: Lines) -> None:
    own = encode_base58(OWN)
    rows = lines.ask(type="ownDetails", code=True)["code"]
    assert len(rows) >= 25
    assert {*map(len, rows)} == {len(rows)}
    assert rows == [
        "".join("1" if dark else "0" for dark in row) for row in segno.make(own, micro=False).matrix
    ]
    assert lines.ask(type="ownDetails") == {"type": "ownDetails", "address": own}


def test_contacts_are_listed_as_the_file_has_them_now(served: Served, lines: Lines) -> None:
    folder, own, other = Path(served.folder.name), encode_base58(OWN), encode_base58(OTHER)
    assert lines.ask(type="contacts") == {"type": "contacts", "contacts": []}
    add_contact(folder, "old", Contact(OTHER, is_plain=True))
    add_contact(folder, "me", Contact(OWN, provider=OTHER))
    assert lines.ask(type="contacts") == {
        "type": "contacts",
        "contacts": [
            {"name": "me", "address": f"{own}@{other}", "plain": False},
            {"name": "old", "address": other, "plain": True},
        ],
    }


def test_a_subscriber_that_leaves_is_told_nothing_more(served: Served) -> None:
    with Lines(served.connect()) as lines:
        shared(lines)
    wait_until(lambda: not served.socket._visits)
    assert not served.inbox._viewers
    assert not served.outbox._watchers
