"""From WSGI to the API and back, without a socket."""

import base64
import json
import logging
from io import BytesIO
from typing import Any

import pytest
from argon2 import PasswordHasher

from sloth_ci.config import ServerConfig, parse_server
from sloth_ci.errors import BadBody, CrossSiteRefused, HostRefused, LoginRequired, SlothError
from sloth_ci.request import Reply, Request
from sloth_ci.web.login import LoginCheck
from sloth_ci.web.origin import check_host, check_origin
from sloth_ci.web.parameters import read_parameters
from sloth_ci.web.wsgi import answer, read_body, read_head


def configured(tmp_path: Any, text: str) -> ServerConfig:
    return parse_server(text, base_dir=tmp_path)


def environ(**values: Any) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/",
        "REMOTE_ADDR": "192.0.2.1",
        "wsgi.input": BytesIO(),
        **values,
    }


def request(query: str = "", body: bytes = b"", **headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("POST", "/", query, named, "192.0.2.1", body)


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


MULTIPART = (
    b'--X\r\nContent-Disposition: form-data; name="action"\r\n\r\ncreate\r\n'
    b'--X\r\nContent-Disposition: form-data; name="t"; filename="a"\r\n\r\n'
    b"\xc3\xa9\r\n--X--\r\n"
)


@pytest.mark.parametrize(
    ("body", "kind", "found"),
    [
        (b"action=info&a=1&a=", "application/x-www-form-urlencoded", [("a", "1"), ("a", "")]),
        (b"action=info&a=%C3%A9+b", "", [("a", "\u00e9 b")]),
        (
            b'{"action": "info", "a": 5, "b": true, "c": ["x", 1.5]}',
            "application/json; charset=utf-8",
            [("a", "5"), ("b", "true"), ("c", "x"), ("c", "1.5")],
        ),
        (MULTIPART, "multipart/form-data; boundary=X", [("t", "\u00e9")]),
    ],
    ids=["form", "form by default", "JSON", "multipart"],
)
def test_parameters_of_body_and_query_add_up(
    body: bytes, kind: str, found: list[tuple[str, str]]
) -> None:
    read = read_parameters(request("q=%2F&e=", body, content_type=kind))
    assert read[:2] == [("q", "/"), ("e", "")]
    assert read[3:] == found


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"\xff=1", "application/x-www-form-urlencoded"),
        (b"a=%FF", "application/x-www-form-urlencoded"),
        (b"&".join([b"a=1"] * 2000), "application/x-www-form-urlencoded"),
        (b"[1]", "application/json"),
        (b"{", "application/json"),
        (b"\xff", "application/json"),
        (b'{"a": NaN}', "application/json"),
        (b'{"a": null}', "application/json"),
        (b'{"a": {"b": 1}}', "application/json"),
        (b"[" * 200_000, "application/json"),
        (b'{"a":' * 200_000, "application/json"),
        (b"nothing", "multipart/form-data; boundary=X"),
        (MULTIPART[:-20], "multipart/form-data; boundary=X"),
        (MULTIPART, "multipart/form-data"),
        (b"<a/>", "text/xml"),
    ],
)
def test_a_body_that_is_not_what_it_says_is_refused(body: bytes, kind: str) -> None:
    with pytest.raises(BadBody):
        read_parameters(request("", body, content_type=kind))


@pytest.mark.parametrize("query", ["a=%FF", "&".join(["a=1"] * 2000)])
def test_a_query_that_is_not_utf8_or_endless_is_refused(query: str) -> None:
    with pytest.raises(BadBody):
        read_parameters(request(query))


HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("right")
LOGINS = f"api_auth: [{{login: ann, password: right}}, {{login: bob, password: '{HASH}'}}]"


@pytest.mark.parametrize("header", [basic("ann", "right"), basic("bob", "right")])
def test_a_right_login_comes_in_again_and_again(tmp_path: Any, header: str) -> None:
    check = LoginCheck(configured(tmp_path, LOGINS).api_auth)
    for _ in range(3):
        check.check(request(authorization=header))


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic !!!",
        "Basic \u00ff",
        "Bearer " + basic("ann", "right")[6:],
        basic("ann", "wrong"),
        basic("bob", "wrong"),
        basic("bob", HASH),
        basic("eve", "right"),
        basic("", ""),
        basic("ann", "right\0"),
    ],
)
def test_a_wrong_login_stays_out(tmp_path: Any, header: str) -> None:
    check = LoginCheck(configured(tmp_path, LOGINS).api_auth)
    check.check(request(authorization=basic("ann", "right")))
    with pytest.raises(LoginRequired):
        check.check(request(authorization=header))


