"""One live answer: a stream, and the connection on which it is sent."""

import selectors
import socket
import ssl
from math import inf

from sloth_ci.parameters import Stream
from sloth_ci.web.inbox import PIECE
from sloth_ci.web.visitor import Visitor

#: Bytes that may wait for a client; beyond that its stream is not asked for more.
MOST_UNSENT = 256_000
#: Bytes of a piece after which the next is asked for at once: a long text comes in many.
LONG = 16_000
#: Seconds until the next is asked for after a smaller one, if nobody tells of news before.
SOON = 0.2
#: Seconds without a word after which a client is told that all is well.
KEEP_ALIVE = 15.0
#: Seconds after which a client that takes nothing is given up.
STALLED = 30.0
#: The same for the system, which knows whether the client is there at all.
SILENT = 30
#: Bytes that a client may send meanwhile; they are thrown away.
MOST_HEARD = 64_000

EVENT_STREAM = "text/event-stream"
_COMMENT = b": \n\n"
_LAST_CHUNK = b"0\r\n\r\n"


class Follower:
    """A client of a stream. Times are those of the monotonic clock."""

    __slots__ = (
        "_asks_at",
        "_heard",
        "_is_chunked",
        "_is_leaving",
        "_moved",
        "_spoke",
        "_stream",
        "_unsent",
        "events",
        "is_ready",
        "visitor",
    )

    def __init__(self, visitor: Visitor, stream: Stream) -> None:
        self.visitor = visitor
        #: The head of the answer was sent.
        self.is_ready = False
        #: What the selector watches the connection for, 0 while it does not.
        self.events = 0
        self._stream = stream
        self._is_chunked = self._is_leaving = False
        self._asks_at = 0.0
        self._unsent = bytearray()
        self._heard = 0
        self._moved = self._spoke = 0.0

    @property
    def asks_at(self) -> float:
        """When its stream is to be asked for more even if nobody tells of news."""
        return self._asks_at if self._has_room else inf

    @property
    def is_done(self) -> bool:
        """Whether all was sent that ever will be."""
        return self._is_leaving and not self._unsent

    def begin(self, *, chunked: bool) -> None:
        """Note that the head was sent, and how it said that the body is framed."""
        self._is_chunked = chunked
        self.is_ready = True

    def arrive(self, now: float) -> None:
        """Take the connection over: from now on nothing waits for it.

        Raises OSError.
        """
        self._moved = self._spoke = now
        self.visitor.rfile.close()
        sock = self.visitor.socket
        sock.settimeout(0)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            _notice_silence(sock)

    def ask(self, now: float) -> bool:
        """Take what is new in the stream, if there is room for it; gives whether there was.

        Raises what the stream raises.
        """
        if self._is_leaving:
            return False
        if not self._has_room:
            self._asks_at = now
            return False
        data = self._stream.pull()
        self._asks_at = now if len(data) > LONG else now + SOON if data else inf
        self._say(data, now)
        if self._stream.ended:
            self._leave()
        elif now - self._spoke >= KEEP_ALIVE and self._stream.content_type == EVENT_STREAM:
            self._say(_COMMENT, now)
        return bool(data)

    def dismiss(self, now: float) -> None:
        """Let the stream say its last words, behind all that is new in it.

        Raises what the stream raises.
        """
        while self.ask(now):
            pass
        if not self._is_leaving:
            self._say(self._stream.close(), now)
            self._leave()

    def give_up(self) -> None:
        """Ask the stream no more; without the last chunk, the client sees that it broke off."""
        self._is_leaving = True
        self._asks_at = inf

    def send(self, now: float) -> int:
        """Send what can be sent at once; gives the events to wait for.

        Raises OSError.
        """
        while self._unsent:
            try:
                sent = self.visitor.socket.send(bytes(self._unsent[:PIECE]))
            except (BlockingIOError, ssl.SSLWantWriteError):
                return selectors.EVENT_READ | selectors.EVENT_WRITE
            except ssl.SSLWantReadError:
                break
            del self._unsent[:sent]
            self._moved = now
        return selectors.EVENT_READ

    def listen(self) -> None:
        """Throw away what the client sends; it has nothing to say any more.

        Raises OSError when it hung up, even if it did so for its own sending only: a client that
        goes away can't be told from that.
        """
        while True:
            try:
                data = self.visitor.socket.recv(PIECE)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            self._heard += len(data)
            if not data or self._heard > MOST_HEARD:
                raise ConnectionAbortedError

    def is_stalled(self, now: float) -> bool:
        """Whether the client has taken nothing for too long."""
        return bool(self._unsent) and now - self._moved >= STALLED

    @property
    def _has_room(self) -> bool:
        return len(self._unsent) <= MOST_UNSENT

    def _say(self, data: bytes, now: float) -> None:
        if not data:
            return
        if not self._unsent:
            self._moved = now
        self._unsent += b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked else data
        self._spoke = now

    def _leave(self) -> None:
        self.give_up()
        if self._is_chunked:
            self._unsent += _LAST_CHUNK


def _notice_silence(sock: socket.socket) -> None:
    """Let the system find out about clients that are gone without a word."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", SILENT),
        ("TCP_KEEPINTVL", SILENT // 3),
        ("TCP_USER_TIMEOUT", SILENT * 1_000),
    ):
        if option := getattr(socket, name, None):
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
