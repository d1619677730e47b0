"""Answers without an address on the client's page (docs/page.md, "Without an address")."""

import os
import time
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from nym.contacts import Contact, add_contact
from nym.envelope import ReplyHead
from nym.identity import generate_identity
from nym.store.outgoing import Manner
from nym.wire.keys import encode_base58
from nym.wire.sizes import KEY_LENGTH, TAG_LENGTH
from tests.browser.browser import Browser, Tab
from tests.browser.client_page import Run, link, said, serving_page, write_to
from tests.harness import Application, Served, wait_until

BOB, CAROL = generate_identity().public_key, generate_identity().public_key
TAG, OTHER_TAG = os.urandom(TAG_LENGTH), os.urandom(TAG_LENGTH)
ANSWERED = "Answers what I sent without my address"


def asking(run: Run) -> Application:
    """A client that can send messages to be answered without an address."""
    client = run(reply_addresses=2)
    overview = client.client._overview
    wait_until(lambda: overview.report().reply_addresses["free"] > 0, "a free reply address")
    return client


def known_tag(served: Served, peer: bytes = BOB, *, lifetime: float = 3600.0) -> bytes:
    """The tag of a reply address, which can be answered for so many seconds."""
    expires = round(1000 * (time.time() + lifetime))
    head = ReplyHead(expires, bytes(KEY_LENGTH), bytes(KEY_LENGTH))
    return served.addresses.tags.learn(b"", peer, head).name


def open_with(tab: Tab, key: bytes) -> None:
    """Open the conversation that is in the list under an address or a tag."""
    tab.click(f'#conversations [data-key="{encode_base58(key)}"]')
    tab.wait_for("!document.getElementById('conversation').hidden")


def is_hiding(tab: Tab) -> bool:
    return bool(tab.run("return document.getElementById('hide').checked"))


def draft(tab: Tab) -> str:
    return str(tab.run("return document.getElementById('text').value"))


def marks(tab: Tab) -> list[str]:
    """What is below each message, without the time and the state."""
    script = (
        "return [...document.querySelectorAll('#talk footer')].map((foot) => {"
        "const copy = foot.cloneNode(true);"
        "for (const other of copy.querySelectorAll('time, .mark')) other.remove();"
        "return copy.textContent.trim() })"
    )
    return [str(mark) for mark in tab.run(script)]


def test_somebody_without_an_address_is_answered(run: Run, browser: Browser) -> None:
    alice, bob = asking(run), run()
    add_contact(alice.folder, "bob", Contact(bob.address))
    tab, other = browser.tab(link(alice)), browser.tab(link(bob))
    write_to(tab, "bob")
    tab.click("#hide")
    tab.type("#text", "Who is there?", Keys.ENTER)
    # Bob has a conversation with somebody, and neither an address nor a name for it.
    other.wait_for_text("#conversations", "Somebody who can be answered")
    other.click("#conversations button")
    assert said(other) == ["Who is there?"]
    assert marks(other) == ["· Anonymous"]
    assert encode_base58(alice.address) not in other.run("return document.body.innerHTML")
    for hidden in ("#keep", "label:has(#hide)"):
        assert not other.find(hidden).is_displayed()
    tab.wait_for_text("#talk", "has arrived")
    other.type("#text", "Me", Keys.ENTER)
    other.wait_for_text("#talk", "has arrived")
    # Without a confirmation, too.
    other.click("#signed")
    other.type("#text", "And you?", Keys.ENTER)
    other.wait_for_text("#talk", "nobody was asked to confirm it")
    # The answers are in the conversation with Bob, and the next message goes like the first one.
    tab.wait_for("document.querySelectorAll('#talk article').length === 3")
    assert sorted(said(tab)) == ["And you?", "Me", "Who is there?"]
    assert marks(tab) == ["· Me, without my address", *2 * [f"{ANSWERED} · Signed"]]
    assert tab.texts("#conversations strong") == ["bob"]
    assert is_hiding(tab)
    tab.type("#text", "Guess", Keys.ENTER)
    other.wait_for_text("#talk", "Guess")
    assert len(other.all("#conversations li")) == 1


def test_files_go_the_same_way(run: Run, browser: Browser, tmp_path: Path) -> None:
    alice, bob = asking(run), run()
    tab, other = browser.tab(link(alice)), browser.tab(link(bob))
    for name in ("question.txt", "answer.txt"):
        (tmp_path / name).write_bytes(bytes(3000))  # several packets
    write_to(tab, encode_base58(bob.address))
    tab.click("#hide")
    tab.find("#file").send_keys(str(tmp_path / "question.txt"))
    other.wait_for_text("#conversations", "question.txt")
    other.click("#conversations button")
    other.wait_for_text("#talk", "question.txt, 3.0 kB")
    assert encode_base58(alice.address) not in other.run("return document.body.innerHTML")
    other.find("#file").send_keys(str(tmp_path / "answer.txt"))
    tab.wait_for_text("#talk", "answer.txt, 3.0 kB")
    assert len(tab.all("#conversations li")) == 1
    assert marks(tab) == ["· Me, without my address", f"{ANSWERED} · Signed"]


