"""The page in a real browser: what it shows, what it keeps live, what its buttons do."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.calls import Api, wait_until
from tests.conftest import RunningServer
from tests.page.conftest import PATIENCE, visit
from tests.page.test_ansi import LINES

AXE = Path(__file__).parent / "axe" / "axe.min.js"
RED = r"""
listen_point: {name}
params: {{target: staging}}
actions:
  - echo "building for {{target}}"
  - |
    printf '\033[31mE   AssertionError\033[0m: assert 1 == 2\n'; exit 3
  - echo never
stop_on_first_fail: true
"""


def finish(api: Api, config: str, name: str, **params: str) -> int:
    """Make an app, run one build of it to its end, and give the build's number."""
    api.create(config)
    build = api.trigger(name, **params)
    api.wait_for_build(name, build)
    return build


def test_a_red_build_tells_its_reason_two_clicks_from_the_start(page: Page, api: Api) -> None:
    build = finish(api, RED.format(name="b/red"), "b/red")

    page.goto("/?q=b/red")
    page.get_by_role("link", name="Failed", exact=False).first.click()

    expect(page.get_by_role("heading", level=1)).to_contain_text(f"Build {build}")
    why = page.get_by_role("region", name="Why")
    expect(why).to_contain_text("Action 2 of 3 failed with exit code 3")
    expect(why).to_contain_text("AssertionError: assert 1 == 2")


def test_a_link_to_the_error_leads_to_its_line(page: Page, api: Api) -> None:
    build = finish(api, RED.format(name="b/link"), "b/link")
    page.goto(f"/-/builds/{build}")

    page.get_by_role("region", name="Why").get_by_role(
        "link", name=re.compile("first line")
    ).click()

    expect(page.locator(".l.here")).to_have_text(re.compile("AssertionError"))


def test_the_log_comes_live_while_the_build_runs(page: Page, api: Api, tmp_path: Path) -> None:
    go = tmp_path / "go"
    api.create(
        f"listen_point: b/live\nactions:\n  - echo first\n"
        f"  - while [ ! -e {go} ]; do sleep 0.05; done; echo second"
    )
    build = api.trigger("b/live")
    page.goto(f"/-/builds/{build}")
    log = page.get_by_role("region", name="Log")
    expect(log).to_contain_text("first")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Running")
    assert not log.locator(".out", has_text="second").count()

    go.touch()

    expect(log.locator(".out", has_text="second")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Complete")
    expect(page.locator("details.part")).to_have_count(2)
    expect(page.locator("details.part").nth(1).locator(".out")).to_have_text(["second"])


def test_the_reason_comes_without_a_reload(page: Page, api: Api, tmp_path: Path) -> None:
    go = tmp_path / "go"
    api.create(
        f"listen_point: b/fails\nactions:\n  - while [ ! -e {go} ]; do sleep 0.05; done; exit 7"
    )
    page.goto(f"/-/builds/{api.trigger('b/fails')}")
    expect(page.locator("#live")).to_have_text("Live")

    go.touch()

    expect(page.get_by_role("region", name="Why")).to_contain_text("exit code 7")


def test_cancel_ends_a_running_build(page: Page, api: Api) -> None:
    api.create("listen_point: b/cancel\nactions:\n  - echo begun; sleep 600")
    page.goto(f"/-/builds/{api.trigger('b/cancel')}")
    expect(page.get_by_role("region", name="Log")).to_contain_text("begun")

    page.get_by_role("button", name="Cancel").click()

    expect(page.get_by_role("heading", level=1)).to_contain_text("Cancelled")


def test_build_now_builds_with_the_params_given(page: Page, api: Api) -> None:
    api.create("listen_point: b/now\nactions:\n  - echo to {where}")
    page.goto("/-/apps/b/now")

    page.get_by_label("where").fill("the moon")
    page.get_by_role("button", name="Build", exact=True).click()

    expect(page.get_by_role("region", name="Log")).to_contain_text("to the moon")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Complete")


def test_run_again_makes_another_build(page: Page, api: Api) -> None:
    build = finish(api, RED.format(name="b/again"), "b/again", target="production")
    page.goto(f"/-/builds/{build}")

    page.get_by_role("button", name="Run again").click()

    expect(page.get_by_role("link", name=f"build {build}")).to_be_visible()
    expect(page.get_by_role("region", name="Log")).to_contain_text("building for production")


def test_pause_keeps_builds_waiting_until_resume(page: Page, api: Api) -> None:
    api.create("listen_point: b/pause\nactions: [echo ran]")
    page.goto("/-/apps/b/pause")
    page.on("dialog", lambda dialog: dialog.accept("moving house"))

    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("Paused: moving house")).to_be_visible()
    build = api.trigger("b/pause")
    page.get_by_role("button", name="Resume").click()

    expect(page.get_by_text("Paused: moving house")).to_have_count(0)
    api.wait_for_build("b/pause", build)


