"""The client's page in a browser: people write to each other, and look at what their clients do."""

import base64
import json
import math
import os
import time
from array import array
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

from nym.contacts import Contact, add_contact, load_contacts
from nym.identity import generate_identity
from nym.localnet.network import Network
from nym.sockets.http import WebSocket
from nym.wire.keys import encode_base58
from nym.wire.reports import HISTORY, HistorySample
from tests.browser.browser import Browser
from tests.browser.client_page import Run, link, said, serving_page, show, write_to
from tests.harness import FAST, Application, free_port, serving_http, wait_until
from tests.test_library_formats import NAMES

PARTS = ("messages", "traffic", "network", "packet")
# A message of a thousand parts takes some seconds, and each of them can be pulled at once.
SWIFT = replace(FAST, message_sending_average_delay=0.012)
EAGER = replace(FAST, fetch_message_delay=0.02)


def test_two_people_chat(run: Run, browser: Browser) -> None:
    alice, bob = run(), run()
    add_contact(alice.folder, "bob", Contact(bob.address))
    tab, other = browser.tab(link(alice)), browser.tab(link(bob))
    tab.wait_for_text("#sentence", "Running")
    assert "token" not in tab.run("return location.href")
    write_to(tab, encode_base58(bob.address))
    tab.type("#text", "Hello Bob", Keys.ENTER)
    other.wait_for_text("#conversations", "Hello Bob")
    assert other.texts("#unread") == [" 1 unread"]
    assert other.run("return document.title") == "(1) Nym client"
    # Not read yet: it is there after a reload.
    other.open(link(bob))
    other.wait_for_text("#conversations", "Hello Bob")
    other.click("#conversations button")
    other.wait_for("document.getElementById('unread').hidden")
    wait_until(lambda: not len(bob.client._overview.inbox), "the inbox to be empty")
    tab.wait_for_text("#talk", "has arrived")
    # Bob answers, to the address that was proven.
    other.type("#text", "Hello Alice", Keys.ENTER)
    tab.wait_for_text("#talk", "Hello Alice")
    assert said(tab) == ["Hello Bob", "Hello Alice"]
    assert said(other) == ["Hello Bob", "Hello Alice"]
    # And he keeps the address under a name.
    other.type("#contact-name", "-", Keys.ENTER)
    other.wait_for_text("#keep-mistake", "can't be a name")
    other.type("#contact-name", Keys.CONTROL + "a", Keys.NULL, "alice", Keys.ENTER)
    other.wait_for_text("#peer", "alice")
    other.wait_for("document.getElementById('keep').hidden")
    assert load_contacts(bob.folder).known == {"alice": Contact(alice.address)}
    # He renames her; a name that can't be is refused, and the window stays.
    other.click("#contact")
    other.check_accessibility()
    other.type("#new-name", Keys.CONTROL + "a", Keys.NULL, "-", Keys.ENTER)
    other.wait_for_text("#rename-mistake", "can't be a name")
    other.type("#new-name", Keys.CONTROL + "a", Keys.NULL, "alicia", Keys.ENTER)
    other.wait_for_text("#peer", "alicia")
    other.wait_for_text("#conversations", "alicia")
    assert load_contacts(bob.folder).known == {"alicia": Contact(alice.address)}
    # Without a name, she is an address again, and what she has written stays.
    other.click("#contact")
    other.click("#remove")
    other.wait_for("document.getElementById('contact').hidden")
    other.wait_for("!document.getElementById('keep').hidden")
    assert other.texts("#peer") != ["alicia"]
    assert said(other) == ["Hello Bob", "Hello Alice"]
    assert load_contacts(bob.folder).known == {}
    other.type("#contact-name", "alice", Keys.ENTER)
    other.wait_for_text("#peer", "alice")
    # Without a signature, nobody knows who it was, and nobody can answer.
    tab.click("#signed")
    tab.type("#text", "Guess who", Keys.ENTER)
    other.wait_for_text("#conversations", "Anonymous senders")
    other.click('#conversations [data-key="anonymous"]')
    assert said(other) == ["Guess who"]
    other.wait_for("document.getElementById('compose').hidden")
    tab.wait_for_text("#talk", "nobody was asked to confirm it")
    show(tab, "messages")
    tab.picture("page-messages")


