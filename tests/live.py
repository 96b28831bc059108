"""A client that follows a live answer, for tests."""

import socket
from contextlib import suppress


class Client:
    """A connection on which an answer is followed."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.head = b""
        #: What came so far, without its chunks.
        self.body = bytearray()
        #: The last chunk came.
        self.is_whole = False
        self._raw = bytearray()
        self._is_chunked = False

    def ask(self, path: str, *headers: str, method: str = "GET", version: str = "1.1") -> "Client":
        """Send a request and wait for the answer's head."""
        lines = [f"{method} /{path} HTTP/{version}", "Host: localhost", *headers, "", ""]
        self.sock.sendall("\r\n".join(lines).encode())
        while b"\r\n\r\n" not in self._raw:
            assert self._receive(), "no head came"
        head, _, rest = bytes(self._raw).partition(b"\r\n\r\n")
        self.head, self._raw = head, bytearray(rest)
        self._is_chunked = b"Transfer-Encoding: chunked" in head
        self._decode()
        return self

    def wait_for(self, text: bytes) -> None:
        """Receive until that text has come."""
        while text not in self.body:
            assert self._receive(), f"it ended with {self.body[-100:]!r}"
            self._decode()

    def read_all(self) -> bytes:
        """Receive until the connection ends, and give the whole body."""
        with suppress(ConnectionResetError):
            while self._receive():
                self._decode()
        return bytes(self.body)

    def _receive(self) -> bool:
        data = self.sock.recv(65_536)
        self._raw += data
        return bool(data)

    def _decode(self) -> None:
        if not self._is_chunked:
            self.body += self._raw
            self._raw.clear()
            return
        while (end := self._raw.find(b"\r\n")) > 0:
            size = int(self._raw[:end], 16)
            if len(self._raw) < end + size + 4:
                return
            self.body += self._raw[end + 2 : end + 2 + size]
            del self._raw[: end + size + 4]
            self.is_whole |= size == 0
