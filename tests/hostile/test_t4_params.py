"""T4: what was sent shows no secret of its app: no param, whatever its name, and no cut body."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sloth_ci.masking import Mask
from sloth_ci.store.packing import pack, unpack
from sloth_ci.store.rows import Sent
from tests.calls import Api, send
from tests.conftest import RunningServer

SECRET = "S3cr3t-Value/42"


@pytest.fixture
def api(launch: Callable[..., RunningServer], tmp_path: Path) -> Api:
    (tmp_path / "secret").write_text(SECRET)
    server = launch()
    api = Api(server.url, server.login)
    api.create(
        f"listen_point: web\nenv: {{TOKEN: {{file: {tmp_path}/secret}}}}\n"
        "actions: ['echo $TOKEN {branch} {commit} {note}; false']\n"
    )
    return api


def test_no_answer_and_no_page_shows_it(api: Api) -> None:
    given = {"branch": SECRET, "commit": SECRET, "note": f"a {SECRET} b"}
    for _build in range(2):
        build = api.trigger("web", **given)
        api.wait_for_build("web", build)
    api("rerun", build=build)

    asked = [
        api(action, **params).body
        for action, params in (
            *((action, {"build": build}) for action in ("explain", "logs")),
            *((kind, {"listen_point": "web"}) for kind in ("builds", "history", "stats")),
            ("build", {"id": build}),
            ("preview", {"listen_point": "web", **given}),
            ("export", {"format": "csv"}),
            ("export", {"kind": "history"}),
            ("follow", {"build": build, "format": "ndjson"}),
            ("status", {}),
            ("info", {}),
        )
    ]
    pages = [
        send(api.url, path=path, login=api.login, headers={"Accept": "text/html"}).body
        for path in ("/", "/-/builds", f"/-/builds/{build}", "/-/apps/web", f"/-/log/{build}")
    ]

    for found in (*asked, *pages):
        assert found
        assert SECRET not in found.decode()


@pytest.mark.parametrize("rest", [0, 100, 100_000])
def test_a_body_is_not_cut_within_a_secret(rest: int) -> None:
    most = 1_000
    for begin in range(most - 2 * len(SECRET), most + len(SECRET)):
        body = (SECRET + "x" * (begin - len(SECRET)) + SECRET + "y" * rest).encode()
        sent = Sent({}, body, (), Mask([SECRET]))

        kept = unpack(pack(sent, most=most).body).decode()

        assert SECRET[:1] not in kept
        assert min(most, len(body)) - 2 * len(SECRET) <= len(kept) <= most
