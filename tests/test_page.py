"""The client's page, on the port of its WebSocket: its files, its token, and the link to it."""

import os
import pty
import re
import signal
import stat
import subprocess
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from nym._secrets import Secret
from nym.client.client import PAGE_TOKEN
from nym.contacts import Contact, add_contact, load_contacts
from nym.sockets.http import WebSocket
from nym.sockets.token import Token
from nym.wire.keys import encode_base58
from tests.harness import OTHER, OWN, PATIENCE, Program, Served, read_all, run_program
from tests.test_sockets_websocket import DETAILS, Application

KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
TOKEN, OTHER_TOKEN = KEY.hex(), OTHER_KEY.hex()


@pytest.fixture
def served() -> Iterator[Served]:
    with Served(WebSocket, page_token=Token(Secret(KEY))) as served:
        yield served


def get(port: int, path: str, **headers: str) -> HTTPResponse:
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request("GET", path, headers=headers)
    return connection.getresponse()


def test_a_browser_gets_the_page(served: Served) -> None:
    answer = get(served.port, "/?from=bookmark")
    body = answer.read()
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert body.startswith(b"<!doctype html>")
    assert answer.headers["Connection"] == "close"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    # All that it names is there.
    names = re.findall(r'(?:src|href)="(/[^"]*)"', body.decode())
    assert "/web/client/client.js" in names
    for name in names:
        assert get(served.port, name).status == 200, name
    again = get(served.port, "/", **{"If-None-Match": answer.headers["ETag"]})
    assert (again.status, again.read()) == (304, b"")


@pytest.mark.parametrize(
    ("method", "status", "has_body"),
    [("GET", 200, True), ("HEAD", 200, False), ("POST", 405, True)],
)
def test_a_page_can_only_be_read(served: Served, method: str, status: int, has_body: bool) -> None:
    with served.connect() as connection:
        connection.sendall(f"{method} / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        head, _, body = read_all(connection).partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert bool(body) == has_body
    assert b"Content-Length: 0" not in head


@pytest.mark.parametrize(
    "path", ["/web", "/web/client/", "/web/../client/client.py", "/web/files.py", "/client.js"]
)
def test_nothing_else_is_handed_out(served: Served, path: str) -> None:
    answer = get(served.port, path)
    assert (answer.status, answer.headers["Content-Type"]) == (404, "text/plain; charset=utf-8")
    assert b"the page is at /" in answer.read()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_other_sites_get_nothing(served: Served, headers: dict[str, str], status: int) -> None:
    assert get(served.port, "/", **headers).status == status


def test_the_page_shows_its_token_and_applications_need_none(served: Served) -> None:
    here, other_name = f"127.0.0.1:{served.port}", f"localhost:{served.port}"
    page = {"Host": here, "Origin": f"http://{here}"}
    for path, headers, status in (
        (f"/?token={TOKEN}", page, 101),
        ("/", page, 401),
        (f"/?token={OTHER_TOKEN}", page, 401),
        ("/", {"Host": here}, 101),
        ("/", {"Host": here, "Origin": "file://"}, 101),
        ("/", {"Host": here, "Origin": "http://127.0.0.1:1"}, 101),
        # The same place under another name.
        ("/", {"Host": other_name, "Origin": f"http://{other_name}"}, 401),
    ):
        with Application(served, path, **headers) as application:
            assert application.response.status_code == status, (path, headers)
            if status == 101:
                assert application.ask(type="ownDetails") == DETAILS


def test_the_owner_changes_contacts_and_nobody_else_does(served: Served) -> None:
    folder, own, other = Path(served.folder.name), encode_base58(OWN), encode_base58(OTHER)
    here = f"127.0.0.1:{served.port}"
    page = {"Host": here, "Origin": f"http://{here}"}
    add = {"type": "addContact", "name": "me", "recipient_address": f"{own}@{other}"}
    with (
        Application(served, f"/?token={TOKEN}", **page) as owner,
        Application(served) as application,
    ):
        assert application.ask(**add)["code"] == "access"
        assert load_contacts(folder).known == {}
        listed = {"name": "me", "address": f"{own}@{other}", "plain": False}
        assert owner.ask(**add) == {"type": "contacts", "contacts": [listed]}
        # What is known of an address stays, also under another name.
        add_contact(folder, "old", Contact(OTHER, is_plain=True, provider=OWN))
        also = owner.ask(type="addContact", name="also", recipient_address=other)
        (found,) = (one for one in also["contacts"] if one["name"] == "also")
        assert found == {"name": "also", "address": f"{other}@{own}", "plain": True}
        for wrong in ({"name": "old"}, {"name": "-x"}, {"name": ""}, {"name": own}):
            answer = owner.ask(**(add | wrong))
            assert answer["code"] == "contacts", answer
        assert owner.ask(**(add | {"recipient_address": "x"}))["code"] == "incomplete"
        nobody = encode_base58(bytes(32))
        assert owner.ask(**(add | {"recipient_address": nobody}))["code"] == "bad_recipient"
        assert set(load_contacts(folder).known) == {"me", "old", "also"}
        rename = {"type": "renameContact", "name": "also", "new_name": "renamed"}
        remove = {"type": "removeContact", "name": "me"}
        for change in (rename, remove):
            assert application.ask(**change)["code"] == "access"
        assert owner.ask(**(rename | {"new_name": "old"}))["code"] == "contacts"
        renamed = owner.ask(**rename)["contacts"]
        assert [one["name"] for one in renamed] == ["me", "old", "renamed"]
        assert renamed[2]["address"] == found["address"]
        assert [one["name"] for one in owner.ask(**remove)["contacts"]] == ["old", "renamed"]
        for change in (rename, remove):  # nobody is called so any more
            assert owner.ask(**change)["code"] == "contacts"
        assert set(load_contacts(folder).known) == {"old", "renamed"}
        (folder / "contacts.toml").write_text("no toml")
        for change in (add, rename, remove):
            assert owner.ask(**change)["code"] == "contacts"
        assert (folder / "contacts.toml").read_text() == "no toml"


def test_only_the_owner_learns_who_is_written_to_without_an_address(served: Served) -> None:
    here = f"127.0.0.1:{served.port}"
    page = {"Host": here, "Origin": f"http://{here}"}
    with (
        Application(served, f"/?token={TOKEN}", **page) as owner,
        Application(served) as application,
    ):
        assert application.ask(type="correspondents")["code"] == "access"
        nobody: dict[str, list[str]] = {"correspondents": [], "answered": []}
        assert owner.ask(type="correspondents") == {"type": "correspondents", **nobody}


def test_where_applications_need_a_token_the_page_needs_the_same() -> None:
    token = Token(Secret(OTHER_KEY))
    with Served(WebSocket, token, token) as served:
        here = f"127.0.0.1:{served.port}"
        page = {"Host": here, "Origin": f"http://{here}"}
        assert get(served.port, "/").status == 200
        for path, headers, status in (
            (f"/?token={OTHER_TOKEN}", page, 101),
            ("/", page, 401),
            ("/", {}, 401),
        ):
            with Application(served, path, **headers) as application:
                assert application.response.status_code == status


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:7/"),
        ("localhost", "http://localhost:7/"),
        ("::1", "http://[::1]:7/"),
        ("0.0.0.0", "http://127.0.0.1:7/"),
        ("::", "http://[::1]:7/"),
    ],
)
def test_the_link_leads_where_the_socket_listens(host: str, url: str) -> None:
    served = Served(WebSocket, page_token=Token(Secret(KEY)), host=host, port=7)
    assert served.socket.page() == f"{url}#token={TOKEN}"
    served._clean_up()


