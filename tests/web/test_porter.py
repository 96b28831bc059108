"""The porter, with desks that the test controls: nobody waits for anybody else."""

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from threading import Thread
from time import monotonic
from typing import Any

import pytest

from sloth_ci.errors import BadBody, DatabaseUnavailable
from sloth_ci.request import Reply, Request
from sloth_ci.store import Pending
from sloth_ci.store.backlog import Waiting
from sloth_ci.web import vestibule
from sloth_ci.web.head import Head
from sloth_ci.web.wsgi import answer, read_body
from tests.calls import wait_until
from tests.web.serving import PATIENCE, Serving


class Desk:
    """Takes requests, which are done when the test says so."""

    def __init__(self) -> None:
        self.is_prompt = True
        self.declines = False
        self.patience: float = PATIENCE
        self.waiting: list[Waiting] = []
        self.requests: list[Request] = []
        self.bodies: list[bytes] = []
        self.raises: Exception | None = None
        self.reply = Reply(202, b"safe", {"Content-Type": "text/plain"})

    def serves(self, head: Head, arrived: bytearray) -> bool:
        return self.is_prompt and head.length <= min(1000, len(arrived))

    def take(self, request: Request, body: bytes) -> Pending[Reply] | None:
        if self.raises:
            raise self.raises
        if self.declines:
            return None
        self.requests.append(request)
        self.bodies.append(body)
        waiting = Waiting(lambda _db: None, monotonic() + self.patience)
        self.waiting.append(waiting)
        return Pending(waiting, partial(self._settle, waiting))

    def let_go(self, number: int = 0) -> None:
        """Say that the builds of one are safe."""
        wait_until(lambda: len(self.waiting) > number)
        self.waiting[number].outcome.set_result(None)

    def _settle(self, waiting: Waiting) -> Reply:
        try:
            waiting.outcome.result(max(0.0, waiting.until - monotonic()))
        except TimeoutError as error:
            waiting.outcome.cancel()
            raise DatabaseUnavailable(reason="it is busy") from error
        return self.reply


class Running(Serving):
    """A server with a desk at /web and the usual way everywhere."""

    def __init__(self, desk: Desk) -> None:
        desks: dict[str, Desk] = {"/web": desk, "/web/": desk}
        super().__init__(self._answer, "max_delivery: 1000", find_desk=desks.get)

    def _answer(self, environ: Any, start_response: Any) -> Any:
        return answer(environ, start_response, self._respond)

    def _respond(self, environ: Any) -> Reply:
        return Reply(200, b"the usual way " + read_body(environ, limit=10_000))


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def running(desk: Desk) -> Iterator[Running]:
    running = Running(desk)
    yield running
    for waiting in desk.waiting:
        if not waiting.outcome.done():
            waiting.outcome.set_result(None)
    running.close()


