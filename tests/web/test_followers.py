"""Live answers: many clients follow streams, one thread serves them, none holds another up."""

import logging
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

import pytest

from sloth_ci.request import Reply
from sloth_ci.web import follower, followers, seats
from sloth_ci.web.tls import open_tls
from sloth_ci.web.wsgi import answer, live_reply
from tests.calls import wait_until
from tests.live import Client
from tests.web.serving import Serving

TLS = Path(__file__).parent / "tls"
CERTIFICATE, KEY = TLS / "certificate.pem", TLS / "key.pem"
SSE, NDJSON = "text/event-stream", "application/x-ndjson"


class Commits:
    """Tells its listeners of commits, as the store does."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[], None]] = []

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        self.listeners.append(callback)
        return lambda: self.listeners.remove(callback)

    def tell(self) -> None:
        for listener in tuple(self.listeners):
            listener()


class Lines:
    """A stream of the lines that were written so far, one a pull."""

    def __init__(self, content_type: str = SSE) -> None:
        self.content_type = content_type
        self.written: list[bytes] = []
        self.pulled = self.pulls = 0
        self.last_words = b"bye\n"
        self.closed = self.is_complete = False
        self.fault: Exception | None = None

    @property
    def ended(self) -> bool:
        return self.is_complete and self.pulled == len(self.written)

    def pull(self) -> bytes:
        self.pulls += 1
        if self.fault:
            raise self.fault
        if self.pulled == len(self.written):
            return b""
        self.pulled += 1
        return self.written[self.pulled - 1]

    def close(self) -> bytes:
        self.closed = True
        return self.last_words


class Site:
    """Answers `/<number>` with the stream of that number, and `/` with a word."""

    def __init__(self) -> None:
        self.streams: dict[str, Lines] = {}
        self._lock = Lock()

    def __call__(self, environ: Any, start_response: Any) -> Any:
        return answer(environ, start_response, self._respond)

    def _respond(self, environ: Any) -> Reply:
        name = environ["PATH_INFO"].strip("/")
        return live_reply(200, self.stream(name)) if name else Reply(200, b"word")

    def stream(self, name: str) -> Lines:
        with self._lock:
            return self.streams.setdefault(name, Lines())


class Running(Serving):
    """A server with streams."""

    def __init__(self, config: str, *, secure: bool) -> None:
        self.commits = Commits()
        self.site = Site()
        self._trusts = ssl.create_default_context(cafile=str(CERTIFICATE)) if secure else None
        super().__init__(
            self.site,
            config,
            most=500,
            tls=open_tls(CERTIFICATE, KEY) if secure else None,
            subscribe=self.commits.subscribe,
        )

    def reach(self, *, receives: int = 0) -> Client:
        sock = self.opened.enter_context(socket.socket())
        if receives:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
        sock.settimeout(20)
        sock.connect(self.address)
        if self._trusts:
            sock = self._trusts.wrap_socket(sock, server_hostname="localhost")
            self.opened.enter_context(sock)
        return Client(sock)

    def follow(self, path: str, **options: Any) -> Client:
        client = self.reach().ask(path, **options)
        assert client.head.startswith(b"HTTP/1.1 200 "), client.head
        return client

    def status(self, path: str = "") -> int:
        """The answer's status, on a connection of its own."""
        client = self.reach().ask(path)
        with suppress(OSError):
            client.sock.close()
        return int(client.head.split()[1])

    def write(self, name: str, *lines: bytes) -> None:
        """Write lines into a stream and commit."""
        self.site.stream(name).written += lines
        self.commits.tell()

    def hang_up(self) -> None:
        """End all connections of clients."""
        self.opened.close()


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def run(request: pytest.FixtureRequest) -> Iterator[Callable[..., Running]]:
    """Run servers that end with the test."""
    started: list[Running] = []

    def start(config: str = "{}") -> Running:
        started.append(Running(config, secure=request.param))
        return started[-1]

    yield start
    for server in started:
        server.stop()
        server.hang_up()


