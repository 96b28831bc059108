"""The head of an HTTP/1.1 request, read strictly: what can be read in two ways is refused.

The grammar is that of RFC 9110 and RFC 9112. Where these leave a choice between mercy and refusal
(line ends without a carriage return, folded lines, lengths given twice) it is refusal: a proxy in
front of us that chose differently would see other requests than we do.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from sloth_ci.errors import BadRequest, HeadTooLarge

#: Bytes of a request's first line and headers.
MAX_HEAD = 64_000
MAX_HEADERS = 100
#: What ends a head.
END = b"\r\n\r\n"

_FIRST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([!-~]+) HTTP/([0-9])\.([0-9])")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\0\r\n]*)")
_STRAY = re.compile(rb"(?<!\r)\n|\r(?=[^\n])")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_HOST = re.compile(rb"([A-Za-z0-9._~-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]{0,5})?")
_ABSOLUTE = re.compile(rb"https?://([^/?]*)(.*)", re.IGNORECASE)
_QUOTED_SLASH = re.compile(rb"%2f", re.IGNORECASE)
_ONCE = frozenset(
    {b"Authorization", b"Content-Length", b"Content-Type", b"Expect", b"Host", b"Transfer-Encoding"}
)


@dataclass(frozen=True, slots=True)
class Head:
    """A request without its body."""

    method: bytes
    #: As it was sent, and its parts: the path decoded but for `%2F`, the query as it was sent.
    target: bytes
    path: bytes
    query: bytes
    #: The 1 of HTTP/1.1.
    minor: int
    #: Names are in title case; a header that came several times is joined by commas.
    headers: dict[bytes, bytes]
    #: Of the body, in bytes; 0 when it is chunked.
    length: int
    chunked: bool
    #: The client wants to use the connection again.
    stays: bool
    #: The client waits for a go-ahead before it sends the body.
    waits: bool


def find_head(received: bytearray) -> int:
    """Where the head ends, -1 while it has not arrived whole.

    Raises BadRequest as soon as it can't become one any more, HeadTooLarge.
    """
    end = received.find(END)
    seen = end if end >= 0 else len(received)
    if seen > MAX_HEAD:
        raise HeadTooLarge(size=MAX_HEAD, headers=MAX_HEADERS)
    if _STRAY.search(received, 0, seen):
        raise BadRequest(reason="its lines must end in CR LF.")
    return end


def read_head(block: bytes) -> Head:
    """The head in these bytes, which `find_head` found; without the empty line at the end.

    Raises BadRequest or HeadTooLarge.
    """
    first, *lines = block.split(b"\r\n")
    match = _FIRST_LINE.fullmatch(first)
    if not match:
        raise BadRequest(reason="its first line must be 'METHOD target HTTP/1.1'.")
    method, target, major, minor = match.groups()
    if major != b"1" or minor not in b"01":
        raise BadRequest(reason="it must be HTTP/1.1 or HTTP/1.0.")
    headers = _read_headers(lines)
    path, query = _read_target(method, target, _read_host(headers, minor))
    length, chunked = _read_framing(headers, minor)
    connection = headers.get(b"Connection", b"").lower()
    return Head(
        method=method,
        target=target,
        path=path,
        query=query,
        minor=int(minor),
        headers=headers,
        length=length,
        chunked=chunked,
        stays=b"close" not in connection and (minor == b"1" or b"keep-alive" in connection),
        waits=_read_expectation(headers, minor) and (chunked or length > 0),
    )


def _read_headers(lines: list[bytes]) -> dict[bytes, bytes]:
    if len(lines) > MAX_HEADERS:
        raise HeadTooLarge(size=MAX_HEAD, headers=MAX_HEADERS)
    headers: dict[bytes, bytes] = {}
    for number, line in enumerate(lines, 1):
        match = _HEADER.fullmatch(line)
        if not match:
            raise BadRequest(reason=f"header {number} must be 'Name: value' in one line.")
        name, value = match[1].title(), match[2].rstrip(b" \t")
        if b"_" in name:
            continue  # WSGI takes it for the same name with a hyphen; a proxy would not
        if name in headers:
            if name in _ONCE:
                raise BadRequest(reason=f"the header {name.decode()} came twice.")
            value = headers[name] + b", " + value
        headers[name] = value
    return headers


def _read_host(headers: dict[bytes, bytes], minor: bytes) -> bytes:
    host = headers.get(b"Host")
    if host is None:
        if minor == b"1":
            raise BadRequest(reason="the header Host is missing.")
        return b""
    if not _HOST.fullmatch(host):
        raise BadRequest(reason="the header Host must be a name, with or without a port.")
    return host


def _read_target(method: bytes, target: bytes, host: bytes) -> tuple[bytes, bytes]:
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute:
        if absolute[1].lower() != host.lower():
            raise BadRequest(reason="its target and its header Host name different hosts.")
        target = absolute[2] if absolute[2].startswith(b"/") else b"/" + absolute[2]
    if target == b"*" and method == b"OPTIONS":
        return b"/*", b""
    if not target.startswith(b"/") or b"#" in target:
        raise BadRequest(reason="its target must be a path such as /?action=info.")
    path, _, query = target.partition(b"?")
    if b"%" in path:
        path = b"%2F".join(unquote_to_bytes(part) for part in _QUOTED_SLASH.split(path))
    return path, query


def _read_framing(headers: dict[bytes, bytes], minor: bytes) -> tuple[int, bool]:
    coding = headers.get(b"Transfer-Encoding")
    length = headers.get(b"Content-Length")
    if coding is not None:
        if length is not None:
            raise BadRequest(reason="it has both a Content-Length and a Transfer-Encoding.")
        if coding.lower() != b"chunked" or minor != b"1":
            raise BadRequest(reason="its Transfer-Encoding must be 'chunked', by HTTP/1.1.")
        return 0, True
    if length is None:
        return 0, False
    if not _LENGTH.fullmatch(length):
        raise BadRequest(reason="its Content-Length must be a number.")
    return int(length), False


def _read_expectation(headers: dict[bytes, bytes], minor: bytes) -> bool:
    expected = headers.get(b"Expect")
    if expected is None or minor == b"0":
        return False
    if expected.lower() != b"100-continue":
        raise BadRequest(reason="its header Expect must be '100-continue'.")
    return True
