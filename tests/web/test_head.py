"""The head of a request is read to the letter, or refused."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sloth_ci.errors import BadRequest, HeadTooLarge
from sloth_ci.web.head import MAX_HEAD, find_head, read_head

PIECES = st.sampled_from(
    b"GET,POST, ,/,/?a=b,HTTP/1.1,HTTP/1.0,\r\n,\n,\r,:,Host: x,\0,\t,\xff,%".split(b",")
)


@given(st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=12).map(b"".join)))
def test_any_bytes_are_a_head_or_refused(block: bytes) -> None:
    with suppress(BadRequest, HeadTooLarge):
        end = find_head(bytearray(block))
        head = read_head(block if end < 0 else block[:end])
        assert head.path.startswith(b"/")
        assert head.length == 0 or not head.chunked


@given(st.integers(0, 10**17), st.binary(max_size=5).filter(lambda text: b"\n" not in text))
def test_a_head_is_found_where_it_ends(length: int, rest: bytes) -> None:
    block = b"POST /x?y HTTP/1.1\r\nhost: a:1\r\nCONTENT-length:%d" % length
    end = find_head(bytearray(block + b"\r\n\r\n" + rest))
    head = read_head(block)
    assert end == len(block)
    assert (head.method, head.path, head.query, head.length) == (b"POST", b"/x", b"y", length)
    assert head.headers == {b"Host": b"a:1", b"Content-Length": b"%d" % length}


def test_half_a_head_is_waited_for() -> None:
    whole = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    assert [find_head(bytearray(whole[:end])) for end in range(len(whole))] == [-1] * len(whole)
    assert find_head(bytearray(whole)) == len(whole) - 4


def test_what_is_too_long_for_a_head_is_not_waited_for() -> None:
    with pytest.raises(HeadTooLarge):
        find_head(bytearray(b"x" * (MAX_HEAD + 1)))


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/a%20b", b"/a b"),
        (b"/a%2Fb%2fc", b"/a%2Fb%2Fc"),
        (b"/%2e%2e/", b"/../"),
        (b"//a", b"//a"),
        (b"/%zz%", b"/%zz%"),
        (b"http://h/a?b", b"/a"),
        (b"HTTP://H", b"/"),
    ],
)
def test_the_path_is_decoded_but_for_slashes(target: bytes, path: bytes) -> None:
    assert read_head(b"GET " + target + b" HTTP/1.1\r\nHost: h").path == path


def test_headers_that_came_twice_are_joined() -> None:
    head = read_head(b"GET / HTTP/1.1\r\nHost: h\r\nx-a: 1\r\nX-A: 2")
    assert head.headers[b"X-A"] == b"1, 2"


def test_a_header_with_an_underscore_is_not_mistaken_for_another() -> None:
    head = read_head(b"GET / HTTP/1.1\r\nHost: h\r\nX_Forwarded_For: 1.2.3.4")
    assert list(head.headers) == [b"Host"]


@pytest.mark.parametrize(
    ("version", "connection", "stays"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"Connection: close", False),
        (b"1.1", b"Connection: TE, CLOSE", False),
        (b"1.0", b"", False),
        (b"1.0", b"Connection: keep-alive", True),
    ],
)
def test_a_connection_stays_when_both_want_that(
    version: bytes, connection: bytes, stays: bool
) -> None:
    lines = [b"GET / HTTP/" + version, b"Host: h", *filter(None, [connection])]
    assert read_head(b"\r\n".join(lines)).stays is stays
