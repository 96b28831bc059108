"""`trigger`: queue a build, and answer at once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.api import Api, Way, assert_empty, assert_error, wait_until
from tests.contract.wire import exchange


def test_answers_202_with_empty_content(api: Api, way: Way, make_app: Callable[..., str]) -> None:
    listen_point = make_app("actions:\n  - echo {spam}\n")
    reply = api.call("trigger", way, listen_point=listen_point, spam="eggs")
    assert_empty(reply, 202)
    api.wait_for_end(listen_point, int(reply.headers["X-Build-Id"]))
    assert api.printed(listen_point) == ["eggs"]


def test_the_headers_tell_the_new_builds_id(
    api: Api, way: Way, make_app: Callable[..., str]
) -> None:
    listen_point = make_app()
    replies = [api.call("trigger", way, listen_point=listen_point) for _ in range(2)]
    first, second = (int(reply.headers["X-Build-Id"]) for reply in replies)
    assert first < second
    assert replies[1].headers["Location"] == f"/?action=build&id={second}"
    assert api.wait_for_end(listen_point, second)["message"] == "Complete (0/0)"


def test_the_location_leads_to_the_build(api: Api, make_app: Callable[..., str]) -> None:
    reply = api.call("trigger", listen_point=make_app())
    found = exchange(api.url, target=reply.headers["Location"], headers=api.authorization)
    assert found.status == 200, found.text
    assert found.json["id"] == int(reply.headers["X-Build-Id"])


def test_triggers_and_does_not_wait_for_the_actions(
    api: Api, make_app: Callable[..., str], folder: Path
) -> None:
    go = folder / "go"
    listen_point = make_app(
        f"exec_timeout: 20\nactions:\n  - while [ ! -e {go} ]; do sleep 0.02; done\n"
    )
    build = api.trigger(listen_point)
    assert api.info(listen_point)["last_build_status"] == "Triggered, actions in queue: 1"
    go.touch()
    assert api.wait_for_end(listen_point, build)["message"] == "Complete (1/1)"


def test_is_successful_even_when_the_actions_are_not_and_the_logs_tell(
    api: Api, make_app: Callable[..., str]
) -> None:
    listen_point = make_app("actions:\n  - exit 3\n")
    reply = api.call("trigger", listen_point=listen_point)
    assert_empty(reply, 202)
    api.wait_for_end(listen_point, int(reply.headers["X-Build-Id"]))
    messages = [one["message"] for one in api.records("logs", listen_point, level=40)]
    assert messages[0] == "Failed (0/1)"
    assert "3" in messages[1]


def test_its_params_override_those_of_the_config(
    api: Api, way: Way, make_app: Callable[..., str]
) -> None:
    listen_point = make_app("params: {a: config, b: config}\nactions:\n  - echo {a} {b}\n")
    reply = api.call("trigger", way, listen_point=listen_point, b="call")
    api.wait_for_end(listen_point, int(reply.headers["X-Build-Id"]))
    assert api.printed(listen_point) == ["config call"]


@pytest.mark.parametrize(
    "name", ["wait", "level", "page", "from_page", "listen_points", "config_string", "id", "build"]
)
def test_every_further_parameter_belongs_to_the_actions(
    api: Api, way: Way, make_app: Callable[..., str], name: str
) -> None:
    listen_point = make_app(f"actions:\n  - echo {{{name}}}\n")
    reply = api.ask({"action": "trigger", "listen_point": listen_point, name: "mine"}, way)
    assert_empty(reply, 202)
    api.wait_for_end(listen_point, int(reply.headers["X-Build-Id"]))
    assert api.printed(listen_point) == ["mine"]


@pytest.mark.parametrize("text", ["", " ", "ü 漢 🦥", "a&b=c+d%20e", "two\nlines", '"\\'])
def test_a_params_value_arrives_byte_for_byte(
    api: Api, way: Way, make_app: Callable[..., str], text: str
) -> None:
    listen_point = make_app("actions:\n  - printf %s {x} | od -An -v -tx1 | tr -d ' \\n'\n")
    reply = api.ask({"action": "trigger", "listen_point": listen_point, "x": text}, way)
    assert_empty(reply, 202)
    api.wait_for_end(listen_point, int(reply.headers["X-Build-Id"]))
    assert "".join(api.printed(listen_point)) == text.encode().hex()


def test_the_numbers_of_a_json_object_are_texts_to_the_actions(
    api: Api, make_app: Callable[..., str]
) -> None:
    listen_point = make_app("actions:\n  - echo {a}\n")
    reply = api.call("trigger", Way.JSON, listen_point=listen_point, a=42)
    assert_empty(reply, 202)
    api.wait_for_end(listen_point, int(reply.headers["X-Build-Id"]))
    assert api.printed(listen_point) == ["42"]


def test_a_param_given_twice_is_400_and_nothing_is_queued(
    api: Api, way: Way, make_app: Callable[..., str]
) -> None:
    listen_point = make_app()
    reply = api.call("trigger", way, listen_point=listen_point, spam=["a", "b"])
    assert "'spam'" in assert_error(reply, "repeated_param", status=400)["message"]
    assert api.records("history", listen_point) == []


def test_a_missing_listen_point_is_400(api: Api, way: Way) -> None:
    error = assert_error(api.call("trigger", way, spam="eggs"), "missing_param", status=400)
    assert "'listen_point'" in error["message"]


def test_no_app_on_the_listen_point_is_404(api: Api, way: Way, listen_point: str) -> None:
    reply = api.call("trigger", way, listen_point=listen_point)
    assert listen_point in assert_error(reply, "app_not_found", status=404)["message"]


def test_builds_of_an_app_run_once_each_and_in_order(
    api: Api, make_app: Callable[..., str]
) -> None:
    listen_point = make_app("actions:\n  - echo {n}\n")
    builds = [api.trigger(listen_point, n=str(number)) for number in range(5)]
    wait_until(
        lambda: len(api.records("history", listen_point, level=20)) == len(builds),
        "the end of all builds",
    )
    ended = [one["build"] for one in reversed(api.records("history", listen_point, level=20))]
    assert ended == builds
    assert api.printed(listen_point) == ["0", "1", "2", "3", "4"]
