"""The client: a refusal is the error that the server raised, and nothing is asked twice."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import pytest

from sloth_ci.client import BadUrl, Client
from sloth_ci.errors import (
    AppNotFound,
    BadParam,
    ListenPointTaken,
    LoginRequired,
    MissingParam,
    ServerUnreachable,
    SlothError,
    UnexpectedAnswer,
)
from tests.conftest import PATIENCE, RunningServer


@dataclass
class Stranger:
    """Something on a port that gives each connection the next of its replies, and hangs up."""

    url: str
    asked: list[str] = field(default_factory=list)


@contextmanager
def stranger(*replies: bytes) -> Iterator[Stranger]:
    """A server that is none of ours."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = Stranger(f"http://127.0.0.1:{listener.getsockname()[1]}")

        def serve() -> None:
            for reply in replies:
                connection, _address = listener.accept()
                with connection:
                    one.asked.append(_read_request(connection))
                    connection.sendall(reply)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield one
        thread.join(PATIENCE)
        assert not thread.is_alive(), "some replies were never asked for"


def _read_request(connection: socket.socket) -> str:
    text = b""
    while b"\r\n\r\n" not in text:
        text += connection.recv(65_536)
    head, _, body = text.partition(b"\r\n\r\n")
    (length,) = (
        int(line.split(b":")[1])
        for line in head.splitlines()
        if line.lower().startswith(b"content-length:")
    )
    while len(body) < length:
        body += connection.recv(65_536)
    return (head + b"\r\n\r\n" + body).decode()


def reply(status: str, body: str = "", kind: str = "application/json", *more: str) -> bytes:
    """An HTTP answer after which the connection ends."""
    heads = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*heads, *more, "Connection: close", "", body]).encode()


@pytest.fixture
def client(shared_server: RunningServer) -> Client:
    return Client(shared_server.url, *shared_server.login)


def test_values_come_as_the_api_gives_them(client: Client) -> None:
    assert client.call("create", config_string="{listen_point: client-a, actions: []}") == (
        "client-a"
    )
    assert client.call("create", config_string="{listen_point: client-b, actions: []}") == (
        "client-b"
    )

    info = client.call("info", listen_points=["client-a", "client-b"])

    assert [one["listen_point"] for one in info] == ["client-a", "client-b"]
    assert client.call("logs", listen_point="client-a", per_page=1, to_page=None)
    assert client.call("remove", listen_point="client-a") is None


def test_trigger_gives_the_builds_id(client: Client) -> None:
    client.call("create", config_string="{listen_point: client-c, actions: ['echo {name}']}")

    first = client.trigger("client-c", {"name": "ü & =", "params": "x", "self": "y"})

    (record,) = client.call("history", listen_point="client-c", to_page=1, per_page=1)
    assert record["build"] == first
    assert client.trigger("client-c", {}) == first + 1


@pytest.mark.parametrize(
    ("action", "params", "error"),
    [
        ("logs", {"listen_point": "client-none"}, AppNotFound),
        ("logs", {"listen_point": "client-none", "level": "x"}, BadParam),
        ("create", {}, MissingParam),
    ],
    ids=["unknown app", "bad param", "missing param"],
)
def test_a_refusal_is_the_error_that_the_server_raised(
    client: Client, action: str, params: dict[str, str], error: type[SlothError]
) -> None:
    with pytest.raises(error) as raised:
        client.call(action, **params)

    assert raised.value.message
    assert raised.value.details


def test_a_taken_listen_point_names_it(client: Client) -> None:
    text = "{listen_point: client-d, actions: []}"
    client.call("create", config_string=text)

    with pytest.raises(ListenPointTaken, match="'client-d' is taken") as raised:
        client.call("create", config_string=text)

    assert raised.value.details == {"listen_point": "client-d"}


def test_a_wrong_login_is_an_error_of_its_own(shared_server: RunningServer) -> None:
    for login in (("sloth", "wrong"), ("", "")):
        with pytest.raises(LoginRequired):
            Client(shared_server.url, *login).call("list")


def test_the_login_goes_as_utf_8_basic_auth_and_in_no_url() -> None:
    with stranger(reply("200 OK", '"3"')) as server:
        client = Client(server.url.replace("://", "://zo%C3%AB:p%3A%40ss@"))
        assert client.call("version") == "3"

    assert client.url == server.url
    assert "Authorization: Basic em/DqzpwOkBzcw==" in server.asked[0]