@pytest.fixture
def only_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams are asked when the store told of a commit, and at no other time."""
    monkeypatch.setattr(followers, "LOOK", 1_000)


Run = Callable[..., Running]


def count_files() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


@pytest.mark.usefixtures("only_when_told")
def test_a_follower_gets_each_line_as_soon_as_it_is_committed(run: Run) -> None:
    server = run()
    server.write("1", b"first\n")
    client = server.follow("1")
    client.wait_for(b"first\n")
    for number in range(20):
        server.write("1", b"line %d\n" % number)
        client.wait_for(b"line %d\n" % number)
    assert client.body.count(b"\n") == 21


def test_a_stream_is_asked_now_and_then_though_nobody_tells(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followers, "LOOK", 0.05)
    server = run()
    client = server.follow("1")
    server.site.stream("1").written.append(b"unheard\n")
    client.wait_for(b"unheard\n")


@pytest.mark.usefixtures("only_when_told")
def test_all_that_is_there_already_comes_without_a_further_commit(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "SOON", 0.01)
    server = run()
    lines = [b"%d\n" % number for number in range(30)]
    server.site.stream("1").written += lines
    server.site.stream("1").is_complete = True
    assert server.follow("1").read_all() == b"".join(lines)


def test_the_head_says_how_the_stream_is_framed_and_that_nobody_may_hold_it_back(run: Run) -> None:
    head = run().follow("1").head.split(b"\r\n")
    assert b"Content-Type: text/event-stream" in head
    assert b"Transfer-Encoding: chunked" in head
    assert b"Connection: close" in head
    assert b"Cache-Control: no-store" in head
    assert b"X-Accel-Buffering: no" in head
    assert not any(line.startswith(b"Content-Length") for line in head)


def test_the_last_chunk_follows_the_stream_s_end_and_then_the_connection_s(run: Run) -> None:
    server = run()
    client = server.follow("1")
    server.site.stream("1").is_complete = True
    server.write("1", b"last\n")
    assert client.read_all() == b"last\n"
    assert client.is_whole
    assert not server.site.stream("1").closed


def test_an_http_1_0_client_follows_until_the_end_of_its_connection(run: Run) -> None:
    server = run()
    client = server.follow("1", version="1.0")
    assert b"chunked" not in client.head
    server.write("1", b"plain\n")
    client.wait_for(b"plain\n")
    server.site.stream("1").is_complete = True
    server.write("1", b"and simple\n")
    assert client.read_all() == b"plain\nand simple\n"


def test_head_gets_the_head_alone_and_takes_no_place(run: Run) -> None:
    server = run("max_followers: 0")
    server.write("1", b"line\n")
    client = server.follow("1", method="HEAD")
    assert b"Content-Type: text/event-stream" in client.head
    assert client.read_all() == b""
    assert not server.site.stream("1").pulls


def test_followers_hold_no_thread_of_those_that_answer(run: Run) -> None:
    server = run()
    followed = [server.follow(str(number)) for number in range(40)]
    assert server.status() == 200
    for number, client in enumerate(followed):
        server.write(str(number), b"yours\n")
        client.wait_for(b"yours\n")


def test_followers_keep_no_seat_of_those_for_large_bodies(run: Run) -> None:
    server = run()
    large = b"POST /%s HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
    for number in range(2 * seats.SEATS):
        client = server.reach()
        client.sock.sendall(large % b"stream" + b"x" * 70_000)
        assert b"text/event-stream" in client.sock.recv(1_000), number


def test_one_follower_too_many_is_told_to_come_back(run: Run) -> None:
    server = run("max_followers: 3")
    followed = [server.follow(str(number)) for number in range(3)]
    refused = server.reach().ask("3")
    assert refused.head.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: " in refused.head
    assert server.status() == 200
    server.write("0", b"line\n")
    followed[0].wait_for(b"line\n")


@pytest.mark.usefixtures("only_when_told")
@pytest.mark.parametrize("rudely", [False, True], ids=["goodbye", "reset"])
def test_the_place_of_a_client_that_hangs_up_is_free_at_once(run: Run, rudely: bool) -> None:
    server = run("max_followers: 1\nmax_connections: 3")
    for _ in range(10):
        client = server.reach()
        wait_until(lambda one=client: one.ask("1").head.startswith(b"HTTP/1.1 200 "))
        if rudely:
            linger = struct.pack("ii", 1, 0)
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        client.sock.close()
        wait_until(lambda: not server.server.followers._places)


def test_places_and_descriptors_are_free_after_whatever_end(run: Run) -> None:
    server = run("max_followers: 20\nmax_connections: 20\nmax_connections_per_address: 20")
    server.follow("warm")
    server.hang_up()
    wait_until(lambda: server.status() == 200)
    before = count_files()
    for _ in range(3):
        for name in ("ends", "fails", "left"):
            server.site.streams.pop(name, None)
        clients = [server.follow(name) for name in ("ends", "fails", "left") for _ in range(6)]
        server.site.stream("ends").is_complete = True
        server.site.stream("fails").fault = ValueError("a fault")
        server.commits.tell()
        for client in clients[:12]:
            client.read_all()
        server.hang_up()
        wait_until(lambda: not server.server.followers._places)
        wait_until(lambda: not server.server._crowd._present)
    wait_until(lambda: count_files() <= before)


def test_three_hundred_follow_one_server(run: Run) -> None:
    server = run("max_followers: 300\nmax_connections: 400\nmax_connections_per_address: 400")
    server.status()
    before = count_files()
    followed = [server.follow(str(number)) for number in range(300)]
    assert server.reach().ask("1").head.startswith(b"HTTP/1.1 503 ")
    for number in range(300):
        server.site.stream(str(number)).written.append(b"for %d\n" % number)
    server.commits.tell()
    for number, client in enumerate(followed):
        client.wait_for(b"for %d\n" % number)
    server.hang_up()
    wait_until(lambda: not server.server.followers._places)
    wait_until(lambda: count_files() <= before)


@pytest.mark.usefixtures("only_when_told")
def test_many_commits_are_one_piece_of_news(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followers, "REST", 0.1)
    server = run()
    client = server.follow("1")
    client_lines = server.site.stream("1")
    for _ in range(2_000):
        server.commits.tell()
    server.write("1", b"news\n")
    client.wait_for(b"news\n")
    assert client_lines.pulls < 200


# Slow and broken clients, broken streams


def test_a_slow_reader_is_waited_for_and_misses_nothing(run: Run) -> None:
    server = run()
    slow = server.reach(receives=65_536).ask("slow")
    block = b"x" * 99_999 + b"\n"
    server.write("slow", *[block] * 120)
    stream = server.site.stream("slow")
    quick = server.follow("quick")
    seen = -1
    while seen < stream.pulls:
        seen = stream.pulls
        for number in range(5):
            server.write("quick", b"%d of %d\n" % (number, seen))
            quick.wait_for(b"%d of %d\n" % (number, seen))
    assert stream.pulled < 100
    stream.is_complete = True
    assert len(slow.read_all()) == 120 * len(block)
    assert slow.is_whole


def test_a_reader_that_takes_nothing_is_given_up(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "STALLED", 0.3)
    monkeypatch.setattr(followers, "LOOK", 0.05)
    server = run("max_followers: 2")
    server.reach(receives=4_096).ask("1")
    server.follow("2")
    server.write("1", *[b"x" * 100_000] * 300)
    wait_until(lambda: len(server.server.followers._places) == 1)
    assert server.status("2") == 200


@pytest.mark.usefixtures("only_when_told")
def test_a_stream_that_fails_ends_alone_and_is_told_of(
    run: Run, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("sloth_ci"), "propagate", True)
    server = run()
    good, bad = server.follow("good"), server.follow("bad")
    server.write("bad", b"before\n")
    bad.wait_for(b"before\n")
    server.site.stream("bad").fault = RuntimeError("the stream is dry")
    with caplog.at_level(logging.ERROR, logger="sloth_ci.web"):
        server.write("good", b"line\n")
        assert bad.read_all() == b"before\n"
    assert not bad.is_whole
    assert "the stream is dry" in caplog.text
    good.wait_for(b"line\n")
    server.write("good", b"and more\n")
    good.wait_for(b"and more\n")


def test_a_client_that_goes_on_talking_is_cut_off(run: Run) -> None:
    server = run("max_followers: 1")
    client = server.follow("1")
    with suppress(OSError):
        while server.server.followers._places:
            client.sock.sendall(b"x" * 10_000)
    wait_until(lambda: not server.server.followers._places)


@pytest.mark.parametrize(("kind", "comes"), [(SSE, True), (NDJSON, False)])
def test_only_an_event_stream_is_kept_alive_by_comments(
    run: Run, monkeypatch: pytest.MonkeyPatch, kind: str, comes: bool
) -> None:
    monkeypatch.setattr(followers, "LOOK", 0.02)
    monkeypatch.setattr(follower, "KEEP_ALIVE", 0.1)
    server = run()
    server.site.streams["1"] = lines = Lines(kind)
    client = server.follow("1")
    if comes:
        client.wait_for(b": \n\n: \n\n")
    wait_until(lambda: lines.pulls > 20)
    server.write("1", b"end\n")
    client.wait_for(b"end\n")
    assert (b": \n\n" in client.body) is comes


# The server's end


def test_every_stream_has_its_last_words_when_the_server_stops(run: Run) -> None:
    server = run()
    followed = [server.follow(str(number)) for number in range(20)]
    for number in range(20):
        server.site.stream(str(number)).written += [b"one\n", b"two\n"]
    server.stop()
    for client in followed:
        assert client.read_all() == b"one\ntwo\nbye\n"
        assert client.is_whole
    assert not server.commits.listeners


def test_last_words_that_fail_or_that_nobody_reads_do_not_hold_up_the_stop(run: Run) -> None:
    server = run()
    good, bad = server.follow("good"), server.follow("bad")
    server.site.stream("bad").fault = RuntimeError("the stream is dry")
    server.reach(receives=4_096).ask("slow")
    server.write("slow", *[b"x" * 100_000] * 300)
    wait_until(lambda: server.site.stream("slow").pulls)
    before = count_files()
    server.stop()
    assert good.read_all() == b"bye\n"
    assert bad.read_all() == b""
    assert count_files() < before


def test_a_follower_that_comes_while_the_server_stops_hears_the_last_words_too(run: Run) -> None:
    server = run()
    asked, may_answer = Event(), Event()
    respond = server.site._respond

    def wait_and_respond(environ: Any) -> Reply:
        reply = respond(environ)
        asked.set()
        may_answer.wait(20)
        return reply

    server.site._respond = wait_and_respond  # type: ignore[method-assign]
    client = server.reach()
    asking = Thread(target=client.ask, args=["1"])
    asking.start()
    asked.wait(20)
    stopping = Thread(target=server.stop)
    stopping.start()
    wait_until(lambda: server.server.followers._ends_at)
    may_answer.set()
    asking.join()
    stopping.join()
    assert client.head.startswith(b"HTTP/1.1 503 ")
