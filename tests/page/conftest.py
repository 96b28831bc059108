"""A real browser and a real server for the page's tests."""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.calls import Api
from tests.conftest import RunningServer

#: Milliseconds for something to show on the page.
PATIENCE = 45_000

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's chromium; a test without it is skipped, but never in CI."""
    path = shutil.which("chromium")
    if path is None and not os.environ.get("CI"):
        pytest.skip("needs the package chromium")
    with sync_playwright() as tools:
        started = tools.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def context(browser: Browser, shared_server: RunningServer) -> Iterator[BrowserContext]:
    """A visitor who is logged in."""
    opened = visit(browser, shared_server)
    yield opened
    opened.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """A tab of that visitor; an error in a script of ours fails the test."""
    tab = context.new_page()
    tab.set_default_timeout(PATIENCE)
    return tab


@pytest.fixture
def api(shared_server: RunningServer) -> Api:
    """The server's API."""
    return Api(shared_server.url, shared_server.login)


def visit(browser: Browser, server: RunningServer, **options: object) -> BrowserContext:
    """A visitor with the server's login."""
    name, password = server.login
    return browser.new_context(
        base_url=server.url,
        http_credentials={"username": name, "password": password},
        **options,  # type: ignore[arg-type]
    )
