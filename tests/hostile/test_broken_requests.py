"""Requests that break HTTP, or can be understood in two ways, are refused, and change nothing."""

import json
import socket
from urllib.parse import urlsplit

import pytest

from tests.calls import Api
from tests.conftest import LOGIN, RunningServer
from tests.hostile.clients import tell

HOST = b"Host: localhost\r\n"


def get(*lines: bytes, target: bytes = b"/", version: bytes = b"HTTP/1.1") -> bytes:
    return b"\r\n".join([b"GET " + target + b" " + version, b"Host: localhost", *lines, b"", b""])


def post(*lines: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join([b"POST / HTTP/1.1", b"Host: localhost", *lines, b"", body])


BROKEN: dict[str, bytes] = {
    "two lengths": post(b"Content-Length: 3", b"Content-Length: 4", body=b"abcd"),
    "the same length twice": post(b"Content-Length: 3", b"Content-Length: 3", body=b"abc"),
    "two lengths in one header": post(b"Content-Length: 3, 3", body=b"abc"),
    "two lengths in different case": post(b"content-length: 3", b"CONTENT-LENGTH: 3", body=b"abc"),
    "a negative length": post(b"Content-Length: -1"),
    "a length with a plus": post(b"Content-Length: +3", body=b"abc"),
    "a hexadecimal length": post(b"Content-Length: 0x3", body=b"abc"),
    "a length with an underscore": post(b"Content-Length: 1_0", body=b"0123456789"),
    "a length in other digits": post("Content-Length: ٣".encode(), body=b"abc"),
    "an empty length": post(b"Content-Length:", body=b"abc"),
    "a length of words": post(b"Content-Length: three", body=b"abc"),
    "an enormous length": post(b"Content-Length: " + b"9" * 30),
    "a broken number": post(b"Content-Length: 3.0", body=b"abc"),
    "length and chunks": post(
        b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"
    ),
    "chunks and length": post(
        b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n"
    ),
    "chunked twice": post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
    "chunked in two headers": post(
        b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"
    ),
    "identity and chunked": post(b"Transfer-Encoding: identity, chunked", body=b"0\r\n\r\n"),
    "an unknown coding": post(b"Transfer-Encoding: gzip", body=b"x"),
    "a coding with a control character": post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"),
    "chunks by HTTP/1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": get(b"Accept : */*"),
    "a space before the colon of the length": post(b"Content-Length : 3", body=b"abc"),
    "a tab before the colon": get(b"Accept\t: */*"),
    "a header without colon": get(b"Accept"),
    "a header without name": get(b": x"),
    "a name with a space": get(b"Ac cept: x"),
    "a name with a control character": get(b"Acc\x01ept: x"),
    "a name that is no ASCII": get("Accépt: x".encode()),
    "a NUL in a value": get(b"Accept: a\0b"),
    "a carriage return in a value": get(b"Accept: a\rb"),
    "a folded header": get(b"Accept: a", b" b"),
    "a folded first header": b"GET / HTTP/1.1\r\n Host: localhost\r\n\r\n",
    "lines without carriage return": b"GET / HTTP/1.1\nHost: localhost\n\n",
    "one line without carriage return": b"GET / HTTP/1.1\r\nHost: localhost\nAccept: x\r\n\r\n",
    "an end without carriage return": b"GET / HTTP/1.1\r\nHost: localhost\r\n\n",
    "no Host": b"GET / HTTP/1.1\r\nAccept: x\r\n\r\n",
    "two Hosts": get(b"Host: localhost"),
    "two names in one Host": b"GET / HTTP/1.1\r\nHost: localhost, evil\r\n\r\n",
    "a Host with a path": b"GET / HTTP/1.1\r\nHost: localhost/x\r\n\r\n",
    "a Host with a login": b"GET / HTTP/1.1\r\nHost: a@localhost\r\n\r\n",
    "a Host with an endless port": b"GET / HTTP/1.1\r\nHost: localhost:123456\r\n\r\n",
    "two logins": get(b"Authorization: Basic YTpi", b"Authorization: Basic YTpi"),
    "two content types": post(b"Content-Type: a/b", b"Content-Type: c/d"),
    "a target of another host": get(target=b"http://evil/"),
    "a target with a login": get(target=b"http://a@localhost/"),
    "a target of another kind": get(target=b"ftp://localhost/"),
    "a target without slash": get(target=b"action"),
    "a target with a fragment": get(target=b"/#x"),
    "a target with a space": get(target=b"/ x"),
    "a target with a control character": get(target=b"/\x01"),
    "a target that is no ASCII": get(target="/é".encode()),
    "a star for another method": get(target=b"*"),
    "an authority": b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "no target": b"GET HTTP/1.1\r\n\r\n",
    "a version of the future": get(version=b"HTTP/2.0"),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a version of the past": get(version=b"HTTP/0.9"),
    "a version of two digits": get(version=b"HTTP/1.10"),
    "a version in lower case": get(version=b"http/1.1"),
    "another protocol": get(version=b"SIP/2.0"),
    "an empty method": b" / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a method with a bracket": b"GE(T / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "two spaces in the first line": b"GET  / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a tab in the first line": b"GET\t/\tHTTP/1.1\r\nHost: localhost\r\n\r\n",
    "an endless first line": get(target=b"/" + b"x" * 70_000),
    "an endless header": get(b"X: " + b"x" * 70_000),
    "too many headers": get(*[b"X: x"] * 200),
    "an unknown expectation": post(b"Expect: miracles", b"Content-Length: 0"),
    "nothing but line ends": b"\r\n\r\n\r\n\r\n",
    "a TLS greeting": bytes.fromhex("16030100a5010000a10303") + b"\r\n\r\n",
    "binary": bytes(range(256)) + b"\r\n\r\n",
    "half a head": b"GET / HTTP/1.1\r\nHost: loc",
}


@pytest.mark.parametrize("message", BROKEN.values(), ids=BROKEN)
def test_a_broken_request_is_refused_in_json_and_ends_its_connection(
    shared_server: RunningServer, message: bytes
) -> None:
    answer = tell(shared_server.url, message + get(b"Connection: close"))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 431 ")), answer
    assert b"\r\nConnection: close" in head
    assert b"\r\nContent-Type: application/json" in head
    # One answer: what came behind the broken request was not taken for another one.
    assert json.loads(body)["error"]["code"] in ("bad_request", "head_too_large")


def test_the_server_is_none_the_worse_for_all_of_them(shared_server: RunningServer) -> None:
    for message in BROKEN.values():
        tell(shared_server.url, message)
    assert Api(shared_server.url, LOGIN)("version").status == 200


UNUSUAL = {
    "an absolute target": get(b"Connection: close", target=b"http://localhost/"),
    "an absolute target without path": get(b"Connection: close", target=b"http://localhost?a=b"),
    "HTTP/1.0 with a Host": b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n",
    "an empty line first": b"\r\n" + get(b"Connection: close"),
    "a header without value": get(b"Accept:", b"Connection: close"),
    "spaces around a value": get(b"Accept: \t x \t", b"Connection: close"),
    "a list of connection options": get(b"Connection: TE, Close"),
    "an end instead of a body": post(b"Content-Length: 10", b"Connection: close", body=b"abc"),
    "a bare end of chunks": post(b"Transfer-Encoding: chunked", b"Connection: close"),
    "a star": b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
}


@pytest.mark.parametrize("message", UNUSUAL.values(), ids=UNUSUAL)
def test_an_unusual_request_is_a_request(shared_server: RunningServer, message: bytes) -> None:
    answer = tell(shared_server.url, message)
    assert answer.startswith((b"HTTP/1.1 401 ", b"HTTP/1.1 404 ")), answer
    assert answer.count(b"HTTP/1.1") == 1


def test_several_requests_in_one_go_are_answered_in_order(shared_server: RunningServer) -> None:
    login = b"Authorization: Basic c2xvdGg6c2xvdy1idXQtc3RlYWR5"
    targets = (b"/?action=version", b"/nowhere", b"/?action=list", b"/?action=nonsense")
    message = b"".join(get(login, target=target) for target in targets)
    answer = tell(shared_server.url, message)
    assert [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]] == [b"200", b"404", b"200", b"404"]


