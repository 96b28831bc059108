"""Where parameters may come from, and what is said of those that are wrong."""

from collections.abc import Callable
from urllib.parse import urlencode

import pytest

from tests.contract.api import ACTIONS, Api, Way, assert_empty, assert_error, encode
from tests.contract.wire import Reply, exchange

BODIES = pytest.mark.parametrize("way", [Way.FORM, Way.MULTIPART, Way.JSON], ids=lambda w: w.value)


def post(api: Api, query: str, kind: str, body: bytes) -> Reply:
    """POST this body to the API with that query string."""
    headers = [*api.authorization, ("Content-Type", kind)]
    return exchange(api.url, method="POST", target=f"/?{query}", headers=headers, body=body)


@BODIES
def test_those_of_the_query_string_and_of_the_body_add_up(
    api: Api, way: Way, make_app: Callable[..., str], listen_point: str
) -> None:
    one, two = (make_app(listen_point=f"{listen_point}-{number}") for number in "12")
    query = urlencode({"action": "info", "listen_points": one})
    reply = post(api, query, *encode({"listen_points": two}, way))
    assert reply.status == 200, reply.text
    assert sorted(found["listen_point"] for found in reply.json) == [one, two]


@BODIES
def test_the_action_may_be_in_the_body_and_the_rest_in_the_query_string(
    api: Api, way: Way, make_app: Callable[..., str]
) -> None:
    query = urlencode({"listen_point": make_app()})
    assert_empty(post(api, query, *encode({"action": "remove"}, way)), 204)


def test_a_post_without_a_body_has_those_of_the_query_string(api: Api) -> None:
    reply = exchange(api.url, method="POST", target="/?action=version", headers=api.authorization)
    assert reply.status == 200


@BODIES
def test_one_in_the_query_string_and_again_in_the_body_came_twice(
    api: Api, way: Way, make_app: Callable[..., str]
) -> None:
    listen_point = make_app()
    query = urlencode({"action": "remove", "listen_point": listen_point})
    reply = post(api, query, *encode({"listen_point": listen_point}, way))
    assert "'listen_point'" in assert_error(reply, "repeated_param", status=400)["message"]
    assert api.info(listen_point)


@pytest.mark.parametrize(
    ("action", "name"),
    [
        ("bind", "listen_point"),
        ("bind", "config_file"),
        ("create", "config_string"),
        ("remove", "listen_point"),
        ("trigger", "listen_point"),
        ("logs", "listen_point"),
        ("logs", "level"),
        ("history", "from_page"),
        ("history", "to_page"),
        ("history", "per_page"),
    ],
)
def test_one_given_twice_where_one_is_wanted_is_400(
    api: Api, way: Way, action: str, name: str
) -> None:
    params = {"listen_point": "x", "config_file": "/x"} if action == "bind" else {}
    if action != "create":
        params["listen_point"] = "x"
    reply = api.ask({"action": action, **params, name: ["1", "1"]}, way)
    assert f"'{name}'" in assert_error(reply, "repeated_param", status=400)["message"]


def test_the_action_given_twice_is_400(api: Api, way: Way) -> None:
    reply = api.ask({"action": ["list", "list"]}, way)
    assert "'action'" in assert_error(reply, "repeated_param", status=400)["message"]


@pytest.mark.parametrize(
    ("action", "unknown", "nearest"),
    [
        ("bind", "config_fil", "config_file"),
        ("create", "config_strin", "config_string"),
        ("remove", "listenpoint", "listen_point"),
        ("info", "listen_point", "listen_points"),
        ("logs", "levle", "level"),
        ("logs", "frm_page", "from_page"),
        ("history", "per_pgae", "per_page"),
        ("history", "topage", "to_page"),
    ],
)
def test_an_unknown_one_is_400_and_the_nearest_known_one_is_named(
    api: Api, way: Way, action: str, unknown: str, nearest: str
) -> None:
    required: dict[str, dict[str, str | int | list[str]]] = {
        "bind": {"listen_point": "x", "config_file": "/x"},
        "create": {"config_string": "x"},
        "info": {},
    }
    params = required.get(action, {"listen_point": "x"})
    reply = api.ask({"action": action, **params, unknown: "1"}, way)
    message = assert_error(reply, "unknown_param", status=400)["message"]
    assert f"'{unknown}'" in message
    assert f"'{nearest}'" in message


@pytest.mark.parametrize("action", ["restart", "stop"])
def test_what_takes_none_is_not_done_with_an_unknown_one(api: Api, way: Way, action: str) -> None:
    reply = api.call(action, way, listen_point="x")
    assert_error(reply, "unknown_param", status=400)


@pytest.mark.parametrize("given", [{}, {"action": ""}], ids=["absent", "empty"])
def test_without_an_action_it_is_400_and_lists_the_actions(
    api: Api, way: Way, given: dict[str, str]
) -> None:
    message = assert_error(api.ask(given, way), "missing_action", status=400)["message"]
    for action in ACTIONS:
        assert action in message


@pytest.mark.parametrize(
    ("unknown", "nearest"),
    [("trigge", "trigger"), ("histroy", "history"), ("List", "list"), ("log", "logs")],
)
def test_an_unknown_action_is_404_and_names_the_nearest(
    api: Api, way: Way, unknown: str, nearest: str
) -> None:
    message = assert_error(api.call(unknown, way), "action_not_found", status=404)["message"]
    assert f"'{unknown}'" in message
    assert f"'{nearest}'" in message


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b'"list"', b"null", b"\xff", b'{"action": null}', b'{"action": {"a": "b"}}'],
)
def test_json_that_is_no_object_of_values_is_400(api: Api, body: bytes) -> None:
    reply = post(api, "", "application/json", body)
    assert "JSON" in assert_error(reply, "bad_body", status=400)["message"]


def test_json_may_name_its_charset(api: Api) -> None:
    reply = post(api, "", "application/json; charset=utf-8", b'{"action": "version"}')
    assert reply.status == 200


def test_a_form_may_name_its_charset(api: Api) -> None:
    kind = "application/x-www-form-urlencoded; charset=UTF-8"
    assert post(api, "", kind, b"action=version").status == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "nonsense"])
def test_a_body_of_another_type_is_400_and_the_types_are_named(api: Api, kind: str) -> None:
    message = assert_error(post(api, "", kind, b"action=version"), "bad_body", status=400)[
        "message"
    ]
    for wanted in ("application/x-www-form-urlencoded", "multipart/form-data", "application/json"):
        assert wanted in message


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=x"])
@pytest.mark.parametrize("body", [b"action=version", b"--x\r\nbroken", b"--x\r\n\r\n\r\n--x--\r\n"])
def test_broken_multipart_data_is_400(api: Api, kind: str, body: bytes) -> None:
    assert_error(post(api, "", kind, body), "bad_body", status=400)


def test_what_is_no_utf8_is_400(api: Api) -> None:
    reply = exchange(api.url, target="/?action=%ff", headers=api.authorization)
    assert_error(reply, "bad_body", status=400)
    kind = "application/x-www-form-urlencoded"
    assert_error(post(api, "", kind, b"action=\xff"), "bad_body", status=400)