def test_params_go_as_a_form_and_none_is_left_out() -> None:
    with stranger(reply("200 OK", "[]")) as server:
        Client(server.url).call("info", listen_points=["a b", "ü"], level=20, to_page=None)

    head, _, body = server.asked[0].partition("\r\n\r\n")
    assert head.startswith("POST / HTTP/1.1")
    assert parse_qsl(body) == [
        ("action", "info"),
        ("listen_points", "a b"),
        ("listen_points", "ü"),
        ("level", "20"),
    ]


def test_a_server_may_live_below_a_path_and_by_another_name() -> None:
    with stranger(reply("200 OK", "[]")) as server:
        Client(f"{server.url}/ci/", host="ci.example.com").call("list")

    assert server.asked[0].startswith("POST /ci/ HTTP/1.1")
    assert "Host: ci.example.com" in server.asked[0]


def test_nobody_there_is_told_with_the_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]

    with pytest.raises(ServerUnreachable, match=rf"127\.0\.0\.1:{port}: connection refused\."):
        Client(f"http://127.0.0.1:{port}").call("list")


def test_an_unknown_host_is_told_as_such() -> None:
    with pytest.raises(ServerUnreachable, match="the host name is not known"):
        Client("http://nowhere.invalid:8080").call("list")


def test_a_silent_server_is_left_after_the_timeout() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(ServerUnreachable, match=r"nothing came for 0\.05 s"),
    ):
        Client(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.05).call("list")


@pytest.mark.parametrize(
    "answer",
    [
        reply("200 OK", "<html>hello</html>", "text/html"),
        reply("404 Not Found", "<html>nothing</html>", "text/html"),
        reply("500 Oh", '"Action not found"'),
        reply("500 Oh", '{"error": "text"}'),
        reply("502 Bad Gateway"),
        reply("302 Found", "", "text/html", "Location: http://127.0.0.1:1/"),
        b"SSH-2.0-OpenSSH_9.9\r\n",
    ],
    ids=[
        *("a page", "a page not found", "bare JSON", "other JSON", "an empty error", "a redirect"),
        "no HTTP at all",
    ],
)
def test_another_kind_of_server_is_told_as_such(answer: bytes) -> None:
    with (
        stranger(answer) as server,
        pytest.raises((UnexpectedAnswer, ServerUnreachable), match="127"),
    ):
        Client(server.url).call("stop")

    assert len(server.asked) == 1


def test_what_only_reads_is_asked_again_when_the_connection_breaks() -> None:
    with stranger(b"", reply("200 OK", '["web"]')) as server:
        assert Client(server.url).call("list") == ["web"]

    assert len(server.asked) == 2


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.trigger("web", {}),
        lambda client: client.call("create", config_string="x"),
        lambda client: client.call("stop"),
    ],
    ids=["trigger", "create", "stop"],
)
def test_what_changes_something_is_asked_once(ask: Callable[[Client], object]) -> None:
    with (
        stranger(b"") as server,
        pytest.raises(ServerUnreachable, match="the connection broke before an answer"),
    ):
        ask(Client(server.url))

    assert len(server.asked) == 1


def test_an_answer_without_a_build_id_is_unexpected() -> None:
    with stranger(reply("202 Accepted")) as server, pytest.raises(UnexpectedAnswer):
        Client(server.url).trigger("web", {})


def test_an_error_of_a_later_server_is_still_an_error() -> None:
    error = {"code": "brand_new", "message": "It is new.", "details": {"how": "very"}}
    with (
        stranger(reply("418 Teapot", json.dumps({"error": error}))) as server,
        pytest.raises(SlothError, match=r"It is new\.") as raised,
    ):
        Client(server.url).call("list")

    assert raised.value.details == {"how": "very"}


@pytest.mark.parametrize(
    "url",
    [
        *("", "localhost:8080", "ftp://localhost", "http://", "http://localhost:0"),
        *("http://localhost:99999", "http://[::1", "http://localhost/?a=b", "http://localhost/#a"),
    ],
)
def test_a_bad_url_is_refused(url: str) -> None:
    with pytest.raises(BadUrl, match=r"must be a URL such as http://127\.0\.0\.1:8080"):
        Client(url)


def test_a_connection_is_kept_and_counted(client: Client) -> None:
    assert client.connections == 0
    client.call("version")
    client.call("version")
    assert client.connections == 1
