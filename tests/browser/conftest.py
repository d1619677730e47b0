"""What tests get: a browser, and clients with pages."""

from collections.abc import Iterator
from contextlib import ExitStack
from tempfile import TemporaryDirectory

import pytest

from nym.localnet.network import Network
from nym.sockets.http import WebSocket
from tests.browser.browser import Browser
from tests.browser.client_page import Run
from tests.harness import Application, running


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser of this process."""
    if not Browser.is_installed():
        pytest.skip("Chromium isn't installed; scripts/prepare --tests does that")
    with TemporaryDirectory(prefix="nym-chromium-") as folder:
        browser = Browser(folder)
        yield browser
        browser.close()


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    """A browser that nobody has used. At the end, no page may have complained."""
    yield chromium
    chromium.end_test()


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    """A network for the tests of a module."""
    with running(Network()) as network:
        yield network


@pytest.fixture
def run(network: Network) -> Iterator[Run]:
    """Starts a client with a page in the test's network."""
    with ExitStack() as stack:
        yield lambda **how: stack.enter_context(Application(network.url, kind=WebSocket, **how))
