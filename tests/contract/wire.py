"""HTTP to the byte: requests written by hand, replies read to the end of the connection."""

import json
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from email.message import Message
from http.client import parse_headers
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

#: Seconds to wait for a connection, and for each piece of a reply.
PATIENCE = 45

Headers = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server sent, from the status line to the end of the connection."""

    status: int
    headers: Message
    body: bytes

    @property
    def text(self) -> str:
        """The body, for a reader."""
        return f"{self.status} {self.body.decode('utf-8', 'replace')}"

    @property
    def json(self) -> Any:
        """The body's JSON value, which the reply must announce as such."""
        assert self.headers["Content-Type"] == "application/json", self.text
        return json.loads(self.body)


def exchange(
    url: str, *, method: str = "GET", target: str = "/", headers: Headers = (), body: bytes = b""
) -> Reply:
    """Send one HTTP/1.1 request and read the whole reply."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {urlsplit(url).netloc}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return exchange_bytes(url, "\r\n".join([*lines, "", ""]).encode("latin-1") + body)


def exchange_bytes(url: str, message: bytes) -> Reply:
    """Send these bytes and read until the server closes the connection."""
    with _connect(url) as connection:
        connection.sendall(message)
        pieces = []
        while piece := connection.recv(65_536):
            pieces.append(piece)
    return _read(b"".join(pieces))


def _connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    connection = socket.create_connection((parts.hostname or "", port), timeout=PATIENCE)
    if parts.scheme != "https":
        return connection
    return ssl.create_default_context().wrap_socket(connection, server_hostname=parts.hostname)


def _read(message: bytes) -> Reply:
    stream = BytesIO(message)
    version, status, *_ = stream.readline().split(b" ", 2)
    assert version == b"HTTP/1.1", message[:100]
    headers = parse_headers(stream)
    body = stream.read()
    assert "Transfer-Encoding" not in headers
    if headers["Content-Length"] is not None:
        assert int(headers["Content-Length"]) == len(body)
    return Reply(int(status), headers, body)