def test_what_waits_without_an_address_is_known_after_a_reload(run: Run, browser: Browser) -> None:
    alice = asking(run)
    recipient = encode_base58(BOB)  # who confirms nothing
    tab = browser.tab(link(alice))
    write_to(tab, recipient)
    tab.click("#hide")
    tab.type("#text", "Who is there?", Keys.ENTER)
    tab.wait_for_text("#talk", "given up in")
    tab.run("location.reload()")
    open_with(tab, BOB)
    assert marks(tab) == ["· Me, without my address"]
    # Otherwise, the next message would be signed by mistake.
    assert is_hiding(tab)
    # Unless that is wanted.
    tab.click("#hide")
    tab.type("#text", "It's me", Keys.ENTER)
    tab.wait_for("document.querySelectorAll('#talk article').length === 2")
    assert marks(tab) == ["· Me, without my address", "· Me"]
    wait_until(lambda: len(alice.client._outbox) == 2, "both messages")
    assert [bool(waiting.own) for waiting in alice.client._outbox.waiting(0, 9)] == [True, False]


def test_who_was_written_to_without_an_address_is_known_after_a_reload(
    run: Run, browser: Browser
) -> None:
    alice = asking(run)
    tab = browser.tab(link(alice))
    tab.wait_for_text("#conversations", "Nobody has written yet")
    write_to(tab, encode_base58(BOB))
    tab.click("#hide")
    tab.click("#signed")
    tab.type("#text", "Who is there?", Keys.ENTER)
    tab.wait_for_text("#talk", "nobody was asked to confirm it")
    # Nothing waits, and nothing has come.
    tab.run("location.reload()")
    open_with(tab, BOB)
    assert said(tab) == []
    assert is_hiding(tab)


def test_an_answer_that_waits_is_in_its_conversation(browser: Browser) -> None:
    with serving_page() as (served, url):
        tag = known_tag(served)
        served.deliver(b"Who is there?", reply_to=tag)
        tab = browser.tab(url)
        open_with(tab, tag)
        tab.type("#text", "Me", Keys.ENTER)
        tab.wait_for_text("#talk", "no network is known yet")
        tab.run("location.reload()")
        tab.wait_for_text(
            "#conversations", f"Somebody who can be answered ({encode_base58(tag)[:5]}…)"
        )
        open_with(tab, tag)
        tab.wait_for_text("#talk", "no network is known yet")
        tab.click("#signed")
        tab.type("#text", "And you?", Keys.ENTER)
        wait_until(lambda: len(served.outbox) == 2, "two answers")
        first, second = served.outbox.waiting(0, 9)
        assert (first.tag, second.tag) == (tag, tag)
        assert (first.manner, second.manner) == (Manner.RELIABLE, Manner.SEALED)
        assert len(tab.all("#conversations li")) == 1


def test_who_was_answered_can_be_answered_after_a_reload(browser: Browser) -> None:
    with serving_page() as (served, url):
        tag = known_tag(served)
        served.deliver(b"Who is there?", reply_to=tag)
        tab = browser.tab(url)
        open_with(tab, tag)
        tab.type("#text", "Me", Keys.ENTER)
        tab.click("#talk button.small")
        wait_until(lambda: not served.outbox and not len(served.inbox), "nothing to be left")
        tab.run("location.reload()")
        open_with(tab, tag)
        assert said(tab) == []
        tab.type("#text", "Me again", Keys.ENTER)
        wait_until(lambda: len(served.outbox) == 1, "the answer")


def test_what_cannot_be_answered_any_more_stays_a_draft(browser: Browser) -> None:
    with serving_page() as (served, url):
        tag = known_tag(served, lifetime=-1.0)
        served.deliver(b"Who is there?", reply_to=tag)
        tab = browser.tab(url, width=360)
        tab.resize(360, 400)
        open_with(tab, tag)
        tab.type("#text", "Me", Keys.ENTER)
        tab.wait_for_text("#talk", "this can't be answered any more")
        assert draft(tab) == "Me"
        # The sentence is on the screen, and not only in the page.
        tab.wait_for(
            "document.querySelector('#talk .bad').getBoundingClientRect().bottom"
            " <= document.getElementById('talk').getBoundingClientRect().bottom"
        )
        assert not served.outbox


def test_while_no_address_is_free_the_client_says_so_and_the_draft_stays(browser: Browser) -> None:
    with serving_page() as (served, url):
        tab = browser.tab(url)
        tab.wait_for_text("#conversations", "Nobody has written yet")
        write_to(tab, encode_base58(BOB))
        tab.click("#hide")
        tab.type("#text", "Who is there?", Keys.ENTER)
        tab.wait_for_text("#talk", "client.reply_addresses is 0")
        assert draft(tab) == "Who is there?"
        assert is_hiding(tab)
        assert not served.outbox
        # Nothing keeps it from being sent in another way.
        tab.click("#hide")
        tab.type("#text", Keys.ENTER)
        wait_until(lambda: len(served.outbox) == 1, "the message")