def test_a_file_arrives_whole_under_its_name(run: Run, browser: Browser, tmp_path: Path) -> None:
    alice, bob = run(traffic=SWIFT), run(traffic=EAGER)
    tab, other = browser.tab(link(alice)), browser.tab(link(bob))
    content = os.urandom(300_000)  # more than one part
    file = tmp_path / "holiday.jpg"
    file.write_bytes(content)
    write_to(tab, encode_base58(bob.address))
    # Progress is shown from the file's first part on, and how long it still takes.
    tab.run(
        "const seen = (window.seen = []);"
        "new MutationObserver(() => seen.push(document.querySelector('#talk .mark')?.textContent))"
        ".observe(document.getElementById('talk'),"
        "{ subtree: true, childList: true, characterData: true })"
    )
    tab.find("#file").send_keys(str(file))
    tab.wait_for_text("#talk", "has arrived")
    seen = tab.run("return seen.filter(Boolean)")
    assert any("handed to the client" in text for text in seen)
    assert any(" parts" in text and " left" in text for text in seen), seen
    other.wait_for_text("#conversations", "holiday.jpg")
    other.click("#conversations button")
    other.wait_for_text("#talk", "holiday.jpg, 300.0 kB")
    # A file is read once it is saved, not when its name was on the screen.
    assert len(bob.client._overview.inbox) == 1
    other.run(
        "URL.createObjectURL = (blob) => { blob.arrayBuffer().then((bytes) => {"
        "window.saved = btoa(Array.from(new Uint8Array(bytes),"
        "(byte) => String.fromCharCode(byte)).join('')) }); return 'data:,' }"
    )
    other.click("#talk article button")
    other.wait_for("window.saved")
    assert base64.b64decode(other.run("return saved")) == content
    wait_until(lambda: not len(bob.client._overview.inbox), "the inbox to be empty")


def test_the_page_comes_back_with_its_client(
    network: Network, browser: Browser, tmp_path: Path
) -> None:
    identity = generate_identity()
    how: dict[str, Any] = {"kind": WebSocket, "identity": identity, "folder": tmp_path}
    port = free_port()
    with Application(network.url, port=port, **how) as alice:
        tab = browser.tab(link(alice))
        tab.wait_for_text("#sentence", "Running")
        write_to(tab, encode_base58(identity.public_key))
        tab.type("#text", "a draft")
        tab.expect("WebSocket", "ERR_CONNECTION_REFUSED")
    tab.wait_for_text("#sentence", "doesn't answer")
    # What is sent now isn't lost: it says so, and the text is there again.
    tab.type("#text", Keys.ENTER)
    tab.wait_for_text("#talk", "wasn't taken by the client")
    assert tab.run("return document.getElementById('text').value") == "a draft"
    with Application(network.url, port=port, **how):
        tab.wait_for_text("#sentence", "Running")
        tab.type("#text", Keys.ENTER)
        tab.wait_for_text("#talk", "has arrived")
        tab.run("window.onbeforeunload = null")


def test_without_the_token_nothing_is_shown(run: Run, browser: Browser) -> None:
    alice = run()
    url, _, token = link(alice).partition("#token=")
    tab = browser.tab(url)
    tab.find("#locked:not([hidden])")
    assert tab.run("return document.activeElement.id") == "token"
    tab.type("#token", "nonsense", Keys.ENTER)
    tab.wait_for_text("#unlock-mistake", "neither a link nor a token")
    tab.check_accessibility()
    # A wrong one is refused by the client.
    tab.expect("WebSocket")
    tab.type("#token", Keys.CONTROL, "a")
    tab.type("#token", "00" * 32, Keys.ENTER)
    tab.wait_for_text("#sentence", "Locked")
    tab.find("#locked:not([hidden])")
    tab.type("#token", token, Keys.ENTER)
    tab.wait_for_text("#sentence", "Running")
    assert tab.run("return sessionStorage.getItem('token')") == token
    assert tab.run("return localStorage.length") == 0


EVIL = "evil.example"