def test_without_logins_everybody_comes_in(tmp_path: Any) -> None:
    LoginCheck(configured(tmp_path, "port: 1").api_auth).check(request())


def test_a_hash_that_is_none_lets_nobody_in(tmp_path: Any) -> None:
    config = configured(tmp_path, "api_auth: {login: a, password: $argon2id$broken}")
    with pytest.raises(LoginRequired):
        LoginCheck(config.api_auth).check(request(authorization=basic("a", "x")))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec_fetch_site": "same-origin", "origin": "https://ci.example"},
        {"sec_fetch_site": "none"},
        {"origin": "https://ci.example:8080", "host": "CI.example:8080"},
    ],
)
def test_the_servers_own_pages_and_scripts_may_change_state(headers: dict[str, str]) -> None:
    check_origin(request(**headers), "stop")


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site", "origin": "https://evil.ci.example"},
        {"origin": "https://evil.example", "host": "ci.example"},
        {"origin": "null", "host": "ci.example"},
        {"origin": "http://ci.example:81", "host": "ci.example"},
    ],
)
def test_pages_of_other_sites_may_not(headers: dict[str, str]) -> None:
    with pytest.raises(CrossSiteRefused):
        check_origin(request(**headers), "stop")


@pytest.mark.parametrize("host", ["ci.example", "CI.EXAMPLE:8080"])
def test_a_known_host_name_is_answered(host: str) -> None:
    check_host(request(host=host), ("ci.example",))
    check_host(request(host=host), ())


@pytest.mark.parametrize("host", ["", "evil.example", "ci.example.evil.example", "[::1", "a@b"])
def test_an_unknown_host_name_is_refused_where_there_is_a_list(host: str) -> None:
    with pytest.raises(HostRefused):
        check_host(request(host=host), ("ci.example",))


@pytest.mark.parametrize(
    ("sender", "forwarded", "address"),
    [
        ("192.0.2.9", "203.0.113.5", "192.0.2.9"),
        ("10.0.0.1", "203.0.113.5", "203.0.113.5"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.5, 10.0.0.2", "203.0.113.5"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "1.1.1.1, nonsense", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.3", "10.0.0.3"),
        ("10.0.0.1", "203.0.113.5" + ", 10.0.0.2" * 49, "203.0.113.5"),
        ("10.0.0.1", "203.0.113.5" + ", 10.0.0.2" * 50, "10.0.0.2"),
    ],
)
def test_only_trusted_proxies_are_believed_about_the_sender(
    tmp_path: Any, sender: str, forwarded: str, address: str
) -> None:
    config = configured(tmp_path, "trusted_proxies: [10.0.0.0/8]")
    head = read_head(environ(REMOTE_ADDR=sender, HTTP_X_FORWARDED_FOR=forwarded), config)
    assert head.address == address


@pytest.mark.parametrize(
    ("length", "sent", "code"),
    [
        ("5", b"12345", None),
        ("", b"", None),
        ("11", b"12345678901", "body_too_large"),
        ("", b"12345678901", "body_too_large"),
        ("7", b"123", "bad_body"),
        ("-1", b"", "bad_request"),
        ("x", b"", "bad_request"),
    ],
)
def test_a_body_is_read_whole_within_its_limit(length: str, sent: bytes, code: str | None) -> None:
    given = environ(CONTENT_LENGTH=length, **{"wsgi.input": BytesIO(sent)})
    if code is None:
        assert read_body(given, limit=10) == sent
        return
    with pytest.raises(SlothError) as refused:
        read_body(given, limit=10)
    assert refused.value.code == code


def test_a_fault_is_answered_in_json_without_a_word_of_it(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("sloth_ci"), "propagate", True)

    def fault(_environ: Any) -> Reply:
        raise ZeroDivisionError("hush")

    started: list[Any] = []
    body = b"".join(answer(environ(), lambda *head: started.append(head), fault))
    assert started[0][0] == "500 Internal Server Error"
    assert json.loads(body)["error"]["code"] == "server_error"
    assert b"hush" not in body
    assert "ZeroDivisionError" in caplog.text