def push(body: bytes = b"news", *, path: str = "/web", more: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


def read_answer(connection: socket.socket) -> tuple[str, bytes]:
    """One answer: its head and its body."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(1)
    head = received.decode("latin-1")
    length = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
    body = b""
    while len(body) < length:
        body += connection.recv(length - len(body))
    return head, body


def ask(running: Running, message: bytes) -> tuple[str, bytes]:
    connection = running.connect()
    connection.sendall(message)
    return read_answer(connection)


def test_a_delivery_is_answered_when_its_builds_are_safe(running: Running, desk: Desk) -> None:
    connection = running.connect()
    connection.sendall(push(b"news", path="/web/?a=b", more="X-Thing: one\r\n"))
    wait_until(lambda: bool(desk.waiting))
    connection.setblocking(False)
    with pytest.raises(BlockingIOError):
        connection.recv(1)
    connection.settimeout(PATIENCE)
    desk.let_go()
    head, body = read_answer(connection)
    assert head.startswith("HTTP/1.1 202 Accepted\r\n")
    assert body == b"safe"
    for line in ("Content-Type: text/plain", "Cache-Control: no-store", "Server: Sloth CI"):
        assert f"\r\n{line}\r\n" in head
    assert "\r\nDate: " in head
    (request,) = desk.requests
    assert (request.method, request.path, request.query) == ("POST", "/web/", "a=b")
    assert (request.header("x-thing"), request.address) == ("one", "127.0.0.1")
    assert desk.bodies == [b"news"]


def test_a_connection_stays_for_the_next_delivery(running: Running, desk: Desk) -> None:
    connection = running.connect()
    for number in range(3):
        connection.sendall(push(str(number).encode()))
        desk.let_go(number)
        assert read_answer(connection)[1] == b"safe"
    assert desk.bodies == [b"0", b"1", b"2"]


def test_requests_that_come_in_one_piece_are_answered_one_by_one(
    running: Running, desk: Desk
) -> None:
    connection = running.connect()
    connection.sendall(push(b"one") + push(b"two"))
    for number in range(2):
        desk.let_go(number)
        assert read_answer(connection)[1] == b"safe"
    assert desk.bodies == [b"one", b"two"]


def test_a_connection_ends_when_that_was_asked_for(running: Running, desk: Desk) -> None:
    connection = running.connect()
    connection.sendall(push(more="Connection: close\r\n"))
    desk.let_go()
    head, _body = read_answer(connection)
    assert "\r\nConnection: close\r\n" in head
    assert connection.recv(1) == b""


def test_who_waits_holds_up_nobody_else(running: Running, desk: Desk) -> None:
    first, second = running.connect(), running.connect()
    first.sendall(push(b"first"))
    wait_until(lambda: len(desk.waiting) == 1)
    second.sendall(push(b"second"))
    desk.let_go(1)
    assert read_answer(second)[1] == b"safe"
    desk.let_go(0)
    assert read_answer(first)[1] == b"safe"


@pytest.mark.parametrize(
    "message",
    [
        push(path="/other"),
        b"POST /web HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"4\r\nnews\r\n0\r\n\r\n",
        b"POST /web HTTP/1.0\r\nContent-Length: 4\r\n\r\nnews",
        b"PUT /web HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nnews",
        push(b"n" * 1001),
    ],
    ids=["no desk", "chunked", "old", "another method", "large"],
)
def test_what_is_not_plain_takes_the_usual_way(
    running: Running, desk: Desk, message: bytes
) -> None:
    head, body = ask(running, message)
    assert " 200 OK" in head
    assert body.startswith(b"the usual way n")
    assert desk.requests == []


def test_what_comes_packed_takes_the_usual_way(running: Running) -> None:
    head, _body = ask(running, push(more="Content-Encoding: gzip\r\n"))
    assert " 415 " in head


def test_a_desk_that_may_wait_is_left_to_other_threads(running: Running, desk: Desk) -> None:
    desk.is_prompt = False
    assert ask(running, push())[1] == b"the usual way news"


def test_what_a_desk_declines_is_left_whole_to_other_threads(running: Running, desk: Desk) -> None:
    desk.declines = True
    connection = running.connect()
    connection.sendall(push(b"one") + push(b"two"))
    for body in (b"one", b"two"):
        assert read_answer(connection)[1] == b"the usual way " + body


def test_a_refusal_is_answered_at_once(running: Running, desk: Desk) -> None:
    desk.raises = BadBody(wanted="JSON", reason="it is prose")
    head, body = ask(running, push())
    assert " 400 Bad Request" in head
    assert b"bad_body" in body


def test_a_refusal_behind_a_request_of_the_usual_way_is_answered_at_once(
    running: Running, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An answering thread finds it, while the vestibule has nothing to do.
    monkeypatch.setattr(vestibule, "TICK", 2 * PATIENCE)
    desk.raises = BadBody(wanted="JSON", reason="it is prose")
    connection = running.connect()
    connection.sendall(push(b"one", path="/other") + push(b"two"))
    assert read_answer(connection)[1] == b"the usual way one"
    assert " 400 Bad Request" in read_answer(connection)[0]


def test_a_fault_in_the_choice_of_a_desk_is_answered_too(
    running: Running, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_head: Head, _arrived: bytearray) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(desk, "serves", fail)
    assert " 500 " in ask(running, push())[0]
    assert ask(running, push(path="/other"))[1] == b"the usual way news"


def test_a_fault_is_answered_and_the_next_delivery_taken(running: Running, desk: Desk) -> None:
    desk.raises = ZeroDivisionError()
    head, _body = ask(running, push())
    assert " 500 " in head
    desk.raises = None
    connection = running.connect()
    connection.sendall(push())
    desk.let_go()
    assert read_answer(connection)[1] == b"safe"


def test_who_is_gone_when_the_builds_are_safe_harms_nobody(running: Running, desk: Desk) -> None:
    connection = running.connect()
    connection.sendall(push())
    wait_until(lambda: bool(desk.waiting))
    connection.close()
    desk.let_go()
    other = running.connect()
    other.sendall(push())
    desk.let_go(1)
    assert read_answer(other)[1] == b"safe"


def test_patience_has_an_end(running: Running, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vestibule, "TICK", 0.05)
    desk.patience = 0.2
    connection = running.connect()
    connection.sendall(push(b"in vain"))
    head, _body = read_answer(connection)
    assert " 503 Service Unavailable" in head
    # The connection is as good as any other.
    desk.patience = PATIENCE
    connection.sendall(push(b"again"))
    desk.let_go(1)
    assert read_answer(connection)[1] == b"safe"


def test_patience_has_an_end_while_others_keep_the_porter_busy(
    running: Running, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vestibule, "TICK", 0.05)
    desk.patience = 0.2
    late = running.connect()
    late.sendall(push(b"in vain"))
    wait_until(lambda: len(desk.waiting) == 1)
    busy = running.connect()
    desk.raises = BadBody(wanted="JSON", reason="it is prose")
    late.setblocking(False)
    answered = Future[bytes]()

    def hear() -> bool:
        busy.sendall(push())
        read_answer(busy)
        try:
            answered.set_result(late.recv(100))
        except BlockingIOError:
            return False
        return True

    wait_until(hear)
    assert answered.result().startswith(b"HTTP/1.1 503 ")


def test_who_reads_slowly_gets_the_whole_answer_and_holds_up_nobody(
    running: Running, desk: Desk
) -> None:
    desk.reply = Reply(202, b"x" * 20_000_000)
    slow = running.connect()
    slow.sendall(push())
    desk.let_go()
    other = running.connect()
    other.sendall(push())
    wait_until(lambda: len(desk.waiting) == 2)
    desk.reply = Reply(202, b"small")
    desk.let_go(1)
    assert read_answer(other)[1] == b"small"
    assert len(read_answer(slow)[1]) == 20_000_000
    slow.sendall(push())
    desk.let_go(2)
    assert read_answer(slow)[1] == b"small"


def test_a_stop_answers_those_who_wait(running: Running, desk: Desk) -> None:
    connection = running.connect()
    connection.sendall(push())
    wait_until(lambda: bool(desk.waiting))
    stopping = Thread(target=running.stop)
    stopping.start()
    wait_until(lambda: not running.server.ready)
    desk.let_go()
    assert read_answer(connection)[1] == b"safe"
    stopping.join(PATIENCE)
    assert not stopping.is_alive()


@pytest.fixture(autouse=True)
def no_socket_is_left(running: Running, desk: Desk) -> Iterator[None]:
    """However a test ends, every connection is given back."""
    yield
    check: Callable[[], bool] = lambda: not running.server._porter._waiting  # noqa: E731
    for waiting in desk.waiting:
        if not waiting.outcome.done():
            waiting.outcome.set_result(None)
    wait_until(check)
