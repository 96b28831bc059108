"""`history`: the statuses of an app's builds, page by page."""

from collections.abc import Callable

import pytest

from tests.contract.api import Api, Way, assert_empty, assert_error


@pytest.fixture
def built(api: Api, make_app: Callable[..., str]) -> str:
    """An app with eleven builds of different ends."""
    listen_point = make_app("actions:\n  - echo to be passed over\n  - exit {code}\n")
    builds = [api.trigger(listen_point, code=str(number % 2)) for number in range(11)]
    api.wait_for_end(listen_point, builds[-1])
    return listen_point


def test_gives_200_with_a_list_of_records_with_the_published_keys(
    api: Api, way: Way, make_app: Callable[..., str]
) -> None:
    listen_point = make_app("actions:\n  - 'true'\n  - 'true'\n  - 'false'\n")
    api.build(listen_point)
    reply = api.call("history", way, listen_point=listen_point)
    assert reply.status == 200
    end, start = reply.json
    assert isinstance(end["timestamp"], float)
    assert end["timestamp"] >= start["timestamp"]
    published = ("logger_name", "level_name", "level_number", "message")
    assert [end[key] for key in published] == [
        f"{listen_point}.build",
        "WARNING",
        30,
        "Partially complete (2/3)",
    ]
    assert [start[key] for key in published] == [
        f"{listen_point}.build",
        "DEBUG",
        10,
        "Triggered, actions in queue: 3",
    ]


def test_is_the_build_records_of_the_logs(api: Api, way: Way, built: str) -> None:
    reply = api.call("history", way, listen_point=built, per_page=100)
    logs = api.records("logs", built)
    assert reply.json == [one for one in logs if one["logger_name"] == f"{built}.build"]
    assert len(reply.json) == 22


def test_the_freshest_are_on_top(api: Api, way: Way, built: str) -> None:
    reply = api.call("history", way, listen_point=built, per_page=100)
    stamps = [record["timestamp"] for record in reply.json]
    assert stamps == sorted(stamps, reverse=True)


def test_from_page_is_1_and_per_page_10_by_default(api: Api, way: Way, built: str) -> None:
    everything = api.records("history", built)
    assert api.call("history", way, listen_point=built).json == everything[:10]


def test_to_page_is_from_page_by_default(api: Api, way: Way, built: str) -> None:
    everything = api.records("history", built)
    reply = api.call("history", way, listen_point=built, from_page=2, per_page=4)
    assert reply.json == everything[4:8]


def test_several_pages_come_as_one_list(api: Api, way: Way, built: str) -> None:
    everything = api.records("history", built)
    reply = api.call("history", way, listen_point=built, from_page=2, to_page=3, per_page=4)
    assert reply.json == everything[4:12]


def test_level_is_10_by_default_as_the_trigger_records_are_part_of_it(
    api: Api, way: Way, built: str
) -> None:
    reply = api.call("history", way, listen_point=built, per_page=100)
    assert {record["level_number"] for record in reply.json} == {10, 20, 30}


@pytest.mark.parametrize("level", [1, 10, 20, 30, 40])
def test_level_is_the_least_level_to_be_shown(api: Api, way: Way, built: str, level: int) -> None:
    reply = api.call("history", way, listen_point=built, per_page=100, level=level)
    wanted = [one for one in api.records("history", built) if one["level_number"] >= level]
    assert (reply.status, reply.json) == (200, wanted)


def test_of_an_app_never_built_is_empty(api: Api, way: Way, make_app: Callable[..., str]) -> None:
    reply = api.call("history", way, listen_point=make_app())
    assert (reply.status, reply.json) == (200, [])


def test_of_a_listen_point_never_seen_is_404(api: Api, way: Way, listen_point: str) -> None:
    reply = api.call("history", way, listen_point=listen_point)
    assert listen_point in assert_error(reply, "app_not_found", status=404)["message"]


def test_a_missing_listen_point_is_400(api: Api, way: Way) -> None:
    error = assert_error(api.call("history", way), "missing_param", status=400)
    assert "'listen_point'" in error["message"]


def test_outlives_its_app_and_goes_on_with_the_next_one(
    api: Api, make_app: Callable[..., str]
) -> None:
    listen_point = make_app()
    api.build(listen_point)
    before = api.records("history", listen_point)
    assert_empty(api.call("remove", listen_point=listen_point), 204)
    assert api.records("history", listen_point) == before
    make_app()
    api.build(listen_point)
    after = api.records("history", listen_point)
    assert (len(before), len(after), after[2:]) == (2, 4, before)
