"""Live answers of a real server: a build to its last line, a stop, a restart, a crowd."""

import base64
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.calls import Api, wait_until
from tests.conftest import RunningServer
from tests.live import Client

GATED = """
    listen_point: gated
    actions:
      - "echo one; while [ ! -e gate ]; do sleep 0.05; done; echo two"
    work_dir: {folder}
"""
QUICK = "listen_point: quick\nactions: [echo quick]"

Launch = Callable[..., RunningServer]
Follow = Callable[..., Client]


@pytest.fixture
def follow() -> Iterator[Follow]:
    """Follow something of a server: `follow(server, "&build=1")`."""
    with ExitStack() as opened:

        def follow(server: RunningServer, what: str = "", *headers: str) -> Client:
            port = int(server.url.rsplit(":", 1)[1])
            sock = opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
            login = base64.b64encode(":".join(server.login).encode()).decode()
            client = Client(sock)
            return client.ask(f"?action=follow{what}", f"Authorization: Basic {login}", *headers)

        yield follow


def count_sockets(server: RunningServer) -> int:
    found = 0
    for file in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found += str(file.readlink()).startswith("socket:")
    return found


def test_a_build_is_followed_live_to_its_last_line(
    launch: Launch, follow: Follow, tmp_path: Path
) -> None:
    server = launch()
    api = Api(server.url, server.login)
    api.create(GATED.format(folder=tmp_path))
    client = follow(server, f"&build={api.trigger('gated')}")
    client.wait_for(b'"message": "one"')
    assert b'"message": "two"' not in client.body
    (tmp_path / "gate").touch()
    assert b'"message": "two"' in client.read_all()
    assert client.is_whole
    assert b"\nevent: end\n" in client.body


def test_who_may_not_use_the_api_may_not_follow_either(launch: Launch, follow: Follow) -> None:
    server = launch()
    server.login = ("sloth", "wrong")
    assert b" 401 " in follow(server).head.splitlines()[0]


def test_a_stop_ends_what_is_followed_and_is_not_held_up(launch: Launch, follow: Follow) -> None:
    server = launch()
    api = Api(server.url, server.login)
    api.create(QUICK)
    followed = [follow(server) for _ in range(50)]
    number = api.trigger("quick")
    api.wait_for_build("quick", number)
    server.signal(signal.SIGTERM)
    for client in followed:
        assert b'"message": "quick"' in client.read_all()
        assert client.is_whole
    assert server.wait() == 0


def test_after_a_restart_a_follower_goes_on_where_it_was(launch: Launch, follow: Follow) -> None:
    server = launch()
    api = Api(server.url, server.login)
    api.create(QUICK)
    first = follow(server, "&listen_point=quick")
    api.wait_for_build("quick", api.trigger("quick"))
    server.signal(signal.SIGHUP)
    before = first.read_all()
    assert first.is_whole
    seen = [line for line in before.split(b"\n") if line.startswith(b"id: ")]
    second = api.trigger("quick")
    again = follow(server, "&listen_point=quick&after=0", f"Last-Event-ID: {seen[-1][4:].decode()}")
    again.wait_for(b'"message": "Complete (1/1)"')
    assert b'"build": %d' % second in again.body
    came = [line for line in bytes(again.body).split(b"\n") if line.startswith(b"id: ")]
    assert not set(seen) & set(came)


def test_a_crowd_follows_and_leaves_nothing_behind(launch: Launch, follow: Follow) -> None:
    server = launch(
        config="max_followers: 300\nmax_connections: 400\nmax_connections_per_address: 400"
    )
    api = Api(server.url, server.login)
    api.create(QUICK)
    before = count_sockets(server)
    followed = [follow(server, "&listen_point=quick") for _ in range(300)]
    assert b" 503 " in follow(server).head.splitlines()[0]
    assert count_sockets(server) >= before + 300
    api.trigger("quick")
    for client in followed:
        client.wait_for(b'"message": "quick"')
        client.sock.close()
    wait_until(lambda: count_sockets(server) <= before)
