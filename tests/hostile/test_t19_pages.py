"""T19: whatever comes from outside, a page shows it as text, whole and soon."""

import json
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.calls import Api, Reply, send
from tests.conftest import RunningServer

MARK = "V2MARK"
#: Texts that are more than text where they are not escaped.
SCRIPTS = (
    f"<script>{MARK}()</script>",
    f'"><img src=x onerror={MARK}()>',
    f"' autofocus onfocus={MARK}() x='",
    f"</title><svg onload={MARK}()>",
    f"javascript:{MARK}()",
    f"{{{{ {MARK} }}}}",
    f"</pre></code><iframe srcdoc='<script>{MARK}()</script>'>",
)
#: What a build prints to make its page unreadable, as Python.
OUTPUTS = {
    "a code of many digits": "'\\x1b[' + '9' * 5000 + 'mX'",
    "a sequence of many codes": "('\\x1b[' + '1;' * 31000 + 'mX\\n') * 40",
    "very many pieces": "('\\x1b[1mX\\x1b[0mY' * 5000 + '\\n') * 40",
    "sequences without an end": "('\\x1b]' * 32000 + '\\n') * 10",
}


class Harmful(HTMLParser):
    """Takes note of what a page could run, beside our own files."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        ours = (given.get("src") or "").startswith("/-/static/")
        if tag in ("iframe", "object", "embed", "base", "img") or (tag == "script" and not ours):
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            if name.startswith("on") or (name in ("href", "action") and ":" in (value or "")):
                self.found.append(f"{tag} {name}={value}")


def look(server: RunningServer, path: str) -> Reply:
    return send(server.url, path=path, login=server.login, headers={"Accept": "text/html"})


@pytest.fixture(scope="module")
def api(shared_server: RunningServer) -> Api:
    return Api(shared_server.url, shared_server.login)


@pytest.mark.parametrize("script", SCRIPTS)
def test_no_page_runs_what_came_from_outside(
    shared_server: RunningServer, api: Api, script: str
) -> None:
    name = f"t19/x{SCRIPTS.index(script)}"
    api.create(
        f"listen_point: {name}\nprovider: {{dummy: {{allow_unsigned: true}}}}\n"
        f"params: {{note: {json.dumps(script)}}}\n"
        "actions: ['printf %s\\\\n {note} {branch} {commit}; false']\n"
    )
    build = api.trigger(name, branch=script, commit=script, message=script)
    api.wait_for_build(name, build)
    api("pause", listen_point=name, reason=script)
    send(
        shared_server.url,
        method="POST",
        path=f"/{name}",
        headers={
            "Content-Type": "application/json",
            "X-GitHub-Event": script,
            "User-Agent": script,
        },
        body=json.dumps({"branch": script}).encode(),
    )
    delivery = api("deliveries", listen_point=name).value["deliveries"][0]["id"]
    api("resume", listen_point=name)
    paths = ("/", f"/-/apps/{name}", "/-/builds", f"/-/builds/{build}", f"/-/deliveries/{name}")
    for path in (
        *paths,
        f"/-/delivery/{delivery}",
        "/?q=%22%3E%3Cscript%3E",
        "/-/apps/%3Cscript%3E",
    ):
        page = look(shared_server, path)
        harmful = Harmful()
        harmful.feed(page.body.decode())
        assert harmful.found == []
        assert "script-src 'self'" in page.headers["content-security-policy"]
        assert "unsafe" not in page.headers["content-security-policy"]
        assert page.headers["x-content-type-options"] == "nosniff"
    raw = look(shared_server, f"/-/log/{build}")
    assert MARK in raw.body.decode()
    assert raw.headers["content-type"] == "text/plain; charset=utf-8"
    assert raw.headers["content-security-policy"] == "sandbox"


@pytest.mark.parametrize("printed", OUTPUTS)
def test_no_output_makes_its_page_unreadable(
    shared_server: RunningServer, api: Api, tmp_path: Path, printed: str
) -> None:
    script = tmp_path / "print.py"
    script.write_text(f"print({OUTPUTS[printed]})")
    name = f"t19/{list(OUTPUTS).index(printed)}"
    api.create(f"listen_point: {name}\nactions: ['{sys.executable} {script}; exit 3']\n")
    build = api.trigger(name)
    api.wait_for_build(name, build)

    page = look(shared_server, f"/-/builds/{build}")

    assert page.status == 200
    assert b"exit code 3" in page.body
    assert page.body.count(b"<span") < 40_000


def test_lines_that_are_left_out_for_their_length_can_be_had(
    shared_server: RunningServer, api: Api, tmp_path: Path
) -> None:
    script = tmp_path / "print.py"
    script.write_text("for number in range(200): print(number, 'x' * 60000)")
    api.create(f"listen_point: t19/long\nactions: ['{sys.executable} {script}']\n")
    build = api.trigger("t19/long")
    api.wait_for_build("t19/long", build)

    page = look(shared_server, f"/-/builds/{build}").body.decode()

    assert len(page) < 11_000_000
    before = page.partition('<a href="?before=')[2].partition('"')[0]
    assert look(shared_server, f"/-/builds/{build}?before={before}").status == 200
    assert ">0 xxx" in look(shared_server, f"/-/builds/{build}?before={before}").body.decode()


@pytest.mark.parametrize(
    "path",
    [
        "/?page=000000001" + "9" * 5_000,
        "/?page=%D9%A1",
        "/?page=-1",
        "/-/builds/" + "9" * 5_000,
        "/-/builds/%D9%A1",
        "/-/builds/1?before=" + "9" * 50,
        "/-/delivery/" + "9" * 5_000,
        "/-/static/..%2Fpages.py",
        "/-/static/%2e%2e/pages.py",
        "/-/static/templates",
        "/-/log/1%2F..%2F2",
        "/-/apps/%0d%0aX-Injected:%201",
    ],
)
def test_a_path_or_query_that_is_none_is_refused_on_a_page(
    shared_server: RunningServer, path: str
) -> None:
    page = look(shared_server, path)

    assert page.status in (400, 404)
    assert page.headers["content-type"].startswith("text/html")
    assert "x-injected" not in page.headers
    assert b"Traceback" not in page.body