def test_without_a_token_for_it_there_is_no_page() -> None:
    with Served(WebSocket) as served:
        assert get(served.port, "/").status == 426
        assert served.socket.page() is None


def test_the_program_prints_the_link_for_eyes_only(tmp_path: Path) -> None:
    nowhere = ("--directory", "http://127.0.0.1:1")
    assert run_program(tmp_path, "init", "--id", "one", *nowhere)[0] == 0
    file = tmp_path / "nym" / "clients" / "one" / PAGE_TOKEN
    with Program(tmp_path, "websocket", "--port", "0") as program:
        port = int(program.line(r"port: (\d+)")[1])
        program.line(rf"^Page: http://127\.0\.0\.1:{port}/$")
        assert get(port, "/").status == 200
        own = f"127.0.0.1:{port}"
        refused = get(port, "/", Origin=f"http://{own}", Host=own, Upgrade="websocket")
        assert refused.status == 401
        assert f"; {PAGE_TOKEN} in the client's folder has the token" in refused.read().decode()
        # Whoever asks for it gets it, wherever that goes.
        link = f"http://127.0.0.1:{port}/#token={file.read_text().strip()}\n"
        assert run_program(tmp_path, "page", "--id", "one") == (0, link, "")
        code, out, log = program.end(signal.SIGTERM)
    assert code == 0
    token = file.read_text().strip()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert token not in out + log
    code, _, err = run_program(tmp_path, "page")
    assert code == 3
    assert "doesn't run" in err
    # On a terminal, with the token, which is the same at each start.
    here, there = pty.openpty()
    command = [*Program.command, "websocket", "--port", "0"]
    environment = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path)}
    with (
        open(here, "rb", buffering=0) as terminal,
        subprocess.Popen(command, env=environment, stdout=there) as process,
    ):
        os.close(there)
        shown = b""
        while b"Page: " not in shown or not shown.endswith(b"\n"):
            shown += terminal.read(1000)
        process.terminate()
    assert re.search(rf"Page: http://127\.0\.0\.1:\d+/#token={token}\r\n", shown.decode())


@pytest.mark.parametrize(
    ("kind", "host"), [("tcpsocket", "127.0.0.1"), ("websocket", "unix:{}/app.sock")]
)
def test_of_a_client_without_a_page_the_program_says_so(
    tmp_path: Path, kind: str, host: str
) -> None:
    nowhere = ("--directory", "http://127.0.0.1:1")
    assert run_program(tmp_path, "init", "--id", "one", *nowhere)[0] == 0
    settings = {"socket.host": host.format(tmp_path), "socket.port": "0"}
    for name, value in settings.items():
        assert run_program(tmp_path, "config", "set", name, value)[0] == 0
    code, out, err = run_program(tmp_path, "page", "--id", "two")
    assert (code, out) == (5, "")
    assert err.endswith("make it with: nym-client init --id two\n")
    code, out, err = run_program(tmp_path, "page")
    assert (code, out) == (3, "")
    assert err.endswith("start it with: nym-client websocket --id one\n")
    with Program(tmp_path, kind) as program:
        program.line("^Public key")
        code, out, err = run_program(tmp_path, "page")
    assert (code, out) == (1, "")
    assert err.startswith("nym-client: this client has no page: ")


def test_applications_are_not_told_the_link(served: Served) -> None:
    with Application(served) as application:
        answer = application.ask(type="page")
    assert (answer["type"], answer["code"]) == ("error", "unknown_request")
    assert TOKEN not in str(answer)
