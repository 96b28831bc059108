"""`remove`: take an app away."""

from collections.abc import Callable

from tests.contract.api import Api, Way, assert_empty, assert_error


def test_answers_204_with_empty_content(api: Api, way: Way, make_app: Callable[..., str]) -> None:
    listen_point = make_app()
    assert_empty(api.call("remove", way, listen_point=listen_point), 204)
    reply = api.call("info", listen_points=listen_point)
    assert_error(reply, "app_not_found", status=404)


def test_a_missing_listen_point_is_400(api: Api, way: Way) -> None:
    error = assert_error(api.call("remove", way), "missing_param", status=400)
    assert "'listen_point'" in error["message"]


def test_no_app_on_the_listen_point_is_404(api: Api, way: Way, listen_point: str) -> None:
    reply = api.call("remove", way, listen_point=listen_point)
    assert listen_point in assert_error(reply, "app_not_found", status=404)["message"]


def test_an_app_can_be_removed_once(api: Api, make_app: Callable[..., str]) -> None:
    listen_point = make_app()
    assert_empty(api.call("remove", listen_point=listen_point), 204)
    reply = api.call("remove", listen_point=listen_point)
    assert_error(reply, "app_not_found", status=404)


def test_the_listen_point_is_free_again(api: Api, make_app: Callable[..., str]) -> None:
    listen_point = make_app("actions:\n  - echo old\n")
    assert_empty(api.call("remove", listen_point=listen_point), 204)
    assert api.create(listen_point, "actions:\n  - echo new\n").status == 201
    assert api.build(listen_point)["message"] == "Complete (1/1)"
    assert api.printed(listen_point) == ["new"]
