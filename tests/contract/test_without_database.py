"""`paths: db: null`: what is still there without the database."""

from collections.abc import Callable

from tests.contract.api import Api, Way, assert_empty, assert_error, wait_until

OFF = "paths: {db: null}\n"


def test_logs_and_history_are_501_with_the_reason(launch_own: Callable[..., Api]) -> None:
    api = launch_own(config=OFF)
    assert api.create("mine").status == 201
    for action in ("logs", "history"):
        for way in Way:
            for listen_point in ("mine", "unknown"):
                reply = api.call(action, way, listen_point=listen_point)
                message = assert_error(reply, "database_off", status=501)["message"]
                assert "db: null" in message


def test_builds_still_run_and_info_knows_the_last_one(launch_own: Callable[..., Api]) -> None:
    api = launch_own(config=OFF)
    assert api.create("mine", "actions:\n  - 'true'\n  - exit {code}\n").status == 201
    assert api.info("mine")["last_build_status"] == "Never triggered"
    assert_empty(api.call("trigger", listen_point="mine", code="1"), 202)
    wait_until(lambda: api.info("mine")["last_build_status_level"] > 10, "the end of the build")
    one = api.info("mine")
    assert one["last_build_status"] == "Partially complete (1/2)"
    assert one["last_build_status_level"] == 30
    assert one["last_build_timestamp"] > 0


def test_everything_else_answers_as_ever(launch_own: Callable[..., Api]) -> None:
    api = launch_own(config=OFF)
    assert api.create("mine").status == 201
    assert_error(api.create("mine"), "listen_point_taken", status=409)
    assert api.call("list").json == ["mine"]
    assert_empty(api.call("remove", listen_point="mine"), 204)
    assert_error(api.call("info", listen_points="mine"), "app_not_found", status=404)
