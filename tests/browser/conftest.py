"""A real Chromium for tests: found on the system, skipped with a reason where absent, an error under CI=true."""

import os
import shutil
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest

from tests.live_bench import LiveBench

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def chromium():
    """One browser for a module; its event loop would stand in the way of the tests of other folders."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        reason = f"no Chromium on PATH ({', '.join(NAMES)}); Debian: apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield browser
        browser.close()


class Visit:
    """Opens a page and keeps what went wrong on it: console errors, exceptions, requests to another host."""

    def __init__(self, browser):
        self._browser = browser
        self._contexts = []
        self.errors = []
        self.strangers = []
        self.excused = ()
        self.bytes = {}

    def __call__(self, url, **options):
        options = {"viewport": {"width": 1440, "height": 860}, "color_scheme": "dark", **options}
        context = self._browser.new_context(**options)
        self._contexts.append(context)
        context.set_default_timeout(60_000)
        page = context.new_page()
        page.on("console", lambda message: message.type in ("error", "warning") and self.errors.append(message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        host = urlsplit(url).netloc
        page.on("request", lambda request: self._note(request.url, host))
        page.on("websocket", lambda socket: self._note(socket.url, host))
        page.on("response", lambda response: self.bytes.update({response.url: len(response.body())}))
        page.goto(url)
        return page

    def _note(self, url, host):
        if urlsplit(url).netloc != host:
            self.strangers.append(url)

    def close(self):
        for context in self._contexts:
            context.close()
        assert self.strangers == [], "the page asked another host"
        left = [error for error in self.errors if not any(word in error for word in self.excused)]
        assert left == [], "the browser's console has errors"


@pytest.fixture
def visit(chromium):
    """`visit(url)` opens a page; at the end none may have had an error or asked another host."""
    visit = Visit(chromium)
    yield visit
    visit.close()


@pytest.fixture
def benches(tmp_path):
    """Opens benches that outlive the pages on them."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(LiveBench(tmp_path / str(len(options)), **options))


@pytest.fixture
def bench(benches):
    return benches(past=700.0)
