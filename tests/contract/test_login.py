"""Basic auth: nobody gets in without it, and nothing is done before it."""

from base64 import b64encode
from collections.abc import Callable

import pytest

from tests.contract.api import ACTIONS, Api, Way, assert_empty, assert_error, basic, encode
from tests.contract.wire import Headers, exchange

#: Authorization headers that are none; each is told the right name and password.
WRONG: dict[str, Callable[[str, str], list[str]]] = {
    "none": lambda *_right: [],
    "wrong password": lambda name, password: [_basic(f"{name}:{password}x")],
    "part of the password": lambda name, password: [_basic(f"{name}:{password[:-1]}")],
    "no password": lambda name, _password: [_basic(f"{name}:")],
    "wrong name": lambda name, password: [_basic(f"{name}x:{password}")],
    "no name": lambda _name, password: [_basic(f":{password}")],
    "neither": lambda *_right: [_basic(":")],
    "no colon": lambda name, _password: [_basic(name)],
    "no base64": lambda name, password: [f"Basic {name}:{password}"],
    "no UTF-8": lambda *_right: ["Basic " + b64encode(b"\xff:\xff").decode()],
    "no content": lambda *_right: ["Basic"],
    "another scheme": lambda _name, password: [f"Bearer {password}"],
}


def _basic(pair: str) -> str:
    return "Basic " + b64encode(pair.encode()).decode()


@pytest.fixture(params=list(WRONG))
def wrong(request: pytest.FixtureRequest, api: Api) -> Headers:
    """The headers of somebody who may not get in."""
    assert api.login
    return [("Authorization", value) for value in WRONG[request.param](*api.login)]


@pytest.mark.parametrize("action", [*ACTIONS, "nonsense", None])
def test_every_action_is_401_by_get_and_by_post_without_the_right_login(
    api: Api, wrong: Headers, action: str | None
) -> None:
    params = {} if action is None else {"action": action}
    stranger = Api(api.url, None)
    for way in Way:
        reply = stranger.ask(params, way, headers=wrong)
        assert_error(reply, "login_required", status=401)
        assert reply.headers["WWW-Authenticate"].startswith('Basic realm="')


def test_the_scheme_is_read_in_any_case(api: Api) -> None:
    ((name, value),) = api.authorization
    for scheme in ("basic", "BASIC"):
        headers = [(name, value.replace("Basic", scheme))]
        assert exchange(api.url, target="/?action=version", headers=headers).status == 200


@pytest.mark.parametrize(
    ("kind", "body"),
    [("application/json", b"{"), ("text/plain", b"action=stop"), ("multipart/form-data", b"--")],
)
def test_the_login_comes_before_the_body_is_looked_at(api: Api, kind: str, body: bytes) -> None:
    reply = exchange(api.url, method="POST", headers=[("Content-Type", kind)], body=body)
    assert_error(reply, "login_required", status=401)


def test_the_login_comes_before_the_method_is_looked_at(api: Api) -> None:
    assert_error(exchange(api.url, method="PUT"), "login_required", status=401)


def test_a_name_and_password_among_the_parameters_let_nobody_in(api: Api, way: Way) -> None:
    assert api.login
    name, password = api.login
    stranger = Api(api.url, None)
    reply = stranger.call("list", way, login=name, password=password)
    assert_error(reply, "login_required", status=401)


def test_nothing_is_done_for_somebody_without_the_right_login(
    api: Api, wrong: Headers, make_app: Callable[..., str]
) -> None:
    mine = make_app()
    theirs = f"{mine}-theirs"
    stranger = Api(api.url, None)
    for params in (
        {"action": "create", "config_string": f"listen_point: {theirs}"},
        {"action": "trigger", "listen_point": mine},
        {"action": "remove", "listen_point": mine},
        {"action": "restart"},
        {"action": "stop"},
    ):
        for way in (Way.GET, Way.FORM):
            reply = stranger.ask(params, way, headers=wrong)
            assert_error(reply, "login_required", status=401)
    names = api.call("list").json
    assert mine in names
    assert theirs not in names
    assert api.records("history", mine) == []
    assert_empty(api.call("trigger", listen_point=mine), 202)


def test_nothing_of_a_refused_login_or_of_the_apps_is_in_the_answer(
    api: Api, make_app: Callable[..., str]
) -> None:
    listen_point = make_app()
    kind, body = encode({"action": "info", "listen_points": listen_point}, Way.FORM)
    headers = [basic("somebody", "their-own-password"), ("Content-Type", kind)]
    reply = exchange(api.url, method="POST", headers=headers, body=body)
    assert_error(reply, "login_required", status=401)
    for hidden in (listen_point, "somebody", "their-own-password"):
        assert hidden not in reply.text


def test_a_provider_needs_no_login(api: Api, make_app: Callable[..., str]) -> None:
    reply = exchange(api.url, method="POST", target=f"/{make_app()}", body=b"{}")
    assert_error(reply, "no_provider", status=400)
