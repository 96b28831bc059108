"""Outgoing requests: bounded in time and size, checked, told of in one clear sentence."""

import re
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Event
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sloth_ci.outgoing import Outgoing, SendFailed, read_target, try_again
from tests.sinks import TLS, Sink, drip, open_sink


@pytest.fixture
def sink() -> Iterator[Sink]:
    with open_sink() as opened:
        yield opened


def at_loopback(_host: str, _port: int) -> list[str]:
    return ["127.0.0.1"]


def test_json_is_sent_with_its_type_and_the_answer_comes_back(sink: Sink) -> None:
    sink.body = b'{"id": 7}'

    reply = Outgoing(private=True).send_json(
        f"{sink.url}/hook?a=1", {"é": [1, None]}, headers={"X-One": "1"}
    )

    assert (reply.status, reply.body) == (200, b'{"id": 7}')
    (came,) = sink.came
    assert (came.method, came.path, came.value) == ("POST", "/hook?a=1", {"é": [1, None]})
    assert came.headers["content-type"] == "application/json"
    assert came.headers["x-one"] == "1"
    assert came.headers["host"] == f"127.0.0.1:{sink.port}"
    assert came.headers["user-agent"].startswith("Sloth-CI/")


def test_a_form_is_sent_as_one(sink: Sink) -> None:
    Outgoing(private=True).send_form(sink.url, {"a": "x & y", "b": "ü"}, headers={})

    assert parse_qs(sink.came[0].body.decode()) == {"a": ["x & y"], "b": ["ü"]}
    assert sink.came[0].headers["content-type"] == "application/x-www-form-urlencoded"


def test_another_method_and_no_body(sink: Sink) -> None:
    Outgoing(private=True).send("GET", f"{sink.url}/a b", headers={})

    assert (sink.came[0].method, sink.came[0].path) == ("GET", "/a%20b")


def test_the_host_header_and_tls_keep_the_name_that_was_looked_up() -> None:
    with open_sink(tls=True) as sink:
        outgoing = Outgoing(private=True, ca_file=TLS / "certificate.pem", look_up=at_loopback)

        outgoing.send_json(f"https://ci.example.com:{sink.port}/", 1, headers={})

        assert sink.came[0].headers["host"] == f"ci.example.com:{sink.port}"


@pytest.mark.parametrize(
    ("host", "ca_file", "reason"),
    [
        ("ci.example.com", None, "certificate that is not trusted"),
        ("other.example.com", TLS / "certificate.pem", "certificate that is not trusted"),
        ("127.0.0.1", TLS / "certificate.pem", "certificate that is not trusted"),
    ],
    ids=["an unknown authority", "another name", "an address it isn't made out to"],
)
def test_a_certificate_is_refused_for(host: str, ca_file: Path | None, reason: str) -> None:
    with open_sink(tls=True) as sink:
        outgoing = Outgoing(private=True, ca_file=ca_file, look_up=at_loopback)

        with pytest.raises(SendFailed, match=reason):
            outgoing.send_json(f"https://{host}:{sink.port}/", 1, headers={})

        assert sink.came == []


def test_what_speaks_no_tls_is_told_so(sink: Sink) -> None:
    with pytest.raises(SendFailed, match="speaks no TLS"):
        Outgoing(private=True).send_json(f"https://127.0.0.1:{sink.port}/", 1, headers={})


def test_a_redirect_is_not_followed(sink: Sink) -> None:
    sink.answers, sink.headers = [302], {"Location": f"{sink.url}/elsewhere"}

    with pytest.raises(SendFailed, match="answered 302 and points elsewhere") as failed:
        Outgoing(private=True).send_json(sink.url, 1, headers={"Authorization": "Bearer x"})

    assert (failed.value.temporary, len(sink.came)) == (False, 1)


