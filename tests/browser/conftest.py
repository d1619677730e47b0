"""The fixture that gives tests a browser."""

from collections.abc import Iterator
from tempfile import TemporaryDirectory

import pytest

from tests.browser.browser import Browser


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
