"""How a directory answers: to browsers, caches and plain web servers; nothing is done twice."""

import gzip
import json
import time
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
import requests

from nym.net.resource import Resource
from nym.nodes import metrics, rendered
from nym.nodes.directory import Directory
from nym.nodes.openapi import DESCRIPTION
from nym.wire.clients import EMPTY, AddressList
from nym.wire.directory import (
    Lists,
    MixNode,
    Provider,
    Records,
    encode_presence,
    encode_topology,
)
from nym.wire.keys import encode_base58
from tests.harness import PATIENCE, wait_until

TOPOLOGY = "/api/presence/topology"
KEY = bytes(range(1, 33))
MIXNODE = MixNode("192.0.2.1:1789", KEY, 1, "0.4.0")


@pytest.fixture
def url() -> Iterator[str]:
    directory = Directory("127.0.0.1", 0)
    yield directory.start()
    directory.stop()


def ask(method: str, url: str, **more: Any) -> requests.Response:
    headers = {"Accept-Encoding": "identity"} | more.pop("headers", {})
    return requests.request(
        method, url, timeout=PATIENCE, headers=headers, allow_redirects=False, **more
    )


def post(url: str, node: MixNode | Provider) -> None:
    kind = "mixnodes" if isinstance(node, MixNode) else "mixproviders"
    answer = ask("POST", f"{url}/api/presence/{kind}", data=encode_presence(node))
    assert answer.status_code == 201, answer.text


def mixnodes(url: str) -> list[Any]:
    found: list[Any] = ask("GET", url + TOPOLOGY).json()["mixNodes"]
    return found


def test_pages_of_any_origin_may_read_it(url: str) -> None:
    for path in (TOPOLOGY, "/api/metrics/mixes", "/api/healthcheck", "/api/nothing"):
        answer = ask("GET", url + path, headers={"Origin": "https://example.com"})
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        preflight = ask("OPTIONS", url + path, headers={"Origin": "https://example.com"})
        assert (preflight.status_code, preflight.content) == (204, b"")
        assert preflight.headers["Access-Control-Allow-Origin"] == "*"
        assert "POST" in preflight.headers["Access-Control-Allow-Methods"]


@pytest.mark.parametrize("path", [TOPOLOGY + "/", "/" + TOPOLOGY, "//api//presence/topology//"])
def test_more_slashes_than_needed_find_their_way(url: str, path: str) -> None:
    post(url, MIXNODE)
    assert ask("GET", url + path).json()["mixNodes"][0]["host"] == MIXNODE.host


def test_head_is_get_without_a_body(url: str) -> None:
    for path in (TOPOLOGY, "/api/healthcheck", "/api/nothing"):
        get, head = ask("GET", url + path), ask("HEAD", url + path)
        assert (head.status_code, head.content) == (get.status_code, b"")
        for name in ("Content-Length", "Content-Type", "ETag"):
            assert head.headers.get(name) == get.headers.get(name)


