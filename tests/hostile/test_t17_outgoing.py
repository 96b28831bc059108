"""T17: what we send goes to nobody inside of a network, by whatever name, form or detour."""

import socket
from collections.abc import Iterator

import pytest

from sloth_ci.outgoing import Outgoing, SendFailed, is_inside
from tests.sinks import open_sink

INSIDE = (
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "10.0.0.5",
    "172.16.3.4",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.1.1",
    "198.18.0.1",
    "192.0.0.8",
    "192.0.2.7",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.5",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::7f00:1",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
    "2001:db8::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
)
OUTSIDE = ("8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808")


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_is_known_as_one(address: str) -> None:
    assert is_inside(address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_an_address_of_the_public_internet_is_none(address: str) -> None:
    assert not is_inside(address)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Listens for connections that must not come."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def assert_nobody_came(listener: socket.socket) -> None:
    with pytest.raises(BlockingIOError):
        listener.accept()


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "LOCALHOST.", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1",
     "127.1", "0", "[::1]", "[::ffff:127.0.0.1]", "[::]", "169.254.169.254"],
)  # fmt: skip
def test_nothing_is_sent_inside_whatever_way_the_host_is_written(
    listener: socket.socket, host: str
) -> None:
    port = listener.getsockname()[1]

    with pytest.raises(SendFailed, match=r"inside of a network|is not known") as failed:
        Outgoing(timeout=5).send_json(f"http://{host}:{port}/", 1, headers={})

    assert failed.value.status is None
    assert_nobody_came(listener)


def test_one_inside_among_a_names_addresses_refuses_it(listener: socket.socket) -> None:
    outgoing = Outgoing(look_up=lambda _host, _port: ["8.8.8.8", "127.0.0.1"])

    with pytest.raises(SendFailed, match=r"hooks\.example \(127\.0\.0\.1\) is an address inside"):
        outgoing.send_json(f"http://hooks.example:{listener.getsockname()[1]}/", 1, headers={})
    assert_nobody_came(listener)


def test_a_name_is_looked_up_once_so_that_it_cant_change_behind_the_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers, dialled = [["8.8.8.8"], ["127.0.0.1"]], []

    def dial(address: tuple[str, int], *_values: object, **_named: object) -> socket.socket:
        dialled.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr("urllib3.util.connection.create_connection", dial)
    outgoing = Outgoing(look_up=lambda _host, _port: answers.pop(0))

    with pytest.raises(SendFailed, match="takes no connection"):
        outgoing.send_json("http://rebound.example/", 1, headers={})
    assert dialled == ["8.8.8.8"]
    assert len(answers) == 1


def test_a_redirect_to_somebody_inside_leads_nowhere(listener: socket.socket) -> None:
    with open_sink(answers=[307]) as sink:
        sink.headers = {"Location": f"http://127.0.0.1:{listener.getsockname()[1]}/"}

        with pytest.raises(SendFailed, match="redirects are not followed"):
            Outgoing(private=True).send_json(sink.url, 1, headers={})
    assert_nobody_came(listener)


def test_no_proxy_of_the_environment_gets_between(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = f"http://127.0.0.1:{listener.getsockname()[1]}"
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy)
    with open_sink() as sink:
        Outgoing(private=True).send_json(sink.url, 1, headers={})

        assert len(sink.came) == 1
    assert_nobody_came(listener)