def test_a_delivery_shows_its_verdict_and_can_be_replayed(
    page: Page, api: Api, shared_server: RunningServer
) -> None:
    api.create(
        "listen_point: b/hook\nprovider: {dummy: {allow_unsigned: true, branches: [main]}}\n"
        'actions: ["echo {branch}"]'
    )
    page.context.request.post("/b/hook", form={"branch": "main"})
    wait_until(lambda: api("deliveries", listen_point="b/hook").value["deliveries"])
    page.goto("/-/deliveries/b/hook")
    page.locator("tbody a.id").first.click()
    expect(page.get_by_role("table").first).to_contain_text("branch")

    page.get_by_role("button", name="Try it again without building").click()
    expect(page.locator("#tried")).to_contain_text("Builds it would make: 1")
    expect(page.locator("#tried")).to_contain_text("echo main")
    page.get_by_role("button", name="Replay", exact=True).click()

    expect(page.locator("#tried").get_by_role("link", name=re.compile("Build"))).to_be_visible()
    assert len(api("builds", listen_point="b/hook").value["builds"]) == 2


def test_the_list_of_apps_keeps_up(page: Page, api: Api) -> None:
    api.create("listen_point: b/list\nactions: [echo done]")
    page.goto("/?q=b/list")
    expect(page.locator("#apps")).to_contain_text("Never built")

    api.trigger("b/list")

    expect(page.locator("#apps")).to_contain_text("Complete")


def test_an_app_tells_when_it_builds_next(page: Page, api: Api) -> None:
    api.create(
        "listen_point: b/nightly\nactions: [echo]\n"
        "extensions: {night: {module: schedule, cron: '0 3 1 1 *'}}"
    )
    page.goto("/?q=b/nightly")

    expect(page.locator("#apps")).to_contain_text(re.compile(r"next in \d+ [dw]"))


def test_apps_are_found_as_one_types(page: Page, api: Api) -> None:
    api.create("listen_point: b/find/this\nactions: [echo]")
    api.create("listen_point: b/find/that\nactions: [echo]")
    page.goto("/")

    page.keyboard.press("/")
    page.keyboard.type("find/thi")

    expect(page.locator("#apps h2")).to_have_text(["b/find/this"])


HOSTILE = (
    "<script>window.hit=1</script><img src=x onerror=window.hit=1>"
    "\\033]8;;javascript:window.hit=1\\007link\\033]8;;\\007<svg/onload=window.hit=1>"
)