def test_what_a_cache_knows_is_not_sent_again(url: str) -> None:
    post(url, MIXNODE)
    first = ask("GET", url + TOPOLOGY)
    assert first.headers["Cache-Control"] == "public, max-age=1"
    tag = first.headers["ETag"]
    for known in (tag, f'"other", {tag}', tag.removeprefix("W/"), "*"):
        again = ask("GET", url + TOPOLOGY, headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["ETag"] == tag
    assert ask("GET", url + TOPOLOGY, headers={"If-None-Match": '"other"'}).status_code == 200
    post(url, MIXNODE._replace(host="192.0.2.2:1789", public_key=bytes(range(2, 34))))
    after = ask("GET", url + TOPOLOGY, headers={"If-None-Match": tag})
    assert after.status_code == 200
    assert after.headers["ETag"] != tag


@pytest.mark.parametrize(
    ("accepted", "is_packed"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("*", True),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("", False),
    ],
)
def test_long_answers_are_packed_for_those_who_accept_it(accepted: str, is_packed: bool) -> None:
    body = json.dumps(list(range(1000))).encode()
    answer = Resource(body, "application/json").answer("", accepted)
    headers = dict(answer.headers)
    assert (headers.get("Content-Encoding") == "gzip") == is_packed
    assert (gzip.decompress(answer.body) if is_packed else answer.body) == body
    assert headers["Content-Length"] == str(len(answer.body))
    assert headers["Vary"] == "Accept-Encoding"
    short = Resource(b"{}", "application/json").answer("", accepted)
    assert short.body == b"{}"


@pytest.fixture
def renderings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one each time the topology is rendered."""
    counted: list[int] = []

    def encode(records: Records, lists: Lists) -> bytes:
        counted.append(1)
        return encode_topology(records, lists)

    monkeypatch.setattr(rendered, "encode_topology", encode)
    return counted


def test_it_is_rendered_once_for_each_change(
    url: str, renderings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert rendered.FRESH == 5
    monkeypatch.setattr(rendered, "FRESH", PATIENCE)
    monkeypatch.setattr("nym.nodes.listed.LIFETIME", PATIENCE)
    post(url, MIXNODE)
    gevent.joinall([gevent.spawn(mixnodes, url) for _ in range(20)], raise_error=True)
    assert len(renderings) == 1
    post(url, MIXNODE)  # which says only that it is still there
    assert mixnodes(url)
    assert len(renderings) == 1
    post(url, MIXNODE._replace(version="0.4.1"))
    assert mixnodes(url)[0]["version"] == "0.4.1"
    assert len(renderings) == 2
    provider = Provider("192.0.2.3:1", "192.0.2.3:2", bytes(range(3, 35)), EMPTY, "0.4.0")
    post(url, provider)
    assert ask("GET", url + TOPOLOGY).json()["mixProviderNodes"]
    post(url, provider._replace(clients=AddressList(KEY)))
    listed = ask("GET", url + TOPOLOGY).json()["mixProviderNodes"][0]["registeredClients"]
    assert listed == [{"pubKey": encode_base58(KEY)}]
    assert len(renderings) == 4


def test_the_times_in_it_are_not_old(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendered, "FRESH", 0.05)
    post(url, MIXNODE)
    first = mixnodes(url)[0]["lastSeen"]
    post(url, MIXNODE)
    wait_until(lambda: mixnodes(url)[0]["lastSeen"] > first)


def test_a_node_is_gone_when_its_time_is_over(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nym.nodes.listed.LIFETIME", 0.4)
    post(url, MIXNODE)
    assert mixnodes(url)
    began = time.monotonic()
    wait_until(lambda: not mixnodes(url))
    assert time.monotonic() - began < rendered.FRESH


def test_its_dashboard_is_at_its_address(url: str) -> None:
    for address in (url, f"{url}/", f"{url}//"):
        page = ask("GET", address)
        assert page.status_code == 200
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "<title>Nym network</title>" in page.text
    known = {"If-None-Match": page.headers["ETag"]}
    assert ask("GET", url, headers=known).status_code == 304
    assert ask("HEAD", url).headers["Content-Security-Policy"]
    script = ask("GET", f"{url}/web/dashboard/dashboard.js")
    assert script.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert ask("GET", f"{url}/web/client/client.js").status_code == 404
    assert ask("POST", url).status_code == 404


def test_metrics_are_those_of_three_seconds(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert metrics.WINDOW == 3
    path = f"{url}/api/metrics/mixes"
    metric = {"pubKey": "k", "received": 1, "sent": {"192.0.2.1:1789": 1}}
    for received in range(2):
        assert ask("POST", path, json=metric | {"received": received}).status_code == 201
    assert [listed["received"] for listed in ask("GET", path).json()] == [0, 1]
    monkeypatch.setattr(metrics, "WINDOW", 0.01)
    wait_until(lambda: ask("GET", path).json() == [])


def test_metrics_have_a_limit(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "WINDOW", PATIENCE)
    monkeypatch.setattr(metrics, "MOST_METRICS", 1000)
    metric = json.dumps({"pubKey": "k", "received": 1, "sent": {}}).ljust(400)
    path = f"{url}/api/metrics/mixes"
    answers = [ask("POST", path, data=metric).status_code for _ in range(3)]
    assert answers == [201, 201, 400]


def test_its_description_names_what_is_there(url: str) -> None:
    described = ask("GET", f"{url}/swagger/doc.json").json()
    assert described == DESCRIPTION
    unknown = AddressList(bytes(32))
    for path, methods in described["paths"].items():
        for method in methods:
            place = path.replace("{digest}", str(unknown.digest))
            answer = ask(method.upper(), url + described["basePath"] + place, data=b"")
            found = 200 if path == place else 404  # nobody has this list
            expected = found if method == "get" else 400
            assert answer.status_code == expected
            assert str(expected) in described["paths"][path][method]["responses"]
    text = json.dumps(described)
    for reference in text.split('"$ref": "#/definitions/')[1:]:
        assert reference.partition('"')[0] in described["definitions"]
    post(url, MIXNODE)
    (listed,) = mixnodes(url)
    assert set(listed) == set(described["definitions"]["ListedMixNode"]["required"])