def test_a_foreign_page_gets_nothing(run: Run, browser: Browser) -> None:
    alice = run()
    url, _, token = link(alice).partition("#token=")
    socket = url.replace("http", "ws")
    with serving_http(lambda: b"<!doctype html><title>evil</title>") as evil:
        port = evil.rpartition(":")[2]
        tab = browser.tab(f"http://{EVIL}:{port}/")
        tab.wait_for("document.title === 'evil'")
        tab.expect("WebSocket", "CORS", "Failed to load", "Refused to", "frame", "ERR_")
        tried = tab.run(
            """
            const [url, socket, token] = arguments;
            const tries = {
              read: fetch(url).then((r) => r.text()),
              post: fetch(url, { method: "POST", body: "{}" }).then((r) => r.text()),
              script: import(url + "web/client/client.js"),
              open: new Promise((good, bad) => {
                const s = new WebSocket(socket); s.onopen = good; s.onerror = bad }),
              show: new Promise((good, bad) => {
                const s = new WebSocket(socket + "?token=" + token);
                s.onopen = good; s.onerror = bad }),
            };
            return Promise.all(Object.entries(tries).map(
              ([name, tried]) => tried.then(() => [name, true], () => [name, false])));
            """,
            *(url, socket, token),
        )
        assert tried == [[name, False] for name in ("read", "post", "script", "open", "show")]
        # Framed, it doesn't load: the frame has an error page, of another origin than any.
        framed = tab.run(
            """
            const frame = document.createElement("iframe");
            const loaded = new Promise((done) => (frame.onload = done));
            frame.src = arguments[0];
            document.body.append(frame);
            return loaded.then(() => {
              try { return frame.contentDocument } catch { return null } });
            """,
            url,
        )
        assert framed is None


HOSTILE = [
    "<img src=x onerror=alert(1)><script>alert(1)</script>",
    "\u202egpj.exe \u2066\u200b\x1b[31m",
    "שלום עולם",
    "😀" * 25_000,
    "a" * 10_000,
    "1\n\n\n2",
]


def test_messages_are_text_whatever_is_in_them(browser: Browser) -> None:
    with serving_page() as (served, url):
        served.deliver(*(text.encode() for text in HOSTILE), b"\xff\xfe\0")
        tab = browser.tab(url, width=360)
        tab.wait_for_text("#unread", " 7 unread")
        tab.click("#conversations button")
        tab.wait_for("document.querySelectorAll('#talk article').length === 7")
        shown = said(tab)
        assert shown[0] == HOSTILE[0]
        assert shown[1] == "<U+202E>gpj.exe <U+2066><U+200B><U+001B>[31m"
        assert shown[2] == HOSTILE[2]
        assert (
            tab.run("return getComputedStyle(document.querySelectorAll('.words')[2]).direction")
            == "rtl"
        )
        assert shown[4:6] == HOSTILE[4:]
        assert "is no text" in shown[6]
        # Of a long one there is the beginning, until it is asked for.
        assert len(shown[3]) < 1000
        tab.run("document.querySelectorAll('#talk article')[3].querySelector('button').click()")
        tab.wait_for("document.querySelectorAll('.words')[3].textContent.length === 50000")
        assert not tab.all("#talk img, #talk script")
        assert not tab.is_too_wide()


@pytest.mark.parametrize(("name", "harmless"), NAMES)
def test_names_of_files_are_harmless(browser: Browser, name: str, harmless: str) -> None:
    head = f"nym-file 1\n{json.dumps({'name': name})}\n".encode()
    with serving_page() as (served, url):
        served.deliver(head + b"content")
        tab = browser.tab(url)
        tab.click("#conversations button")
        tab.wait_for_text("#talk article strong", f"{harmless}, 7 B")


def test_ten_thousand_messages_are_all_there(browser: Browser) -> None:
    with serving_page() as (served, url):
        served.deliver(*(f"message {number}".encode() for number in range(10_000)))
        tab = browser.tab(url)
        tab.wait_for_text("#unread", " 10000 unread")
        tab.type("#search", "message 777")
        tab.click("#conversations button")
        tab.wait_for("document.querySelectorAll('#talk article').length === 10000")
        # What was on the screen is read, and nothing else is.
        tab.wait_for("document.querySelectorAll('#talk article:not(.unread)').length > 0")
        assert len(served.inbox) > 9_900
        tab.run("document.querySelectorAll('#talk article')[9999].scrollIntoView()")
        tab.wait_for("!document.querySelectorAll('#talk article')[9999].matches('.unread')")
        assert len(served.inbox) > 9_800