def test_t19_nothing_that_a_build_prints_or_is_given_runs(
    page: Page, api: Api, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    api.create(
        "listen_point: b/hostile\nactions:\n"
        f"  - printf '%b\\n' '{HOSTILE}'\n"
        f"  - while [ ! -e {go} ]; do sleep 0.05; done; printf '%b\\n' '{HOSTILE}' >&2; exit 1"
    )
    build = api.trigger("b/hostile", branch="<script>window.hit=1</script>", message=HOSTILE)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(f"/-/builds/{build}")
    expect(page.locator(".out").first).to_contain_text("<script>window.hit=1</script>")

    go.touch()

    expect(page.get_by_role("region", name="Why")).to_be_visible()
    expect(page.locator(".l.err").first).to_contain_text("<img src=x")
    for address in (f"/-/builds/{build}", "/-/apps/b/hostile", "/-/builds", "/?q=<script>hit"):
        page.goto(address)
        assert page.evaluate("window.hit") is None, address
        assert not page.locator("main img, main a[href^=javascript]").count(), address
    assert said == []


def test_the_browser_takes_nothing_from_elsewhere_and_runs_nothing_inline(
    page: Page, api: Api
) -> None:
    reply = page.goto("/")
    assert reply
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'),"
        " {textContent: 'window.hit = 1'}))"
    )
    assert page.evaluate("window.hit") is None


def test_a_log_of_100_000_lines_stays_usable(page: Page, api: Api) -> None:
    build = finish(
        api,
        "listen_point: b/long\nmax_output: 50MB\nactions:\n"
        "  - seq -f 'this is line %.0f of many' 1 100000",
        "b/long",
    )
    page.goto(f"/-/builds/{build}")
    expect(page.locator("#earlier")).to_have_count(0, timeout=2 * PATIENCE)

    page.get_by_label("Search the log").fill("line 4711 ")

    expect(page.locator(".seek output")).to_have_text("1 of 1")
    expect(page.locator(".l.here")).to_contain_text("line 4711 of many")
    assert page.locator(".l").count() < 10_000, "only lines near the window are elements"
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    expect(page.locator(".l", has_text="line 100000 of many")).to_be_visible()


def test_search_goes_through_what_it_found(page: Page, api: Api) -> None:
    build = finish(api, "listen_point: b/seek\nactions: ['seq 1 300']", "b/seek")
    page.goto(f"/-/builds/{build}")
    field = page.get_by_label("Search the log")

    field.fill("99")
    expect(page.locator(".seek output")).to_have_text("1 of 3")
    field.press("Enter")
    expect(page.locator(".seek output")).to_have_text("2 of 3")
    expect(page.locator(".l.here mark")).to_have_text("99")
    page.get_by_title("The one before").click()
    expect(page.locator(".seek output")).to_have_text("1 of 3")
    expect(page.locator(".l.here")).to_contain_text("99")


def test_actions_fold(page: Page, api: Api) -> None:
    build = finish(api, "listen_point: b/fold\nactions: [echo one, echo two]", "b/fold")
    page.goto(f"/-/builds/{build}")
    expect(page.locator(".out")).to_have_count(2)

    page.get_by_role("button", name="Fold all").click()

    expect(page.locator(".out").first).to_be_hidden()
    page.locator("summary", has_text="echo two").click()
    expect(page.locator(".out", has_text="two")).to_be_visible()


def test_all_can_be_read_without_javascript(
    browser: Browser, shared_server: RunningServer, api: Api
) -> None:
    build = finish(api, RED.format(name="b/plain"), "b/plain")
    with visit(browser, shared_server, java_script_enabled=False) as context:
        page = context.new_page()
        page.goto("/?q=b/plain")
        page.get_by_role("link", name="Failed").first.click()

        expect(page.get_by_role("region", name="Why")).to_contain_text("exit code 3")
        expect(page.get_by_role("region", name="Log")).to_contain_text("building for staging")
        assert page.locator("button:visible").count() == 0
        assert page.locator(f'h1:has-text("Build {build}")').count() == 1


def test_earlier_lines_are_a_link_away_without_javascript(
    browser: Browser, shared_server: RunningServer, api: Api
) -> None:
    build = finish(api, "listen_point: b/earlier\nactions: ['seq 1 1500']", "b/earlier")
    with visit(browser, shared_server, java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"/-/builds/{build}")
        expect(page.locator(".out").last).to_have_text("1500")
        assert page.locator(".l").count() == 1000

        page.get_by_role("link", name="Earlier lines").click()

        expect(page.locator(".out").first).to_have_text("1")


