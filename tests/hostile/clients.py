"""Clients that mean no good: slow ones, in any number, at the cost of one thread."""

import selectors
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from enum import Enum
from threading import Event, Thread
from time import monotonic
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class Drip(Enum):
    """What a client sends at once; what follows comes a byte at a time, without end."""

    HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
    BODY = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n"
    LARGE_BODY = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n\r\n"
    CHUNKS = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n"
    NOTHING = b""


def tell(url: str, message: bytes) -> bytes:
    """Send these bytes and no more, and give what comes until the server ends the connection."""
    parts = urlsplit(url)
    answer = b""
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=20) as sock:
        sock.sendall(message)
        sock.shutdown(socket.SHUT_WR)
        while piece := sock.recv(65_536):
            answer += piece
    return answer


class DrippingClients:
    """So many clients that each send a byte every `interval` seconds, and connect again with
    the next byte when they were cut.

    A context: they live as long as its block.
    """

    def __init__(self, url: str, count: int, kind: Drip, *, interval: float = 1.0) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 80)
        self._count = count
        self._kind = kind
        self._interval = interval
        self._selector = selectors.DefaultSelector()
        self._ended = Event()
        self._thread = Thread(target=self._run, daemon=True)
        #: Bytes sent one by one, and how often a client was cut and came again.
        self.drops = 0
        self.cuts = 0
        #: What clients were told before they were cut, by the answer's status.
        self.answers: Counter[str] = Counter()

    def __enter__(self) -> Self:
        for _ in range(self._count):
            self._connect()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        for sock in list(self._sockets()):
            sock.close()
        self._selector.close()

    def _sockets(self) -> Iterator[socket.socket]:
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            yield key.fileobj

    def _connect(self) -> None:
        sock = socket.create_connection(self._address, timeout=20)
        sock.sendall(self._kind.value)
        sock.setblocking(False)
        self._selector.register(sock, selectors.EVENT_READ)

    def _run(self) -> None:
        due = monotonic()
        while not self._ended.is_set():
            for key, _events in self._selector.select(max(0, min(due - monotonic(), 0.1))):
                assert isinstance(key.fileobj, socket.socket)
                self._listen(key.fileobj)
            if monotonic() < due:
                continue
            due += self._interval
            for sock in self._sockets():
                self._drip(sock)
            with suppress(OSError):
                while len(self._selector.get_map()) < self._count:
                    self._connect()

    def _drip(self, sock: socket.socket) -> None:
        if self._kind is Drip.NOTHING:
            return
        with suppress(OSError):  # a cut is noticed where we listen
            self.drops += sock.send(b"x")

    def _listen(self, sock: socket.socket) -> None:
        try:
            told = sock.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            told = b""
        if told:
            self.answers[told[9:12].decode("latin-1")] += 1
            return
        self._selector.unregister(sock)
        sock.close()
        self.cuts += 1
