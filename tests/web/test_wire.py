"""Connections and their deadlines, with a server in this process that has little patience."""

import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from sloth_ci.request import Reply
from sloth_ci.web import inbox, seats, vestibule
from sloth_ci.web.crowd import Crowd, one_sender
from sloth_ci.web.tls import open_tls
from sloth_ci.web.wsgi import answer, read_body
from tests.calls import wait_until
from tests.web.serving import Serving

TLS = Path(__file__).parent / "tls"
CERTIFICATE, KEY = TLS / "certificate.pem", TLS / "key.pem"
LIMIT = 1_000_000

Connect = Callable[[], socket.socket]


class Endpoint:
    """Answers with the size of the body; waits before that when told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_answer = Event()
        self.may_answer.set()
        self.size = 10

    def __call__(self, environ: Any, start_response: Any) -> Any:
        self.asked += 1
        self.may_answer.wait(20)
        return answer(environ, start_response, self._respond)

    def _respond(self, environ: Any) -> Reply:
        size = len(read_body(environ, limit=LIMIT))
        return Reply(200, str(size).encode().ljust(self.size))


class Running(Serving):
    """A server whose answers the test holds up."""

    def __init__(self, config: str, tls: ssl.SSLContext | None) -> None:
        self.endpoint = Endpoint()
        super().__init__(
            self.endpoint, f"max_request: {LIMIT}\nmax_delivery: 10\n{config}", tls=tls
        )

    def ask(self, message: bytes) -> bytes:
        """Send that on a connection of its own, and give all that comes."""
        connection = self.connect()
        connection.sendall(message)
        return read_all(connection)

    def close(self) -> None:
        self.endpoint.may_answer.set()
        super().close()


@pytest.fixture
def run() -> Iterator[Callable[..., Running]]:
    """Run servers that end with the test."""
    started: list[Running] = []

    def start(config: str = "", *, tls: ssl.SSLContext | None = None) -> Running:
        started.append(Running(config, tls))
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience of tenths of seconds."""
    monkeypatch.setattr(inbox, "GRACE", 0.3)
    monkeypatch.setattr(vestibule, "IDLE", 0.2)
    monkeypatch.setattr(vestibule, "TICK", 0.05)
    monkeypatch.setattr(vestibule, "FAREWELL", 0.3)
    monkeypatch.setattr(seats, "PATIENCE", 0.2)


def read_all(connection: socket.socket) -> bytes:
    pieces = []
    try:
        while piece := connection.recv(65_536):
            pieces.append(piece)
    except ConnectionResetError:
        pass
    return b"".join(pieces)


def post(length: int, *lines: str) -> bytes:
    head = ["POST / HTTP/1.1", "Host: x", f"Content-Length: {length}", *lines, "", ""]
    return "\r\n".join(head).encode()


GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "start",
    [
        b"G",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: ",
        post(100) + b"x",
        post(500_000) + b"x" * 10,
        post(500_000) + b"x" * 100_000,
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n",
    ],
    ids=["a byte", "half a head", "half a body", "a bit", "half a large body", "half a chunk"],
)
@pytest.mark.usefixtures("hurried")
def test_what_does_not_arrive_in_time_is_answered_408(
    run: Callable[..., Running], start: bytes
) -> None:
    told = run().ask(start)
    assert told.startswith(b"HTTP/1.1 408 ")
    assert b'"request_timeout"' in told


@pytest.mark.usefixtures("hurried")
def test_a_steady_drip_does_not_gain_time(run: Callable[..., Running]) -> None:
    connection = run().connect()
    connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX: ")
    told = Event()

    def drip() -> None:
        while not told.wait(0.02):
            try:
                connection.sendall(b"x")
            except OSError:
                return

    thread = Thread(target=drip)
    thread.start()
    try:
        assert read_all(connection).startswith(b"HTTP/1.1 408 ")
    finally:
        told.set()
        thread.join()


@pytest.mark.usefixtures("hurried")
def test_a_connection_that_says_nothing_is_closed_without_a_word(
    run: Callable[..., Running],
) -> None:
    server = run()
    assert server.ask(b"") == b""
    idle = server.connect()
    idle.sendall(GET)
    assert read_all(idle).count(b"HTTP/1.1 200") == 1


def test_the_time_for_one_request_does_not_count_for_the_next(run: Callable[..., Running]) -> None:
    connection = run().connect()
    for size in (0, 10, 70_000, 900_000, 1):
        connection.sendall(post(size) + b"x" * size)
        reply = b""
        while not reply.endswith(str(size).encode().ljust(10)):
            reply += connection.recv(65_536)
        assert reply.startswith(b"HTTP/1.1 200 ")


def test_a_body_that_nobody_takes_ends_its_connection(run: Callable[..., Running]) -> None:
    told = run().ask(post(LIMIT + 1) + b"x" * 100)
    assert told.startswith(b"HTTP/1.1 413 ")
    assert b"Connection: close" in told