def test_the_theme_can_be_switched_and_stays(page: Page) -> None:
    page.emulate_media(color_scheme="light")
    page.goto("/")
    light = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")

    page.get_by_role("button", name="Switch between light and dark").click()
    page.reload()

    dark = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert dark != light
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


@pytest.fixture(scope="module")
def places(shared_server: RunningServer) -> list[str]:
    """The address of each kind of page, with something to see."""
    api = Api(shared_server.url, shared_server.login)
    name = "b/places/with-a-rather-long-name-that-has-nowhere-to-break"
    api.create(
        f"listen_point: {name}\nprovider: {{dummy: {{allow_unsigned: true}}}}\nactions:\n"
        f"  - echo {'a-long-word' * 30}\n  - exit 1"
    )
    build = api.trigger(name, branch="feature/" + "x" * 80, commit="a" * 40)
    api.wait_for_build(name, build)
    from tests.calls import send

    send(shared_server.url, method="POST", path=f"/{name}", body=b"a=b")
    wait_until(lambda: api("deliveries", listen_point=name).value["deliveries"])
    delivery = api("deliveries", listen_point=name).value["deliveries"][0]["id"]
    return [
        "/?q=b/places",
        "/?q=nothing-of-that-name",
        "/-/builds",
        f"/-/apps/{name}",
        f"/-/builds/{build}",
        f"/-/deliveries/{name}",
        f"/-/delivery/{delivery}",
        "/-/builds/999999",
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_accessible(
    browser: Browser, shared_server: RunningServer, places: list[str], scheme: str
) -> None:
    # axe is put in from outside, which the page's own policy forbids.
    with visit(browser, shared_server, color_scheme=scheme, bypass_csp=True) as context:
        page = context.new_page()
        for address in places:
            page.goto(address)
            page.wait_for_load_state("networkidle")
            page.add_script_tag(path=AXE)
            found = page.evaluate("axe.run().then((result) => result.violations)")
            told = [
                (one["id"], one["help"], [node["html"][:200] for node in one["nodes"]][:3])
                for one in found
            ]
            assert told == [], f"{address}: {json.dumps(told, indent=1)}"


def test_no_page_is_wider_than_a_phone(
    browser: Browser, shared_server: RunningServer, places: list[str]
) -> None:
    with visit(browser, shared_server, viewport={"width": 360, "height": 740}) as context:
        page = context.new_page()
        for address in places:
            page.goto(address)
            page.wait_for_load_state("networkidle")
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, address


def test_everything_can_be_reached_by_keyboard(context: BrowserContext, api: Api) -> None:
    build = finish(api, "listen_point: b/keys\nactions: [echo one]", "b/keys")
    page = context.new_page()
    page.goto(f"/-/builds/{build}")

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.get_by_role("button", name="Run again").focus()
    page.keyboard.press("Enter")

    expect(page.get_by_role("link", name=f"build {build}")).to_be_visible()


def test_the_script_reads_colours_as_the_server_does(page: Page, api: Api) -> None:
    build = finish(api, "listen_point: b/colours\nactions: [echo one]", "b/colours")
    page.goto(f"/-/builds/{build}")

    seen = page.evaluate(
        "(lines) => lines.map((line) => Ansi.spans(line))", [one for one, _ in LINES]
    )

    assert [[tuple(piece) for piece in line] for line in seen] == [pieces for _, pieces in LINES]


def test_an_error_is_a_page_too(page: Page) -> None:
    reply = page.goto("/-/builds/999999")

    assert reply
    assert reply.status == 404
    expect(page.get_by_role("main")).to_contain_text("There is no build 999999")


def test_the_raw_log_is_text(page: Page, api: Api) -> None:
    build = finish(api, "listen_point: b/raw\nactions: ['echo \"<b>raw</b>\"']", "b/raw")

    reply = page.context.request.get(f"/-/log/{build}", headers={"Accept": "text/html"})

    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    assert "<b>raw</b>\n" in reply.text()
