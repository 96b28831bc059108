"""`create`: make an app of a config text."""

from collections.abc import Callable

import pytest

from tests.contract.api import Api, Way, assert_empty, assert_error
from tests.contract.wire import exchange


def test_answers_201_with_the_listen_point_in_the_content(
    api: Api, way: Way, listen_point: str
) -> None:
    reply = api.call("create", way, config_string=f"listen_point: {listen_point}")
    assert (reply.status, reply.json) == (201, listen_point)
    assert api.info(listen_point)["listen_point"] == listen_point


def test_takes_the_urlencoded_text_of_a_get_query(api: Api, listen_point: str) -> None:
    config = f"listen_point%3A+{listen_point}%0D%0A%0D%0Aactions%3A%0D%0A++-+echo+1"
    target = f"/?action=create&config_string={config}"
    reply = exchange(api.url, target=target, headers=api.authorization)
    assert (reply.status, reply.json) == (201, listen_point)
    assert api.build(listen_point)["message"] == "Complete (1/1)"


@pytest.mark.parametrize("given", [{}, {"config_string": ""}], ids=["absent", "empty"])
def test_a_missing_config_string_is_400(api: Api, way: Way, given: dict[str, str]) -> None:
    error = assert_error(api.call("create", way, **given), "missing_param", status=400)
    assert "'config_string'" in error["message"]


def test_a_taken_listen_point_is_409_and_its_app_stays_as_it_was(
    api: Api, way: Way, make_app: Callable[..., str]
) -> None:
    listen_point = make_app("actions:\n  - echo first\n")
    config = f"listen_point: {listen_point}\nactions: [echo second]"
    reply = api.call("create", way, config_string=config)
    assert listen_point in assert_error(reply, "listen_point_taken", status=409)["message"]
    api.build(listen_point)
    assert api.printed(listen_point) == ["first"]


@pytest.mark.parametrize(
    "text",
    [
        "listen_point: [",
        "listen_point: 'a",
        "\tlisten_point: a",
        "just a text",
        "- a\n- list",
        "42",
        "# nothing",
        "{}",
        "actions: [echo 1]",
        "listen_point:",
        "listen_point: ''",
    ],
)
def test_an_invalid_config_string_or_one_without_a_mandatory_param_is_500(
    api: Api, way: Way, text: str
) -> None:
    assert_error(api.call("create", way, config_string=text), "config_invalid", status=500)


def test_a_refused_config_leaves_no_app_behind(api: Api, listen_point: str) -> None:
    reply = api.create(listen_point, "actions: echo\n")
    assert_error(reply, "config_invalid", status=500)
    reply = api.call("info", listen_points=listen_point)
    assert_error(reply, "app_not_found", status=404)
    reply = exchange(api.url, method="POST", target=f"/{listen_point}")
    assert_error(reply, "path_not_found", status=404)


@pytest.mark.parametrize("end", ["", "/of/segments", ".a_b~c-d"])
def test_the_app_listens_on_its_path_and_without_a_provider_takes_no_push(
    api: Api, make_app: Callable[..., str], listen_point: str, end: str
) -> None:
    path = make_app(listen_point=listen_point + end)
    reply = exchange(api.url, method="POST", target=f"/{path}", body=b"{}")
    assert_error(reply, "no_provider", status=400)


def test_the_path_is_gone_with_its_app(api: Api, make_app: Callable[..., str]) -> None:
    listen_point = make_app()
    assert_empty(api.call("remove", listen_point=listen_point), 204)
    reply = exchange(api.url, method="POST", target=f"/{listen_point}", body=b"{}")
    assert_error(reply, "path_not_found", status=404)
