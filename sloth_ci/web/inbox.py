"""What arrives on a connection, and what leaves on it: never waiting longer than is fair."""

import socket
import ssl
from time import monotonic

from sloth_ci.errors import BadBody, BodyTooLarge, RequestTimeout

#: Seconds for a request to arrive, or an answer to leave; bytes that earn a second more.
GRACE = 10.0
LEAST_RATE = 32_000
#: Bytes read at once.
PIECE = 65_536
#: Bytes of a chunked body, which can't say beforehand how large it becomes.
MAX_CHUNKED = 4_000_000
#: A smaller chunk counts as one of so many bytes: it takes as long.
LEAST_CHUNK = 200
GO_AHEAD = b"HTTP/1.1 100 Continue\r\n\r\n"
#: Bytes of a line between chunks, and of all lines behind the last one.
_MAX_LINE = 1_000
_MAX_TRAILER = 8_000

_NOTHING_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Inbox:
    """The bytes of a connection that arrived and were not read yet.

    A request has `GRACE` seconds from its first byte, and one more for each `LEAST_RATE` bytes.
    """

    __slots__ = ("_began", "_sock", "arrived", "bytes_read", "closed", "ended")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.arrived = bytearray()
        #: The other side sends no more.
        self.ended = False
        self.closed = False
        self.bytes_read = 0
        self.begin()

    def begin(self) -> None:
        """From now on counts the time of the next request."""
        self._began = monotonic()
        self.bytes_read = len(self.arrived)

    @property
    def deadline(self) -> float:
        """When the request must have arrived, by the monotonic clock."""
        return self._began + GRACE + self.bytes_read / LEAST_RATE

    def poll(self) -> None:
        """Take in what is there, without waiting."""
        if self._sock.gettimeout() != 0:
            self._sock.settimeout(0)
        try:
            self._receive()
        except _NOTHING_YET:
            return
        except OSError:
            self.ended = True

    def take(self, size: int) -> bytes:
        """The next `size` bytes; fewer when the other side ends before.

        Raises RequestTimeout.
        """
        pieces = []
        while size and (self.arrived or self._wait()):
            pieces.append(bytes(self.arrived[:size]))
            del self.arrived[:size]
            size -= len(pieces[-1])
        return b"".join(pieces)

    def take_line(self) -> bytes:
        """The bytes up to the next line end, without it.

        Raises RequestTimeout, or BadBody where there is no such line.
        """
        while (end := self.arrived.find(b"\r\n")) < 0:
            if len(self.arrived) > _MAX_LINE or not self._wait():
                raise BadBody(wanted="chunked as its header says", reason="a line has no end")
        line = bytes(self.arrived[:end])
        del self.arrived[: end + 2]
        return line

    def close(self) -> None:
        """Forget what was not read."""
        self.closed = True
        self.arrived.clear()

    def _wait(self) -> bool:
        """Wait for more; False when none will come."""
        left = self.deadline - monotonic()
        if left <= 0:
            raise RequestTimeout
        self._sock.settimeout(min(left, GRACE))
        try:
            return not self.ended and self._receive()
        except TimeoutError as error:
            raise RequestTimeout from error
        except OSError:
            self.ended = True
            return False

    def _receive(self) -> bool:
        data = self._sock.recv(PIECE)
        # What TLS has deciphered already is in no selector's sight.
        while data and isinstance(self._sock, ssl.SSLSocket) and (more := self._sock.pending()):
            data += self._sock.recv(more)
        self.arrived += data
        self.bytes_read += len(data)
        self.ended = not data
        return not self.ended


