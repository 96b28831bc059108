"""`make screenshots`: real pictures of the page, of a real server with real builds."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.calls import Api, send, wait_until
from tests.conftest import RunningServer, start_server

FOLDER = Path(__file__).parent.parent.parent / "docs" / "images"
DESK, PHONE = {"width": 1180, "height": 760}, {"width": 380, "height": 760}

TESTS = r"""
listen_point: web/api
params: {target: staging}
provider: {dummy: {allow_unsigned: true, branches: [main, "release/*"]}}
actions:
  - !critical git --version
  - |
    for name in accounts billing catalogue search; do
      printf '\033[32mPASSED\033[0m tests/test_%s.py\n' $name; sleep 0.05
    done
    test "{target}" = staging && exit 0
    printf '\033[31mFAILED\033[0m tests/test_orders.py::test_total\n'
    printf '\033[31mE   AssertionError: assert 41.99 == 42.00\033[0m\n' >&2
    exit 1
  - echo "deployed {branch} to {target}"
stop_on_first_fail: true
"""
APPS = (
    "listen_point: web/frontend\nactions: ['sleep 0.1; echo built']",
    "listen_point: docs\nactions: ['sleep 0.05; echo rendered']",
    "listen_point: mobile/android\nactions: ['sleep 0.1', 'exit 1', 'echo signed']",
    "listen_point: billing\nactions: ['echo nothing yet']",
    "listen_point: infra/images\nactions:\n  - |\n"
    '    for i in $(seq 1 400); do echo "layer $i of 400: pulled"; sleep 0.1; done',
)
COMMITS = ("8f3c2a9b7d1e4f60", "1d0be77c43a95f12", "c4417e5a90b8d3f6")


def main() -> None:
    """Take the pictures that the docs show."""
    browser_path = shutil.which("chromium")
    if browser_path is None:
        sys.exit("make screenshots needs the package chromium")
    FOLDER.mkdir(exist_ok=True)
    with _serve() as server, sync_playwright() as tools:
        shown = _fill(Api(server.url, server.login), server)
        browser = tools.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        for name, address, scheme, size in _pictures(shown):
            _take(browser, server, address, FOLDER / f"{name}.png", scheme=scheme, size=size)
            print(f"docs/images/{name}.png", flush=True)
        browser.close()


@contextmanager
def _serve() -> Iterator[RunningServer]:
    with tempfile.TemporaryDirectory() as folder:
        server = start_server(Path(folder))
        try:
            yield server
        finally:
            server.stop()


def _fill(api: Api, server: RunningServer) -> dict[str, int]:
    """Builds of every kind; gives the numbers of those that are shown."""
    api.create(TESTS)
    for config in APPS:
        api.create(config)
    for turn in range(12):
        commit = COMMITS[turn % 3]
        for name in ("web/frontend", "docs", "mobile/android"):
            _finish(api, name, branch="main", commit=commit)
        _finish(api, "web/api", branch="main", commit=commit)
    red = _finish(api, "web/api", branch="release/2.4", commit=COMMITS[0], target="production")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for branch in ("main", "feature/login"):
        body = f"branch={branch}".encode()
        send(server.url, method="POST", path="/web/api", headers=form, body=body)
    api("pause", listen_point="docs", reason="moving to the new host")
    live = api.trigger("infra/images", branch="main", commit=COMMITS[1])
    ignored: list[int] = []
    wait_until(lambda: ignored.extend(_ignored(api)) or ignored)
    return {"red": red, "live": live, "delivery": ignored[0]}


def _ignored(api: Api) -> list[int]:
    listed = api("deliveries", listen_point="web/api").value["deliveries"]
    return [one["id"] for one in listed if one["verdict"] == "ignored" and one["size"]]


def _finish(api: Api, name: str, **params: str) -> int:
    build = api.trigger(name, **params)
    api.wait_for_build(name, build)
    return build


def _pictures(shown: dict[str, int]) -> Iterator[tuple[str, str, str, dict[str, int]]]:
    red, live = f"/-/builds/{shown['red']}", f"/-/builds/{shown['live']}"
    yield "apps-light", "/", "light", DESK
    yield "apps-dark", "/", "dark", DESK
    yield "apps-phone", "/", "light", PHONE
    yield "app-light", "/-/apps/web/api", "light", DESK
    yield "failed-light", red, "light", DESK
    yield "failed-dark", red, "dark", DESK
    yield "failed-phone", red, "dark", PHONE
    yield "live-dark", live, "dark", DESK
    yield "delivery-light", f"/-/delivery/{shown['delivery']}", "light", DESK


def _take(
    browser: Browser,
    server: RunningServer,
    address: str,
    file: Path,
    *,
    scheme: str,
    size: dict[str, int],
) -> None:
    name, password = server.login
    context = browser.new_context(
        base_url=server.url,
        http_credentials={"username": name, "password": password},
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": size["width"], "height": size["height"]},
    )
    with closing(context):
        page = context.new_page()
        page.goto(address)
        _settle(page)
        page.screenshot(path=file)


def _settle(page: Page) -> None:
    """Wait until it looks as it is going to look."""
    page.wait_for_load_state("networkidle")
    if page.locator("#live").count():
        expect(page.locator(".out").nth(12)).to_be_visible(timeout=20_000)


if __name__ == "__main__":
    main()
