"""T6: a page of another site, open in a reader's browser, changes nothing."""

from typing import Any

import pytest

from sloth_ci.api import ACTIONS
from tests.calls import Api, Reply, send
from tests.conftest import RunningServer

FORM = "application/x-www-form-urlencoded"
#: What browsers say of who makes them send it: current ones, older ones, a page in a sandbox.
SIGNS = (
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.example"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
)
PUSH = b'{"branch": "main"}'


@pytest.fixture(scope="module")
def api(shared_server: RunningServer) -> Api:
    return Api(shared_server.url, shared_server.login)


def numbers(api: Api) -> list[int]:
    return [one["id"] for one in api("builds", listen_point="t6/open").value["builds"]]


def push(server: RunningServer, headers: dict[str, str], **more: Any) -> Reply:
    given = {"Content-Type": "text/plain", **headers}
    return send(server.url, method="POST", path="/t6/open", headers=given, body=PUSH, **more)


@pytest.mark.parametrize("signs", SIGNS, ids=str)
@pytest.mark.parametrize("name", [one.name for one in ACTIONS.values() if one.changes_state])
def test_no_action_is_done_for_it(
    shared_server: RunningServer, name: str, signs: dict[str, str]
) -> None:
    asked = {
        "POST": {"path": "/", "body": f"action={name}".encode()},
        "GET": {"path": f"/?action={name}"},
    }
    for method, more in asked.items():
        headers = {"Content-Type": FORM, **signs}
        reply = send(
            shared_server.url, method=method, login=shared_server.login, headers=headers, **more
        )
        assert (reply.status, reply.value["error"]["code"]) == (403, "cross_site_refused")


@pytest.mark.parametrize("signs", SIGNS, ids=str)
def test_no_push_is_taken_from_it_even_where_nothing_proves_a_push(
    shared_server: RunningServer, api: Api, signs: dict[str, str]
) -> None:
    if api("info", listen_points="t6/open").status == 404:
        api.create(
            "listen_point: t6/open\nprovider: {dummy: {allow_unsigned: true}}\nactions: [ls]"
        )
    before = numbers(api)

    reply = push(shared_server, signs)

    assert (reply.status, reply.value["error"]["code"]) == (403, "cross_site_refused")
    assert numbers(api) == before
    assert push(shared_server, {}).status == 202