@pytest.mark.parametrize(
    ("origin", "key", "mark"),
    [
        ({"reply_to": TAG}, TAG, "· Anonymous"),
        ({"sender": BOB, "reply_from": BOB}, BOB, f"{ANSWERED} · Signed"),
        # He hides his address, too; but it was given to him.
        ({"reply_from": BOB, "reply_to": TAG}, BOB, f"{ANSWERED} · Anonymous"),
        ({"reply_from": TAG, "reply_to": OTHER_TAG}, TAG, f"{ANSWERED} · Anonymous"),
        # He has told somebody else how to answer. Who that is is proven, and it isn't him.
        ({"sender": CAROL, "reply_from": BOB}, BOB, f"{ANSWERED} · Signed by carol"),
    ],
    ids=["answerable", "answer", "hidden answer", "answer to a tag", "answer of another"],
)
def test_each_message_is_in_its_conversation(
    browser: Browser, origin: dict[str, bytes], key: bytes, mark: str
) -> None:
    with serving_page() as (served, url):
        add_contact(Path(served.folder.name), "carol", Contact(CAROL))
        served.deliver(b"Me", **origin)
        tab = browser.tab(url)
        tab.wait_for_text("#conversations", "carol")
        open_with(tab, key)
        assert said(tab) == ["Me"]
        assert marks(tab) == [mark]
        assert is_hiding(tab) == (key == BOB)


def test_the_last_tag_of_a_conversation_is_answered(browser: Browser) -> None:
    with serving_page() as (served, url):
        ended, tag = known_tag(served, lifetime=-1.0), known_tag(served, CAROL)
        served.deliver(b"1", reply_to=ended)
        tab = browser.tab(url)
        open_with(tab, ended)
        served.deliver(b"2", reply_from=ended, reply_to=tag)
        tab.wait_for("document.querySelectorAll('#talk article').length === 2")
        tab.type("#text", "3", Keys.ENTER)
        wait_until(lambda: len(served.outbox) == 1, "the answer")
        assert [outgoing.tag for outgoing in served.outbox.waiting(0, 9)] == [tag]
        # And what comes back for that tag is here, too.
        served.deliver(b"4", reply_from=tag)
        tab.wait_for("document.querySelectorAll('#talk article').length === 4")
        assert len(tab.all("#conversations li")) == 1


def test_whoever_is_answered_without_an_address_goes_on_like_that(browser: Browser) -> None:
    with serving_page() as (served, url):
        tab = browser.tab(url)
        tab.wait_for_text("#conversations", "Nobody has written yet")
        write_to(tab, encode_base58(BOB))
        assert not is_hiding(tab)
        served.deliver(b"1", sender=BOB, reply_from=BOB)
        tab.wait_for_text("#talk", "1")
        tab.wait_for("document.getElementById('hide').checked")
        # But what the user chooses stays.
        tab.click("#hide")
        served.deliver(b"2", sender=BOB, reply_from=BOB)
        tab.wait_for_text("#talk", "2")
        assert not is_hiding(tab)
        tab.wait_for_text("#signed-about", "Sign it")


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (360, True)])
def test_everybody_can_use_it(browser: Browser, width: int, dark: bool) -> None:
    with serving_page() as (served, url):
        tag = known_tag(served)
        served.deliver(b"Who is there?", reply_to=tag)
        served.deliver(b"Me", sender=BOB, reply_from=BOB)
        tab = browser.tab(url, width=width, dark=dark)
        tab.prefer(dark=dark, still=True)
        for key in (tag, BOB):
            open_with(tab, key)
            tab.wait_for("!document.querySelector('#talk article.unread')")
            tab.type("#text", "hello", Keys.ENTER)
            tab.wait_for("document.querySelectorAll('#talk article').length === 2")
            tab.check_accessibility()
            assert not tab.is_too_wide()
            if width == 360:
                tab.click("#back")


def test_it_is_done_with_the_keyboard_alone(browser: Browser) -> None:
    with serving_page() as (served, url):
        tag = known_tag(served)
        served.deliver(b"Who is there?", reply_to=tag)
        tab = browser.tab(url)

        def press(*keys: str) -> None:
            tab.driver.switch_to.active_element.send_keys(*keys)

        tab.wait_for_text("#conversations", "Somebody")
        while not tab.run("return document.activeElement.matches('#conversations button')"):
            press(Keys.TAB)
        press(Keys.ENTER)
        tab.wait_for("document.activeElement.id === 'text'")
        press("Me", Keys.ENTER)
        wait_until(lambda: len(served.outbox) == 1, "the answer")
        tab.run("document.getElementById('new').focus()")
        press(Keys.ENTER)
        tab.wait_for("document.activeElement.id === 'recipient'")
        press(encode_base58(BOB), Keys.ENTER)
        tab.wait_for("document.activeElement.id === 'text'")
        press(Keys.TAB)
        press(Keys.SPACE)
        assert is_hiding(tab)
        tab.wait_for_text("#signed-about", "Ask for a confirmation")
        press(Keys.SHIFT + Keys.TAB)
        press("Who is there?", Keys.ENTER)
        tab.wait_for_text("#talk", "client.reply_addresses is 0")
        tab.wait_for("document.getElementById('text').value === 'Who is there?'")
