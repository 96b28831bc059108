"""`info`: the state of certain or all apps."""

from collections.abc import Callable
from pathlib import Path
from time import time

import pytest

from tests.contract.api import Api, Way, assert_error


def test_gives_a_list_with_the_published_keys(
    api: Api, way: Way, make_app: Callable[..., str]
) -> None:
    listen_point = make_app("actions:\n  - 'true'\n  - 'false'\n")
    record = api.build(listen_point)
    reply = api.call("info", way, listen_points=listen_point)
    assert reply.status == 200
    (one,) = reply.json
    assert one["listen_point"] == listen_point
    assert one["config_file"] is None
    assert one["last_build_status"] == "Partially complete (1/2)"
    assert one["last_build_status_message"] == "Partially complete (1/2)"
    assert one["last_build_status_level"] == 30
    assert one["last_build_timestamp"] == record["timestamp"]
    assert time() - 60 < one["last_build_timestamp"] < time() + 60


def test_an_app_never_built_says_so(api: Api, way: Way, make_app: Callable[..., str]) -> None:
    (one,) = api.call("info", way, listen_points=make_app()).json
    assert one["last_build_status"] == "Never triggered"
    assert one["last_build_status_message"] == "Never triggered"
    assert one["last_build_status_level"] == 0
    assert one["last_build_timestamp"] == 0


def test_a_waiting_or_running_build_is_the_last_one(
    api: Api, make_app: Callable[..., str], folder: Path
) -> None:
    go = folder / "go"
    listen_point = make_app(
        f"exec_timeout: 20\nactions:\n  - while [ ! -e {go} ]; do sleep 0.02; done\n  - 'true'\n"
    )
    build = api.trigger(listen_point)
    one = api.info(listen_point)
    assert one["last_build_status"] == "Triggered, actions in queue: 2"
    assert one["last_build_status_level"] == 10
    go.touch()
    api.wait_for_end(listen_point, build)
    assert api.info(listen_point)["last_build_status"] == "Complete (2/2)"


def test_without_listen_points_it_tells_of_all_apps(
    api: Api, way: Way, make_app: Callable[..., str], listen_point: str
) -> None:
    mine = {make_app(listen_point=f"{listen_point}/{number}") for number in range(2)}
    reply = api.call("info", way)
    assert reply.status == 200
    assert mine <= {one["listen_point"] for one in reply.json}


def test_several_listen_points_can_be_passed(
    api: Api, way: Way, make_app: Callable[..., str], listen_point: str
) -> None:
    spam, eggs, _ham = (make_app(listen_point=f"{listen_point}/{name}") for name in "123")
    reply = api.call("info", way, listen_points=[spam, eggs])
    assert reply.status == 200
    assert sorted(one["listen_point"] for one in reply.json) == [spam, eggs]


@pytest.mark.parametrize("known", [0, 1])
def test_an_unknown_listen_point_is_404(
    api: Api, way: Way, make_app: Callable[..., str], listen_point: str, known: int
) -> None:
    unknown = f"{listen_point}-unknown"
    names = [make_app(), unknown] if known else [unknown]
    reply = api.call("info", way, listen_points=names)
    assert unknown in assert_error(reply, "app_not_found", status=404)["message"]
