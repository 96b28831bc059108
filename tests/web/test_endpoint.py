"""Who asks the API, what is open to everybody, and what a header may say."""

import base64
import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sloth_ci.api import ACTIONS, Answer, ApiAction, Parameter, Server
from sloth_ci.config import parse_server
from sloth_ci.web import ApiEndpoint
from sloth_ci.web.login import LoginCheck
from tests.calls import Reply

LOGIN = "api_auth: {login: eva, password: swordfish}"
EVA = {"HTTP_AUTHORIZATION": "Basic " + base64.b64encode(b"eva:swordfish").decode()}

Ask = Callable[..., Reply]


def tell(_server: Server, **given: Any) -> Answer:
    return Answer(given)


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ask:
    """Ask an API of three actions that say what they were given."""
    after = Parameter("after", "a place")
    for action in (
        ApiAction("whoami", 200, "", tell, wants_actor=True),
        ApiAction("pulse", 200, "", tell, open_to_all=True),
        ApiAction("resume-at", 200, "", tell, (after,), headers={"last-event-id": "after"}),
    ):
        monkeypatch.setitem(ACTIONS, action.name, action)

    def ask(query: str, config: str = LOGIN, *, body: bytes = b"", **environ: str) -> Reply:
        parsed = parse_server(config, base_dir=tmp_path)
        server = cast("Server", SimpleNamespace(further={}))
        endpoint = ApiEndpoint(parsed, server, hosts=(), login=LoginCheck(parsed.api_auth))
        started: list[Any] = []
        given = {
            "REQUEST_METHOD": "POST" if body else "GET",
            "PATH_INFO": "/",
            "QUERY_STRING": query,
            "REMOTE_ADDR": "192.0.2.1",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": BytesIO(body),
            **environ,
        }
        pieces = endpoint(given, lambda *head: started.append(head))
        status, headers = started[0]
        return Reply(int(status.split()[0]), dict(headers), b"".join(pieces))

    return ask


def code(reply: Reply) -> str:
    return str(json.loads(reply.body)["error"]["code"])


def test_an_action_that_wants_it_hears_the_login_of_who_asks(ask: Ask) -> None:
    assert ask("action=whoami", **EVA).value == {"actor": "eva"}


def test_without_logins_who_asks_is_an_address(ask: Ask) -> None:
    assert ask("action=whoami", "{}").value == {"actor": "192.0.2.1"}
    assert ask("action=whoami", "{}", **EVA).value == {"actor": "192.0.2.1"}


def test_nobody_can_say_that_he_is_another(ask: Ask) -> None:
    assert code(ask("action=whoami&actor=max", **EVA)) == "unknown_param"


def test_the_other_actions_do_not_hear_who_asks(ask: Ask) -> None:
    assert ask("action=pulse", **EVA).value == {}


OPEN = f"{LOGIN}\nopen_health: true"


def test_what_is_open_to_all_is_so_only_where_the_config_says_it(ask: Ask) -> None:
    assert ask("action=pulse", OPEN).status == 200
    assert ask("action=pulse").status == 401
    assert ask("action=pulse", f"{LOGIN}\nopen_health: false").status == 401


@pytest.mark.parametrize(
    "query",
    [
        "",
        "action=",
        "action=whoami",
        "action=nonsense",
        "action=pulse&action=whoami",
        "action=whoami&action=pulse",
        "action=PULSE",
        "Action=pulse",
        "action=pulse%00",
        "action=%FF",
        "a=" + "&a=" * 2_000,
    ],
)
def test_nothing_else_is_open_to_all(ask: Ask, query: str) -> None:
    assert ask(query, OPEN).status == 401


@pytest.mark.parametrize("method", ["POST", "HEAD", "PUT", "DELETE", "OPTIONS", "get"])
def test_by_another_method_nothing_is_open_to_all(ask: Ask, method: str) -> None:
    assert ask("action=pulse", OPEN, REQUEST_METHOD=method).status == 401
    assert ask("", OPEN, body=b"action=pulse").status == 401


def test_a_wrong_login_does_not_close_what_is_open_to_all(ask: Ask) -> None:
    assert ask("action=pulse", OPEN, HTTP_AUTHORIZATION="Basic eDp5").status == 200


def test_a_header_that_stands_for_a_parameter_wins_over_it(ask: Ask) -> None:
    query = "action=resume-at&after=17"
    assert ask(query, **EVA).value == {"after": "17"}
    assert ask(query, HTTP_LAST_EVENT_ID="23", **EVA).value == {"after": "23"}
    assert ask("action=resume-at", HTTP_LAST_EVENT_ID="23", **EVA).value == {"after": "23"}
    assert ask("action=pulse", HTTP_LAST_EVENT_ID="23", **EVA).value == {}
