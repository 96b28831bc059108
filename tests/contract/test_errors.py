"""Errors: always JSON in one shape, the framework's own included."""

from collections.abc import Callable

import pytest

from tests.contract.api import Api, Way, assert_error
from tests.contract.wire import exchange, exchange_bytes


@pytest.mark.parametrize(
    "path", ["/nothing", "/nothing/here", "/favicon.ico", "/index.html", "/-/nothing", "/%2e%2e"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_a_path_where_nothing_listens_is_404(api: Api, method: str, path: str) -> None:
    reply = exchange(api.url, method=method, target=path, headers=api.authorization)
    assert_error(reply, "path_not_found", status=404)


def test_a_path_below_an_app_is_404(api: Api, make_app: Callable[..., str]) -> None:
    reply = exchange(api.url, method="POST", target=f"/{make_app()}/below", body=b"{}")
    assert_error(reply, "path_not_found", status=404)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_another_method_than_get_and_post_is_405_and_does_nothing(
    api: Api, make_app: Callable[..., str], method: str
) -> None:
    listen_point = make_app()
    target = f"/?action=remove&listen_point={listen_point}"
    reply = exchange(api.url, method=method, target=target, headers=api.authorization)
    assert_error(reply, "method_refused", status=405)
    assert {one.strip() for one in reply.headers["Allow"].split(",")} >= {"GET", "POST"}
    assert api.info(listen_point)


@pytest.mark.parametrize(
    "message",
    [
        b"nonsense\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nConnection: close\r\nno colon here\r\n\r\n",
        b"GET / HTTX/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: many\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: -1\r\n\r\n",
    ],
    ids=["no HTTP", "no path", "no header", "no protocol", "no length", "negative length"],
)
def test_what_is_no_http_request_is_refused_in_json(api: Api, message: bytes) -> None:
    reply = exchange_bytes(api.url, message)
    assert 400 <= reply.status < 500, reply.text
    assert_error(reply, reply.json["error"]["code"], status=reply.status)


def test_headers_without_end_are_refused_in_json(api: Api) -> None:
    many = b"".join(b"X-Header-%d: %s\r\n" % (number, b"x" * 900) for number in range(100))
    reply = exchange_bytes(api.url, b"GET / HTTP/1.1\r\nHost: x\r\n" + many + b"\r\n")
    assert reply.status in (400, 413, 431), reply.text
    assert_error(reply, reply.json["error"]["code"], status=reply.status)


@pytest.mark.parametrize(
    "headers",
    [
        [("Sec-Fetch-Site", "cross-site")],
        [("Sec-Fetch-Site", "same-site")],
        [("Sec-Fetch-Site", "cross-site"), ("Origin", "http://evil.example")],
        [("Origin", "http://evil.example")],
        [("Origin", "null")],
    ],
    ids=lambda headers: ", ".join(value for _name, value in headers),
)
def test_a_change_that_another_sites_page_asks_for_is_403_and_not_done(
    api: Api, make_app: Callable[..., str], headers: list[tuple[str, str]]
) -> None:
    listen_point = make_app()
    for params in (
        {"action": "create", "config_string": f"listen_point: {listen_point}-more"},
        {"action": "trigger", "listen_point": listen_point},
        {"action": "remove", "listen_point": listen_point},
        {"action": "restart"},
        {"action": "stop"},
    ):
        for way in Way:
            reply = api.ask(params, way, headers=headers)
            assert_error(reply, "cross_site_refused", status=403)
    assert api.records("history", listen_point) == []


@pytest.mark.parametrize(
    "headers",
    [[("Sec-Fetch-Site", "same-origin")], [("Sec-Fetch-Site", "none")], []],
    ids=["own page", "address line", "no browser"],
)
def test_a_change_that_the_reader_asks_for_is_done(
    api: Api, make_app: Callable[..., str], headers: list[tuple[str, str]]
) -> None:
    params = {"action": "remove", "listen_point": make_app()}
    assert api.ask(params, Way.FORM, headers=headers).status == 204


def test_a_page_of_the_servers_own_origin_may_change_things(
    api: Api, make_app: Callable[..., str]
) -> None:
    params = {"action": "remove", "listen_point": make_app()}
    assert api.ask(params, Way.FORM, headers=[("Origin", api.url)]).status == 204


def test_the_documented_refusals_are_never_logged_as_a_fault_of_the_server(
    launch_own: Callable[..., Api],
) -> None:
    api = launch_own()
    assert api.process
    folder = api.process.folder
    (folder / "other.yml").write_text("listen_point: other")
    (folder / "broken.yml").write_text("[")
    assert api.create("mine").status == 201
    for params, status in (
        ({"action": "create", "config_string": "["}, 500),
        ({"action": "create", "config_string": "text"}, 500),
        ({"action": "create", "config_string": "actions: []"}, 500),
        ({"action": "create", "config_string": "listen_point: mine"}, 409),
        ({"action": "create"}, 400),
        ({"action": "bind", "listen_point": "mine", "config_file": f"{folder}/other.yml"}, 500),
        ({"action": "bind", "listen_point": "mine", "config_file": f"{folder}/broken.yml"}, 500),
        ({"action": "bind", "listen_point": "mine", "config_file": f"{folder}/none.yml"}, 404),
        ({"action": "logs", "listen_point": "none"}, 404),
        ({"action": "nonsense"}, 404),
    ):
        for way in Way:
            assert api.ask(params, way).status == status
    for log in (folder / "sloth_error.log", folder / "screen.txt"):
        text = log.read_text()
        assert "listens on" in text
        for fault in ("ERROR", "CRITICAL", "Traceback"):
            assert fault not in text