def test_traffic_is_shown_as_it_was_and_as_it_is(run: Run, browser: Browser) -> None:
    alice = run()
    # As after a day: by the minute, then by the second.
    now, past = time.time(), alice.client._overview.past
    for series, ages in (
        (past._minutes, range(24 * 3600, 900, -60)),
        (past._seconds, range(900, 0, -1)),
    ):
        series._columns = {name: array("d") for name in HISTORY}
        for age in ages:
            done = 24 * 3600 - age
            real = int(2 * done + 9000 * math.sin(done / 7000))
            sample = HistorySample(real, 8 * done - real, done // 3, done, 0, 0, 1.0, 0.0)
            series.add(now - age, sample)
    tab = browser.tab(link(alice))
    show(tab, "traffic")
    tab.wait_for("document.querySelectorAll('#traffic canvas').length === 3")
    names = tab.texts("#figures dt")
    figure = "document.querySelectorAll('#figures dd')[arguments[0]]"
    tab.wait_for(f"{figure}.textContent !== '0'", names.index("Loops returned"))
    for span in ("60", "900", "10800", "86400"):
        tab.run(
            "const span = document.getElementById('span'); span.value = arguments[0];"
            "span.dispatchEvent(new Event('change'))",
            span,
        )
        about = "document.getElementById('plot-packets-about').textContent"
        tab.wait_for(f"/Now [0-9.]+.s real and (?!0\\.0)[0-9.]+.s cover/.test({about})")
    assert tab.run(DRAWN) > 1000
    tab.picture("page-traffic")


# How many dots of the first plot have the colour of real packets.
DRAWN = """
const canvas = document.querySelector("#plot-packets canvas");
const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
let dots = 0;
for (let at = 0; at < data.length; at += 4) {
  dots += data[at + 3] > 200 && data[at] < 60 && data[at + 2] > 180;
}
return dots;
"""


def test_the_network_and_a_packet_are_shown(run: Run, network: Network, browser: Browser) -> None:
    alice = run()
    tab = browser.tab(link(alice))
    show(tab, "network")
    tab.wait_for(
        "document.querySelectorAll('#mixnodes tr').length === arguments[0]", len(network.mixnodes)
    )
    tab.wait_for_text("#providers", "by me")
    assert tab.run("return document.getElementById('directory').href") == f"{network.url}/"
    assert len(tab.all("#picture circle")) == len(network.mixnodes) + 1
    show(tab, "packet")
    tab.wait_for_text("#loop", "It took")
    assert len(tab.all("#loop li")) == 4
    sizes = [int(text.split()[0]) for text in tab.texts("#bytes strong")]
    assert sum(sizes) == 1372


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (360, True)])
def test_everybody_can_use_it(run: Run, browser: Browser, width: int, dark: bool) -> None:
    alice = run()
    tab = browser.tab(link(alice), width=width, dark=dark)
    tab.wait_for_text("#sentence", "Running")
    tab.prefer(dark=dark, still=True)
    write_to(tab, encode_base58(alice.address))
    tab.type("#text", "to myself", Keys.ENTER)
    tab.wait_for_text("#talk", "Signed")
    for part in PARTS:
        show(tab, part)
        tab.check_accessibility()
        assert not tab.is_too_wide(), part
    show(tab, "messages")
    if width == 360:
        tab.click("#back")
    tab.click("#own")
    tab.wait_for_text("#own-address", encode_base58(alice.address))
    tab.check_accessibility()


def test_a_message_is_written_with_the_keyboard_alone(run: Run, browser: Browser) -> None:
    alice = run()
    add_contact(alice.folder, "me", Contact(alice.address))
    tab = browser.tab(link(alice))
    tab.wait_for_text("#sentence", "Running")
    tab.wait_for_text("#conversations", "me")

    def tab_to(selector: str) -> None:
        for _ in range(40):
            tab.driver.switch_to.active_element.send_keys(Keys.TAB)
            if tab.run("return document.activeElement.matches(arguments[0])", selector):
                return
        raise AssertionError(f"no way to {selector}")

    tab_to("#new")
    tab.driver.switch_to.active_element.send_keys(Keys.ENTER)
    tab.wait_for("document.getElementById('new-dialog').open")
    tab.driver.switch_to.active_element.send_keys("me", Keys.ENTER)
    tab.wait_for("document.activeElement.id === 'text'")
    tab.driver.switch_to.active_element.send_keys("hello", Keys.ENTER)
    tab.wait_for_text("#talk", "has arrived")
    assert tab.texts("#peer") == ["me"]
