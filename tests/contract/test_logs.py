"""`logs`: an app's log records, page by page."""

from collections.abc import Callable

import pytest

from tests.contract.api import Api, Way, assert_empty, assert_error, wait_until


@pytest.fixture
def talkative(api: Api, make_app: Callable[..., str]) -> str:
    """An app whose one build left more than forty records of all levels but CRITICAL."""
    listen_point = make_app("actions:\n  - seq 40\n  - 'false'\n  - nope {missing}\n")
    api.build(listen_point)
    return listen_point


def test_gives_200_with_a_list_of_records_with_the_published_keys(
    api: Api, way: Way, talkative: str
) -> None:
    reply = api.call("logs", way, listen_point=talkative, level=10, per_page=100)
    assert reply.status == 200
    assert len(reply.json) > 40
    names = {10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR", 50: "CRITICAL"}
    for record in reply.json:
        assert isinstance(record["timestamp"], float)
        assert record["logger_name"].startswith(talkative)
        assert record["level_name"] == names[record["level_number"]]
        assert isinstance(record["message"], str)


def test_the_freshest_are_on_top(api: Api, way: Way, talkative: str) -> None:
    reply = api.call("logs", way, listen_point=talkative, level=10, per_page=100)
    stamps = [record["timestamp"] for record in reply.json]
    assert stamps == sorted(stamps, reverse=True)
    assert reply.json[0]["message"] == "Partially complete (1/3)"
    assert reply.json[-1]["logger_name"] == talkative


def test_are_sorted_by_timestamp_even_when_builds_are_triggered_while_another_prints(
    api: Api, make_app: Callable[..., str]
) -> None:
    printing = "for n in $(seq 4000); do echo $n; done"
    listen_point = make_app(f"actions:\n  - if [ {{n}} = 0 ]; then {printing}; fi\n")
    builds = [api.trigger(listen_point, n=str(number)) for number in range(20)]
    api.wait_for_end(listen_point, builds[-1])
    stamps = [record["timestamp"] for record in api.records("logs", listen_point, per_page=10_000)]
    assert len(stamps) > 4000
    assert stamps == sorted(stamps, reverse=True)


def test_from_page_is_1_and_per_page_10_by_default(api: Api, way: Way, talkative: str) -> None:
    everything = api.records("logs", talkative)
    reply = api.call("logs", way, listen_point=talkative, level=10)
    assert reply.json == everything[:10]


def test_to_page_is_from_page_by_default(api: Api, way: Way, talkative: str) -> None:
    everything = api.records("logs", talkative)
    reply = api.call("logs", way, listen_point=talkative, level=10, from_page=3, per_page=7)
    assert reply.json == everything[14:21]


def test_several_pages_come_as_one_list(api: Api, way: Way, talkative: str) -> None:
    everything = api.records("logs", talkative)
    reply = api.call(
        "logs", way, listen_point=talkative, level=10, from_page=2, to_page=4, per_page=5
    )
    assert reply.json == everything[5:20]


def test_pages_after_the_last_are_empty(api: Api, talkative: str) -> None:
    reply = api.call("logs", listen_point=talkative, from_page=100)
    assert (reply.status, reply.json) == (200, [])


def test_the_last_page_holds_what_is_left(api: Api, talkative: str) -> None:
    everything = api.records("logs", talkative)
    whole, left = divmod(len(everything), 9)
    reply = api.call(
        "logs", listen_point=talkative, level=10, from_page=whole + 1, to_page=whole + 5, per_page=9
    )
    assert reply.json == everything[len(everything) - left :]


def test_level_is_20_by_default(api: Api, way: Way, talkative: str) -> None:
    reply = api.call("logs", way, listen_point=talkative, per_page=100)
    assert reply.json == [
        one for one in api.records("logs", talkative) if one["level_number"] >= 20
    ]
    assert {record["level_number"] for record in reply.json} == {20, 30, 40}


@pytest.mark.parametrize("level", [1, 10, 11, 20, 30, 40, 41, 50, 99])
def test_level_is_the_least_level_to_be_shown(
    api: Api, way: Way, talkative: str, level: int
) -> None:
    reply = api.call("logs", way, listen_point=talkative, per_page=100, level=level)
    wanted = [one for one in api.records("logs", talkative) if one["level_number"] >= level]
    assert (reply.status, reply.json) == (200, wanted)


def test_a_missing_listen_point_is_400(api: Api, way: Way) -> None:
    error = assert_error(api.call("logs", way), "missing_param", status=400)
    assert "'listen_point'" in error["message"]


def test_an_unknown_app_is_404(api: Api, way: Way, listen_point: str) -> None:
    reply = api.call("logs", way, listen_point=listen_point)
    assert listen_point in assert_error(reply, "app_not_found", status=404)["message"]


def test_a_removed_app_is_unknown(api: Api, make_app: Callable[..., str]) -> None:
    listen_point = make_app()
    assert_empty(api.call("remove", listen_point=listen_point), 204)
    assert_error(api.call("logs", listen_point=listen_point), "app_not_found", status=404)


def test_hold_records_of_their_own_app_only(
    api: Api, make_app: Callable[..., str], listen_point: str
) -> None:
    mine, other = (make_app(listen_point=f"{listen_point}{end}") for end in ("", "-other"))
    api.build(mine)
    records = wait_until(lambda: api.records("logs", other), "the app's first record")
    assert {one["logger_name"] for one in records} == {other}