def test_large_bodies_wait_in_line_and_hold_nobody_up(run: Callable[..., Running]) -> None:
    server = run()
    large = post(500_000, "Connection: close")
    slow = [server.connect() for _ in range(3 * seats.SEATS)]
    for connection in slow:
        connection.sendall(large + b"x" * 70_000)
    wait_until(lambda: server.endpoint.asked >= seats.SEATS)
    assert server.ask(post(5, "Connection: close") + b"small").endswith(b"\r\n5         ")
    assert server.endpoint.asked == seats.SEATS + 1
    for connection in slow:
        connection.sendall(b"x" * 430_000)
    for connection in slow:
        assert read_all(connection).endswith(b"\r\n500000    ")


@pytest.mark.usefixtures("hurried")
def test_a_large_body_does_not_wait_in_line_for_ever(
    run: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "GRACE", 20)
    server = run()
    server.endpoint.may_answer.clear()
    for _ in range(seats.SEATS):
        server.connect().sendall(post(100_000) + b"x" * 70_000)
    wait_until(lambda: server.endpoint.asked == seats.SEATS)
    assert server.ask(post(100_000) + b"x" * 70_000).startswith(b"HTTP/1.1 503 ")


def test_a_reader_that_does_not_read_does_not_keep_the_server_from_stopping(
    run: Callable[..., Running],
) -> None:
    server = run()
    server.endpoint.size = 50_000_000
    for _ in range(3):
        server.connect().sendall(GET)
    wait_until(lambda: server.endpoint.asked == 3)


def test_requests_that_are_arriving_are_answered_before_the_server_stops(
    run: Callable[..., Running],
) -> None:
    server = run()
    connection = server.connect()
    connection.sendall(post(5, "Connection: close") + b"ab")
    server.ask(b"nonsense\r\n\r\n")
    stopping = Thread(target=server.server.stop)
    stopping.start()
    wait_until(lambda: not server.server.ready)
    connection.sendall(b"cde")
    assert read_all(connection).endswith(b"\r\n5         ")
    stopping.join()


# TLS


def trusting(**options: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(CERTIFICATE))
    for name, value in options.items():
        setattr(context, name, value)
    return context


def test_https_is_spoken_with_the_certificate_of_the_config(run: Callable[..., Running]) -> None:
    server = run(tls=open_tls(CERTIFICATE, KEY))
    with trusting().wrap_socket(server.connect(), server_hostname="ci.example.com") as secure:
        assert secure.version() in ("TLSv1.2", "TLSv1.3")
        for size in (5, 60_000, 900_000):
            secure.sendall(post(size) + b"x" * size)
            reply = b""
            while not reply.endswith(str(size).encode().ljust(10)):
                reply += secure.recv(65_536)
    for _ in range(30):
        with trusting().wrap_socket(server.connect(), server_hostname="localhost") as secure:
            secure.sendall(GET + GET + b"GET / HTTP/1.0\r\n\r\n")
            assert read_all(secure).count(b"HTTP/1.1 200 OK") == 3


def test_versions_of_tls_before_1_2_are_refused(run: Callable[..., Running]) -> None:
    server = run(tls=open_tls(CERTIFICATE, KEY))
    context = trusting()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError, match="VERSION"):
        context.wrap_socket(server.connect(), server_hostname="localhost")


def test_plain_http_on_the_https_port_is_told_so(run: Callable[..., Running]) -> None:
    told = run(tls=open_tls(CERTIFICATE, KEY)).ask(GET)
    assert told.startswith(b"HTTP/1.1 400 ")
    assert b"https://" in told


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("start", [b"", b"\x16\x03\x01", b"\x16\x03\x01\x02\x00\x01"])
def test_a_handshake_that_does_not_go_on_holds_nobody_up(
    run: Callable[..., Running], monkeypatch: pytest.MonkeyPatch, start: bytes
) -> None:
    monkeypatch.setattr("sloth_ci.web.wire.GRACE", 0.5)
    server = run(tls=open_tls(CERTIFICATE, KEY))
    slow = [server.connect() for _ in range(40)]
    for connection in slow:
        connection.sendall(start)
    with trusting().wrap_socket(server.connect(), server_hostname="localhost") as secure:
        secure.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert read_all(secure).startswith(b"HTTP/1.1 200 ")
    assert [read_all(connection) for connection in slow] == [b""] * 40


# Who counts as one


@pytest.mark.parametrize(
    ("address", "sender"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8:0:0:ffff::1", "2001:db8::/64"),
        ("nonsense", "nonsense"),
    ],
)
def test_an_ipv6_network_counts_as_one_sender(address: str, sender: str) -> None:
    assert one_sender(address) == sender


def test_a_crowd_counts_those_who_came_and_those_who_left() -> None:
    crowd = Crowd(total=5, per_address=2)
    assert [crowd.admit("a") for _ in range(3)] == [True, True, False]
    assert [crowd.admit("b"), crowd.admit("b"), crowd.admit("c")] == [True, True, True]
    assert not crowd.admit("d")
    crowd.leave("a")
    assert crowd.admit("a")
    assert not crowd.admit("a")
