"""Bodies beyond all measure cost neither memory nor the other clients' patience."""

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from urllib.parse import urlsplit

import psutil
import pytest

from tests.calls import Api, send
from tests.conftest import LOGIN, RunningServer

APP = "listen_point: hook\nprovider: {generic: {allow_unsigned: true}}\nactions: []"
PIECE = b"x" * 65_536
TOGETHER = 20


def head(*lines: str) -> bytes:
    return "\r\n".join(["POST /hook HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


def pour(url: str, start: bytes, piece: bytes, times: int) -> int:
    """Send all that until the server answers; gives the answer's status."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=20) as sock:
        with suppress(OSError):
            sock.sendall(start)
            for _ in range(times):
                sock.sendall(piece)
            sock.shutdown(socket.SHUT_WR)
        answer = sock.recv(65_536)
    assert b"application/json" in answer
    return int(answer[9:12])


def huge(url: str) -> int:
    return pour(url, head("Content-Length: 30000000"), PIECE, 458)


def lying_short(url: str) -> int:
    return pour(url, head("Content-Length: 20000000"), PIECE, 10)


def lying_long(url: str) -> int:
    return pour(url, head("Content-Length: 10"), PIECE, 300)


def endless_chunks(url: str) -> int:
    chunk = b"10000\r\n" + PIECE + b"\r\n"
    return pour(url, head("Transfer-Encoding: chunked"), chunk, 300)


def tiny_chunks(url: str) -> int:
    return pour(url, head("Transfer-Encoding: chunked"), b"1\r\nx\r\n" * 10_000, 30)


def one_endless_chunk(url: str) -> int:
    return pour(url, head("Transfer-Encoding: chunked") + b"ffffffff\r\n", PIECE, 300)


def endless_chunk_line(url: str) -> int:
    return pour(url, head("Transfer-Encoding: chunked"), b"1;" + PIECE, 30)


def endless_trailer(url: str) -> int:
    line = b"X: " + b"x" * 500 + b"\r\n"
    return pour(url, head("Transfer-Encoding: chunked") + b"0\r\n", line, 1000)


def compressed(url: str) -> int:
    return pour(url, head("Content-Encoding: gzip", "Content-Length: 100"), b"x" * 100, 1)


@pytest.mark.parametrize(
    ("attack", "status"),
    [
        (huge, 413),
        (lying_short, 400),
        (lying_long, 400),
        (endless_chunks, 413),
        (tiny_chunks, 413),
        (one_endless_chunk, 413),
        (endless_chunk_line, 400),
        (endless_trailer, 400),
        (compressed, 415),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_monstrous_body_is_refused_without_being_kept(
    launch: Callable[..., RunningServer], attack: Callable[[str], int], status: int
) -> None:
    server = launch()
    api = Api(server.url, LOGIN)
    api.create(APP)
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    with ThreadPoolExecutor(TOGETHER) as pool:
        answers = list(pool.map(attack, [server.url] * TOGETHER))
        good = send(server.url, method="POST", path="/hook", body=b"{}")
    assert answers == [status] * TOGETHER
    assert process.memory_info().rss - before < 100_000_000
    assert good.status == 202, good.body
    assert api("version").status == 200


@pytest.mark.parametrize("size", [1_000, 100_000, 3_000_000])
def test_an_honest_body_arrives_whole_by_length_and_by_chunks(
    shared_server: RunningServer, size: int
) -> None:
    api = Api(shared_server.url, LOGIN)
    listen_point = f"honest-{size}"
    api.create(APP.replace("hook", listen_point))
    body = b'{"message": "' + b"x" * size + b'"}'
    chunks = b"".join(
        b"%x\r\n%b\r\n" % (len(body[at : at + 5_000]), body[at : at + 5_000])
        for at in range(0, len(body), 5_000)
    )
    by_length = send(shared_server.url, method="POST", path=f"/{listen_point}", body=body)
    by_chunks = send(
        shared_server.url,
        method="POST",
        path=f"/{listen_point}",
        headers={"Transfer-Encoding": "chunked"},
        body=chunks + b"0\r\nX-Trailer: x\r\n\r\n",
    )
    assert (by_length.status, by_chunks.status) == (202, 202), by_chunks.body
