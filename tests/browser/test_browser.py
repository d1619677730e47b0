"""The browser itself: without complaints of a page, a test may rely on there being none."""

from collections.abc import Iterator

import pytest

from nym.net.listening import listen
from nym.net.web import Answer, Environment, WebServer, answer_with
from tests.browser.browser import Browser, _misses
from tests.harness import free_port

POLICY = ("Content-Security-Policy", "default-src 'none'; script-src 'self'; img-src data:")
BODY = b"""<!doctype html><html lang="en"><title>a test</title><link rel="icon" href="data:,">
<main><h1>A test</h1><p id="text"></p></main><script src="/page.js"></script>"""
SCRIPT = b"document.querySelector('#text').textContent = String(localStorage.length);"


@pytest.fixture
def scripts() -> dict[str, bytes]:
    return {"/page.js": SCRIPT}


@pytest.fixture
def url(scripts: dict[str, bytes]) -> Iterator[str]:
    def respond(request: Environment) -> Answer:
        if script := scripts.get(request["PATH_INFO"]):
            return answer_with("200 OK", "text/javascript", script)
        answer = answer_with("200 OK", "text/html; charset=utf-8", BODY)
        return answer._replace(headers=[*answer.headers, POLICY])

    server = WebServer(("127.0.0.1", 0), respond, 100, 100, 30.0)
    yield f"http://{listen(server)}/"
    server.stop(timeout=0)


def test_only_a_server_that_is_gone_may_be_missed(url: str) -> None:
    refused = "Failed to load resource: net::ERR_CONNECTION_REFUSED"
    assert not _misses(f"{url}a - {refused}")
    assert not _misses(f"http://127.0.0.1:{free_port()}/a - Failed to load resource: 404")
    assert _misses(f"http://127.0.0.1:{free_port()}/a - {refused}")


def test_a_tab_shows_a_page_of_this_process(browser: Browser, url: str) -> None:
    tab = browser.tab(url)
    tab.wait_for_text("#text", "0")
    tab.check_accessibility()


def test_tabs_share_nothing(browser: Browser, url: str) -> None:
    one = browser.tab(url)
    one.run("localStorage.setItem('a', 'b')")
    other = browser.tab(url)
    other.wait_for_text("#text", "0")
    one.open(url)
    one.wait_for_text("#text", "1")


def test_a_tab_is_as_narrow_and_as_dark_as_asked(browser: Browser, url: str) -> None:
    tab = browser.tab(url, width=360, dark=True)
    assert tab.run("return [innerWidth, matchMedia('(prefers-color-scheme: dark)').matches]") == [
        360,
        True,
    ]
    assert not tab.is_too_wide()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (b"throw new Error('a mistake')", "a mistake"),
        (b"console.warn('a warning')", "a warning"),
        (b"document.body.setAttribute('style', 'color: red')", "Content Security Policy"),
        (b"fetch('/elsewhere').catch(() => {})", "Content Security Policy"),
    ],
)
def test_a_page_that_complains_is_caught(
    browser: Browser, url: str, scripts: dict[str, bytes], script: bytes, words: str
) -> None:
    scripts["/page.js"] = script + b"\n;document.querySelector('#text').textContent = 'over';"
    tab = browser.tab(url)
    tab.wait_for("document.readyState === 'complete'")
    complaints = tab.complaints()
    assert any(words in line for line in complaints), complaints


def test_an_inaccessible_page_is_caught(browser: Browser, url: str) -> None:
    tab = browser.tab(url)
    tab.run("document.querySelector('main').append(document.createElement('button'))")
    with pytest.raises(AssertionError, match="button-name"):
        tab.check_accessibility()
