"""The numbers that `logs` and `history` take: what is no page and no level is refused."""

from collections.abc import Callable

import pytest

from tests.contract.api import Api, Way, assert_error

PAGED = pytest.mark.parametrize("action", ["logs", "history"])


@PAGED
@pytest.mark.parametrize("name", ["from_page", "to_page", "per_page", "level"])
@pytest.mark.parametrize("value", ["0", "-1", "1.5", "abc", "", " ", "1e3", "٣", "1" * 30])
def test_what_is_no_number_from_1_is_400_and_named(
    api: Api, make_app: Callable[..., str], action: str, name: str, value: str
) -> None:
    params = {"action": action, "listen_point": make_app(), name: value}
    for way in Way:
        error = assert_error(api.ask(params, way), "bad_param", status=400)
        assert f"'{name}'" in error["message"]
        assert value in error["message"]


@PAGED
def test_more_than_10000_records_in_all_are_400(
    api: Api, way: Way, make_app: Callable[..., str], action: str
) -> None:
    listen_point = make_app()
    for pages in (
        {"per_page": 10_001},
        {"to_page": 10_001, "per_page": 1},
        {"from_page": 3, "to_page": 103, "per_page": 100},
    ):
        reply = api.call(action, way, listen_point=listen_point, **pages)
        assert "10000" in assert_error(reply, "bad_param", status=400)["message"]


@PAGED
def test_10000_records_are_not_too_many(
    api: Api, way: Way, make_app: Callable[..., str], action: str
) -> None:
    listen_point = make_app()
    for pages in (
        {"per_page": 10_000},
        {"to_page": 10_000, "per_page": 1},
        {"from_page": 3, "to_page": 102, "per_page": 100},
    ):
        assert api.call(action, way, listen_point=listen_point, **pages).status == 200


@PAGED
def test_a_last_page_before_the_first_is_400(
    api: Api, way: Way, make_app: Callable[..., str], action: str
) -> None:
    reply = api.call(action, way, listen_point=make_app(), from_page=3, to_page=2)
    assert "'to_page'" in assert_error(reply, "bad_param", status=400)["message"]