@pytest.mark.parametrize(
    "expects", [b"", b"Expect: 100-continue"], ids=["at once", "after a go-ahead"]
)
@pytest.mark.parametrize("size", [30, 60_000, 900_000], ids=["small", "whole", "large"])
def test_a_body_may_wait_for_the_go_ahead(
    shared_server: RunningServer, size: int, expects: bytes
) -> None:
    parts = urlsplit(shared_server.url)
    lines = [
        b"Authorization: Basic c2xvdGg6c2xvdy1idXQtc3RlYWR5",
        b"Content-Type: application/x-www-form-urlencoded",
        b"Content-Length: %d" % size,
        b"Connection: close",
    ]
    body = b"action=list&a=" + b"x" * size
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=20) as sock:
        sock.sendall(post(*lines, *filter(None, [expects])))
        reader = sock.makefile("rb")
        if expects:
            assert reader.readline() == b"HTTP/1.1 100 Continue\r\n"
            assert reader.readline() == b"\r\n"
        sock.sendall(body[:size])
        answer = reader.read()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"unknown_param" in answer


def test_a_stranger_is_not_asked_for_the_body(shared_server: RunningServer) -> None:
    answer = tell(
        shared_server.url,
        post(b"Content-Length: 900000", b"Expect: 100-continue", b"Connection: close"),
    )
    assert answer.startswith(b"HTTP/1.1 401 ")
