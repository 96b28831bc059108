"""`list` and `version`: what the API document doesn't have yet."""

from collections.abc import Callable

import pytest

from tests.contract.api import Api, Way, assert_error


def test_list_gives_the_sorted_names_of_all_apps(
    api: Api, way: Way, make_app: Callable[..., str], listen_point: str
) -> None:
    mine = [make_app(listen_point=f"{end}-{listen_point}") for end in "bac"]
    reply = api.call("list", way)
    assert reply.status == 200
    assert set(mine) <= set(reply.json)
    assert reply.json == sorted(reply.json)


def test_version_gives_the_servers_version(api: Api, way: Way) -> None:
    reply = api.call("version", way)
    assert reply.status == 200
    assert [part.isdigit() for part in reply.json.split(".")[:2]] == [True, True]


@pytest.mark.parametrize("action", ["list", "version"])
def test_neither_takes_a_parameter(api: Api, way: Way, action: str) -> None:
    reply = api.call(action, way, listen_point="x")
    assert "'listen_point'" in assert_error(reply, "unknown_param", status=400)["message"]