@pytest.mark.parametrize(
    ("status", "temporary"),
    [
        *((status, False) for status in (400, 401, 404, 410, 422)),
        *((status, True) for status in (408, 429, 500, 503)),
    ],
)
def test_a_refusal_tells_its_status_and_words(sink: Sink, status: int, temporary: bool) -> None:
    sink.answers, sink.body = [status], b"no\r\n such \x1b[31m thing" + b"." * 1000
    sink.headers = {"Retry-After": "17"}

    with pytest.raises(SendFailed) as failed:
        Outgoing(private=True).send_json(f"{sink.url}/secret-path", 1, headers={})

    error = failed.value
    assert str(error).startswith(f"{sink.url} answered {status}: no such \\x1b[31m thing...")
    assert len(str(error)) < 300
    assert (error.status, error.temporary, error.retry_after) == (status, temporary, 17)


def test_no_sentence_shows_the_path_which_may_be_a_secret() -> None:
    with pytest.raises(SendFailed) as failed:
        Outgoing(private=True).send_json(f"http://127.0.0.1:{closed_port()}/s3cr3t", 1, headers={})

    assert "takes no connection" in str(failed.value)
    assert "s3cr3t" not in str(failed.value)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_a_name_that_is_not_known_is_told() -> None:
    def know_nothing(_host: str, _port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(SendFailed, match=r"host name hooks\.example is not known"):
        Outgoing(look_up=know_nothing).send_json("http://hooks.example/", 1, headers={})


def test_a_look_up_that_hangs_is_left_behind() -> None:
    over = Event()

    def hang(_host: str, _port: int) -> list[str]:
        over.wait()
        return []

    with pytest.raises(SendFailed, match=r"hooks\.example is not found within 0\.1 s"):
        Outgoing(timeout=0.1, look_up=hang).send_json("http://hooks.example/", 1, headers={})
    over.set()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"


@pytest.mark.parametrize(
    "parts",
    [(), (b"HTTP/1.1 200 OK\r\nX-Slow: ",), (HEAD,)],
    ids=["before the answer", "in the head", "in the body"],
)
def test_an_answer_that_drips_is_cut_off(sink: Sink, parts: tuple[bytes, ...]) -> None:
    sink.answers = [drip(sink, *parts)]

    with pytest.raises(SendFailed, match=r"gave no whole answer within 0\.5 s"):
        Outgoing(private=True, timeout=0.5).send_json(sink.url, 1, headers={})


def test_an_answer_that_drips_through_tls_is_cut_off() -> None:
    with open_sink(tls=True) as sink:
        sink.answers = [drip(sink, HEAD)]
        outgoing = Outgoing(
            private=True, timeout=0.7, ca_file=TLS / "certificate.pem", look_up=at_loopback
        )

        with pytest.raises(SendFailed, match="gave no whole answer"):
            outgoing.send_json(f"https://localhost:{sink.port}/", 1, headers={})


def test_a_handshake_that_never_ends_is_cut_off() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"https://127.0.0.1:{server.getsockname()[1]}/"

        with pytest.raises(SendFailed, match="gave no whole answer"):
            Outgoing(private=True, timeout=0.3).send_json(url, 1, headers={})


def test_of_a_huge_answer_only_the_beginning_is_read(sink: Sink) -> None:
    def answer(receiver: BaseHTTPRequestHandler) -> None:
        receiver.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not sink.over.is_set():
            receiver.wfile.write(bytes(100_000))

    sink.answers = [answer]

    assert len(Outgoing(private=True).send_json(sink.url, 1, headers={}).body) == 64_000


def test_what_is_no_http_is_told(sink: Sink) -> None:
    sink.answers = [lambda receiver: receiver.wfile.write(b"220 mail.example ESMTP\r\n")]

    with pytest.raises(SendFailed, match="broke the connection before a whole answer"):
        Outgoing(private=True).send_json(sink.url, 1, headers={})


def test_the_next_address_is_taken_when_one_takes_no_connection(sink: Sink) -> None:
    outgoing = Outgoing(private=True, look_up=lambda _host, _port: ["127.0.0.2", "127.0.0.1"])

    assert outgoing.send_json(f"http://ci.example.com:{sink.port}/", 1, headers={}).status == 200


def test_no_descriptor_is_left_open(sink: Sink) -> None:
    def count() -> int:
        return sum(str(one).startswith("socket:") for one in map(follow, FILES.iterdir()))

    outgoing = Outgoing(private=True, timeout=0.3)
    before = count()
    for answer in (200, 500, drip(sink), 200):
        sink.answers = [answer]
        for _ in range(3):
            try:
                outgoing.send_json(sink.url, 1, headers={"Connection": "close"})
            except SendFailed:
                continue
    sink.over.set()

    # The sink's own ends are closed a moment later.
    for _ in range(200):
        if count() <= before:
            break
        Event().wait(0.02)
    assert count() <= before


FILES = Path("/proc/self/fd")


def follow(link: Path) -> Path:
    try:
        return link.readlink()
    except FileNotFoundError:
        return link


def test_a_ca_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")

    with pytest.raises(ValueError, match="holds no certificate"):
        Outgoing(ca_file=tmp_path / "ca.pem")
    with pytest.raises(ValueError, match="No such file"):
        Outgoing(ca_file=tmp_path / "none.pem")


@pytest.mark.parametrize(
    "url",
    ["", "hook", "ftp://example.org/", "file:///etc/passwd", "http://", "http:///x", "http://[::1",
     "http://a:b/", "http://a:0/", "http://a:99999/", "http://user:word@example.org/",
     "//example.org/x", "http://" + "a" * 300 + ".example/"],
)  # fmt: skip
def test_what_is_no_usable_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ValueError, match="must be a URL") as refused:
        read_target(url)

    assert len(url) < 8 or url not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "target", "path"),
    [
        ("https://example.org", "https://example.org", "/"),
        ("HTTP://Example.ORG:80/x?y=1#z", "http://example.org", "/x?y=1"),
        ("https://[2606:4700::1111]:8443/é", "https://[2606:4700::1111]:8443", "/%C3%A9"),
        ("http://bücher.example/a%20b", "http://xn--bcher-kva.example", "/a%20b"),
        ("http://example.org./", "http://example.org", "/"),
    ],
)
def test_a_url_names_its_target(url: str, target: str, path: str) -> None:
    assert (str(read_target(url)), read_target(url).path) == (target, path)