class Outbox:
    """Where answers leave; an answer's head waits for the first piece of its body."""

    __slots__ = ("_held", "_sock", "bytes_written")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._held: bytes | None = None
        self.bytes_written = 0

    def hold(self) -> None:
        """What is written next waits for what is written then."""
        self._held = b""

    def write(self, data: bytes) -> int:
        """Send this, as `send` does, unless it is to be held."""
        if self._held == b"":
            self._held = data
            return len(data)
        held, self._held = self._held, None
        self.send(held + data if held else data)
        return len(data)

    def flush(self) -> None:
        """Send what waits."""
        held, self._held = self._held, None
        if held:
            self.send(held)

    def send_at_once(self, data: bytes) -> bool:
        """Send this without waiting; False when that can't be done."""
        try:
            return not self.send_now(data)
        except OSError:
            return False

    def send_now(self, data: bytes) -> bytes:
        """Send what can be sent of this without waiting, and give the rest.

        Raises OSError.
        """
        if self._sock.gettimeout() != 0:
            self._sock.settimeout(0)
        sent = self._send_some(memoryview(data))
        self.bytes_written += sent
        return data[sent:]

    def send(self, data: bytes) -> None:
        """Send this, whatever is held back.

        Raises OSError when it can't be, or takes too long.
        """
        deadline = monotonic() + GRACE + len(data) / LEAST_RATE
        unsent = memoryview(data)
        # Nearly always there is room for all of it, and the socket stays as the vestibule wants it.
        if self._sock.gettimeout() == 0:
            unsent = unsent[self._send_some(unsent) :]
        while unsent:
            self._sock.settimeout(max(deadline - monotonic(), 0.001))
            unsent = unsent[self._sock.send(unsent) :]
        self.bytes_written += len(data)

    def _send_some(self, data: memoryview) -> int:
        try:
            return self._sock.send(data)
        except _NOTHING_YET:
            return 0


class Body:
    """A body of known length, read from the inbox when it is wanted."""

    __slots__ = ("_inbox", "_left", "_outbox")

    def __init__(self, inbox: Inbox, length: int, *, go_ahead_by: Outbox | None = None) -> None:
        self._inbox = inbox
        self._left = length
        self._outbox = go_ahead_by

    @property
    def is_here(self) -> bool:
        """Whether what was not read yet has arrived, so that the next request can follow."""
        return self._left <= len(self._inbox.arrived)

    def read(self, size: int = -1) -> bytes:
        """That many bytes, or all; fewer when the sender ends before.

        Raises RequestTimeout.
        """
        if self._outbox and self._left > len(self._inbox.arrived):
            self._outbox.send(GO_AHEAD)
        self._outbox = None
        data = self._inbox.take(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        return data

    def drop(self) -> None:
        """Throw away what is here of it and was not read."""
        del self._inbox.arrived[: self._left]
        self._left = 0


class ChunkedBody:
    """A body in chunks, by RFC 9112, section 7.1."""

    __slots__ = ("_chunk", "_inbox", "_outbox", "_size", "is_here")

    def __init__(self, inbox: Inbox, *, go_ahead_by: Outbox | None = None) -> None:
        self._inbox = inbox
        self._outbox = go_ahead_by
        self._chunk = 0
        self._size = 0
        #: Whether all of it was read, so that the next request can follow.
        self.is_here = False

    def read(self, size: int = -1) -> bytes:
        """That many bytes, or all.

        Raises RequestTimeout, BadBody, or BodyTooLarge beyond `MAX_CHUNKED`.
        """
        if self._outbox:
            self._outbox.send(GO_AHEAD)
            self._outbox = None
        pieces: list[bytes] = []
        left = MAX_CHUNKED + 1 if size < 0 else size
        while left and not self.is_here:
            if not self._chunk:
                self._begin_chunk()
                continue
            piece = self._inbox.take(min(left, self._chunk))
            if not piece:
                raise BadBody(wanted="whole", reason="it broke off within a chunk")
            pieces.append(piece)
            left -= len(piece)
            self._chunk -= len(piece)
            if not self._chunk and self._inbox.take_line():
                raise BadBody(wanted="chunked as its header says", reason="a chunk is too long")
        return b"".join(pieces)

    def drop(self) -> None:
        """Nothing: what was not read is not known to be here."""

    def _begin_chunk(self) -> None:
        text = self._inbox.take_line().partition(b";")[0].rstrip(b" \t")
        if not 0 < len(text) <= 8 or text.strip(b"0123456789abcdefABCDEF"):
            raise BadBody(wanted="chunked as its header says", reason="a chunk has no size")
        self._chunk = int(text, 16)
        self._size += max(self._chunk, LEAST_CHUNK)
        if self._size > MAX_CHUNKED:
            raise BodyTooLarge(limit=MAX_CHUNKED)
        if not self._chunk:
            self._skip_trailer()
            self.is_here = True

    def _skip_trailer(self) -> None:
        size = 0
        while line := self._inbox.take_line():
            size += len(line)
            if size > _MAX_TRAILER:
                raise BadBody(wanted="chunked as its header says", reason="its trailer is endless")
