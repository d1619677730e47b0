"""What tests do with the page of a client."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nym._secrets import Secret
from nym.sockets.http import WebSocket
from nym.sockets.token import Token
from tests.browser.browser import Tab
from tests.harness import Application, Served

KEY = bytes(range(32))

Run = Callable[..., Application]  # the fixture `run`


@contextmanager
def serving_page() -> Iterator[tuple[Served, str]]:
    """(a client without a network, the link to its page)."""
    with Served(WebSocket, page_token=Token(Secret(KEY))) as served:
        yield served, str(served.socket.page())


def link(application: Application) -> str:
    """The link to the page of a whole client."""
    page = application.client.page()
    assert page is not None
    return page


def show(tab: Tab, part: str) -> None:
    """Go to a part of the page."""
    tab.click(f'nav a[href="#/{part}"]')
    tab.wait_for(f"!document.getElementById('{part}').hidden")


def write_to(tab: Tab, recipient: str) -> None:
    """Open the conversation with a contact or an address."""
    tab.click("#new")
    tab.type("#recipient", recipient)
    tab.click("#to button.main")
    tab.wait_for("!document.getElementById('conversation').hidden")


def said(tab: Tab) -> list[str]:
    """The messages of the open conversation."""
    return tab.texts("#talk article p:first-child")