@given(st.text(max_size=60))
def test_no_text_makes_more_of_a_url_than_one_request(text: str) -> None:
    try:
        target = read_target(f"http://example.org/{text}")
    except ValueError:
        return
    assert re.fullmatch(r"[!-~]+", target.path)
    assert target.host == "example.org"


# Tries


def test_it_is_tried_again_after_each_pause_while_that_may_help() -> None:
    tries: list[int] = []

    def send() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise SendFailed("busy")
        return "done"

    assert try_again(send, pauses=(0, 0)) == "done"
    assert len(tries) == 3


@pytest.mark.parametrize(("temporary", "tries"), [(True, 3), (False, 1)])
def test_the_last_failure_is_told(temporary: bool, tries: int) -> None:
    count = 0

    def send() -> None:
        nonlocal count
        count += 1
        raise SendFailed(f"failure {count}", temporary=temporary)

    with pytest.raises(SendFailed, match=f"failure {tries}"):
        try_again(send, pauses=(0, 0))
    assert count == tries


def test_an_end_ordered_meanwhile_ends_the_pause() -> None:
    ended = Event()

    def send() -> None:
        ended.set()
        raise SendFailed("busy")

    with pytest.raises(SendFailed, match="busy"):
        try_again(send, pauses=(1_000,), ended=ended)


def test_a_busy_server_is_left_alone_as_long_as_it_says() -> None:
    class Waits(Event):
        seconds: float | None = None

        def wait(self, timeout: float | None = None) -> bool:
            self.seconds = timeout
            return True

    waits = Waits()

    def send() -> None:
        raise SendFailed("busy", retry_after=30)

    with pytest.raises(SendFailed):
        try_again(send, pauses=(2,), ended=waits)
    assert waits.seconds == 30
