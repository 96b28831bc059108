"""T20: a badge is the same harmless picture, whatever is asked of it and whatever it says."""

from collections.abc import Callable

import pytest

from tests.calls import Api, send
from tests.conftest import RunningServer

LABEL = "<script>alert(1)</script>&\\\"'"
CONFIG = """
extensions:
  badges: {module: badge}
"""


@pytest.fixture
def server(launch: Callable[..., RunningServer]) -> RunningServer:
    server = launch(config=CONFIG)
    Api(server.url, server.login).create(
        "listen_point: web\nactions: [ls]\n"
        f'extensions: {{badge: {{module: badge, label: "{LABEL}"}}}}\nbadge: {{label: "{LABEL}"}}\n'
    )
    return server


def test_what_is_asked_changes_nothing_and_what_it_says_is_text(server: RunningServer) -> None:
    for path in ("/web/-/badge.svg", "/-/badge/web.svg"):
        plain = send(server.url, path=path)
        for query in ("?style=../../x", "?label=%3Cscript%3E", "?style=flat&href=javascript:x"):
            assert send(server.url, path=path + query).body == plain.body
        assert plain.status == 200
        assert b"<script" not in plain.body
        assert b"&lt;script&gt;" in plain.body
        assert plain.headers["content-security-policy"].startswith("default-src 'none'")
        assert plain.headers["x-content-type-options"] == "nosniff"
        assert plain.headers["content-type"] == "image/svg+xml; charset=utf-8"


@pytest.mark.parametrize(
    "path",
    [
        "/-/badge/../../server.yml",
        "/-/badge/..%2F..%2Fserver.svg",
        "/-/badge/%2e%2e/web.svg",
        "/-/badge/web.svg/..",
        "/-/badge/web.svg%00.json",
        "/-/badge/other.svg",
        "/-/badge/web.html",
        "/web/-/badge.svg/../x",
    ],
)
def test_there_is_nothing_behind_it_to_be_had(server: RunningServer, path: str) -> None:
    reply = send(server.url, path=path)

    assert reply.status == 404
    assert reply.value["error"]["code"] == "path_not_found"
