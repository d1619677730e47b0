"""A real browser for tests: Debian's Chromium without a window, driven by Selenium.

One browser serves all tests of a process, because it takes a second to start. Each `Tab` is in a
context of its own, with its own storage, as if nobody had used the browser before, so that two tabs
are two people. Selenium speaks HTTP with sockets that are gevent's here: servers in the test's own
process answer the browser meanwhile.
"""

import json
import os
import re
import shutil
import socket
from base64 import b64decode
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import requests
import selenium.webdriver
import websocket
from selenium.common.exceptions import JavascriptException, StaleElementReferenceException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.harness import PATIENCE, wait_until

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
# The folder for the pictures of the documents; without it, none is written.
PICTURES = os.environ.get("NYM_PICTURES")
_AXE = Path(__file__).parent / "vendor/axe.min.js"
_WIDE, _HIGH = 1280, 900
_ARGUMENTS = (
    "--headless=new",
    # Nothing but the test's own pages: no updates, no reports, no proxy.
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-default-apps", "--disable-extensions", "--disable-breakpad"),
    *("--no-first-run", "--no-proxy-server", "--metrics-recording-only"),
    "--host-resolver-rules=MAP evil.example 127.0.0.1",  # a web site for tests
    # Tabs behind others must not be slowed down: their timers are what is tested.
    *("--disable-background-timer-throttling", "--disable-renderer-backgrounding"),
    "--disable-backgrounding-occluded-windows",
    "--disable-dev-shm-usage",  # containers have 64 MB there
    "--disable-gpu",
    "--hide-scrollbars",
    "--lang=en-GB",
)
_LOUD = ("WARNING", "SEVERE")
_SERVER = re.compile(r"\b(?:http|ws)://(?P<ip>[0-9.]+):(?P<port>[0-9]+)/")


class Browser:
    """Chromium, until `close`."""

    def __init__(self, folder: str) -> None:
        """Its profile, and all else that it writes, is in the folder."""
        options = Options()
        options.binary_location = str(CHROMIUM)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        for argument in _ARGUMENTS:
            options.add_argument(argument)
        if os.geteuid() == 0:
            options.add_argument("--no-sandbox")  # Chromium refuses to run as root with it
        # With both paths, Selenium doesn't look for downloads.
        service = Service(DRIVER, env={**os.environ, "TMPDIR": folder})
        self.driver = selenium.webdriver.Chrome(options, service)
        self.driver.set_page_load_timeout(PATIENCE)
        self.driver.set_script_timeout(PATIENCE)
        self._home = self.driver.current_window_handle
        self._tools = _Tools(self.driver.capabilities["goog:chromeOptions"]["debuggerAddress"])
        self._tabs: list[Tab] = []

    @staticmethod
    def is_installed() -> bool:
        """Whether this machine has it."""
        return bool(CHROMIUM and DRIVER)

    def close(self) -> None:
        """End the browser."""
        self._tools.close()
        self.driver.quit()

    def tab(self, url: str = "about:blank", *, width: int = _WIDE, dark: bool = False) -> "Tab":
        """Open a tab of somebody who hasn't used this browser before."""
        context = self._tools.command("Target.createBrowserContext")
        target = self._tools.command("Target.createTarget", url="about:blank", **context)
        tab = Tab(self.driver, context, target["targetId"])
        self._tabs.append(tab)
        tab.resize(width)
        tab.prefer(dark=dark)
        tab.open(url)
        return tab

    def end_test(self) -> None:
        """Close all tabs. Fails if a page complained: an error, or what its policy refused."""
        complaints = [line for tab in self._tabs for line in tab.complaints() if not _misses(line)]
        self.driver.switch_to.window(self._home)
        for tab in self._tabs:
            self._tools.command("Target.disposeBrowserContext", **tab.context)
        self._tabs.clear()
        assert not complaints, complaints


def _misses(complaint: str) -> bool:
    """Whether a page misses a server that the test has stopped, as pages that ask again do."""
    server = _SERVER.search(complaint)
    if "ERR_CONNECTION_REFUSED" not in complaint or server is None:
        return False
    with socket.socket() as probe:
        return probe.connect_ex((server["ip"], int(server["port"]))) != 0


class Tab:
    """One page in a context of its own. Elements are named by CSS selectors."""

    def __init__(self, driver: selenium.webdriver.Chrome, context: Any, handle: str) -> None:
        self.context = context
        self._driver = driver
        self._handle = handle
        self._expected: list[str] = []

    @property
    def driver(self) -> selenium.webdriver.Chrome:
        """Selenium's driver, which acts on this tab until another one is used."""
        if self._driver.current_window_handle != self._handle:
            self._driver.switch_to.window(self._handle)
        return self._driver

    def open(self, url: str) -> None:
        """Go to this address."""
        self.driver.get(url)

    def resize(self, width: int, height: int = _HIGH) -> None:
        """Make the page so large, in CSS pixels, also less than a window can have."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def prefer(self, *, dark: bool = False, still: bool = False) -> None:
        """Prefer dark colours, and reduced motion."""
        wishes = {
            "prefers-color-scheme": "dark" if dark else "light",
            "prefers-reduced-motion": "reduce" if still else "no-preference",
        }
        features = [{"name": name, "value": value} for name, value in wishes.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def run(self, script: str, *arguments: Any) -> Any:
        """What this JavaScript returns; it sees `arguments`."""
        return self.driver.execute_script(script, *arguments)

    def find(self, selector: str) -> WebElement:
        """The first such element, for which is waited."""
        wait_until(lambda: self.all(selector), f"the element {selector}")
        return self.all(selector)[0]

    def all(self, selector: str) -> list[WebElement]:
        """All such elements."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        """The texts of all such elements, as scripts see them (`textContent`)."""
        script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)"
        return [str(text) for text in self.run(script, selector)]

    def wait_for(self, condition: str, *arguments: Any) -> None:
        """Wait until this JavaScript expression is true."""
        wait_until(lambda: self._holds(condition, arguments), condition)

    def wait_for_text(self, selector: str, text: str) -> None:
        """Wait until such an element has this text in it."""
        wait_until(
            lambda: any(text in shown for shown in self.texts(selector)), f"{text} in {selector}"
        )

    def click(self, selector: str) -> None:
        """Click on the first such element, as soon as it is there."""
        self._act(selector, lambda element: element.click())

    def type(self, selector: str, *keys: str) -> None:
        """Type into the first such element; keys without a letter are in selenium's Keys."""
        self._act(selector, lambda element: element.send_keys(*keys))

    def expect(self, *complaints: str) -> None:
        """Let the page complain with these words, such as those of a server that has gone."""
        self._expected += complaints

    def complaints(self) -> list[str]:
        """What the page and the browser wrote to the console, apart from what is expected."""
        return [
            str(entry["message"])
            for entry in self.driver.get_log("browser")  # type: ignore[no-untyped-call]
            if entry["level"] in _LOUD
            and not any(words in entry["message"] for words in self._expected)
        ]

    def is_too_wide(self) -> bool:
        """Whether one would have to scroll sideways."""
        return bool(
            self.run("const e = document.documentElement; return e.scrollWidth > e.clientWidth")
        )

    def check_accessibility(self) -> None:
        """Fail if axe-core finds anything that keeps people from using the page."""
        self.run(_axe())
        script = "const done = arguments[0]; axe.run().then(done, (e) => done({error: String(e)}))"
        found = self.driver.execute_async_script(script)
        assert "error" not in found, found["error"]
        assert found["passes"]
        assert not found["violations"], json.dumps(
            [
                {rule["id"]: [node["html"][:200] for node in rule["nodes"]]}
                for rule in found["violations"]
            ],
            indent=1,
        )

    def picture(self, name: str) -> None:
        """Take the picture `name`.png of the page for the documents, if NYM_PICTURES is set."""
        if PICTURES is None:
            return
        shown = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
        Path(PICTURES, f"{name}.png").write_bytes(b64decode(shown["data"]))

    def _holds(self, condition: str, arguments: tuple[Any, ...]) -> bool:
        try:
            return bool(self.run(f"return ({condition})", *arguments))
        except JavascriptException:
            return False  # such as a property of an element that isn't there yet

    def _act(self, selector: str, act: Any) -> None:
        def acted() -> bool:
            try:
                act(self.find(selector))
            except StaleElementReferenceException:
                return False  # the page has put another one in its place
            return True

        wait_until(acted, selector)


class _Tools:
    """The DevTools of the whole browser: Selenium's commands are for one tab."""

    def __init__(self, address: str) -> None:
        version = requests.get(f"http://{address}/json/version", timeout=PATIENCE).json()
        self._connection = websocket.create_connection(
            version["webSocketDebuggerUrl"], timeout=PATIENCE, suppress_origin=True
        )
        self._numbers = count(1)

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        self._connection.send(json.dumps(message))
        while (answer := json.loads(self._connection.recv())).get("id") != number:
            pass  # an event
        assert "error" not in answer, answer["error"]
        return dict(answer["result"])

    def close(self) -> None:
        self._connection.close()


@cache
def _axe() -> str:
    return _AXE.read_text()
