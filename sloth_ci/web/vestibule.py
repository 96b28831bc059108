"""Where connections wait, at no thread's cost, until a whole request has arrived on them.

One thread accepts connections, takes in what arrives, and hands a connection to the threads that
answer once the request on it is whole; so a slow client makes nobody wait but itself. Large bodies
are the exception: they are read by the answering thread, and only a few of these at a time.
"""

import errno
import logging
import selectors
import socket
import ssl
from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from threading import Lock
from time import monotonic, sleep
from typing import Protocol

from sloth_ci.errors import BadRequest, RequestTimeout, SlothError, Unavailable
from sloth_ci.web.crowd import Crowd
from sloth_ci.web.head import Head
from sloth_ci.web.inbox import GO_AHEAD, GRACE, PIECE, Inbox, Outbox

LOG = logging.getLogger("sloth_ci.web")

#: Bytes of a body that are waited for here.
WHOLE = 65_536
#: Larger or chunked bodies that are read at the same time; seconds the next ones wait for that.
LARGE_AT_ONCE = 4
LARGE_PATIENCE = 60.0
#: Seconds that a connection without a request is kept.
IDLE = 10.0
#: Seconds, and bytes, for a refused client to stop sending and read why it was refused.
FAREWELL = 2.0
FAREWELL_BYTES = 100_000_000
#: Seconds between looks at the deadlines, and without new connections when there are too many.
TICK = 0.5
#: Seconds for requests that are arriving when the server stops.
LAST_CALL = 1.0
_BURST = 64
_NO_MORE_FILES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Stage(Enum):
    """What the vestibule waits for."""

    GREETING = auto()  # the TLS handshake
    IDLE = auto()  # the first byte of a request
    ARRIVING = auto()  # the rest of it
    LEAVING = auto()  # the client's end, after a refusal


class Visitor(Protocol):
    """What the vestibule knows of a connection."""

    socket: socket.socket
    remote_addr: str
    rfile: Inbox
    wfile: Outbox
    stage: Stage
    deadline: float
    #: The request's head, once it has arrived.
    head: Head | None
    #: It has one of the few places for large bodies.
    seated: bool

    def read_head(self) -> Head | None:
        """The head, None as long as it isn't whole; raises BadRequest or HeadTooLarge."""

    def refuse(self, error: SlothError) -> bool:
        """Say so, if that can be done at once."""

    def cut(self) -> None:
        """End the connection now."""


class Vestibule:
    """Keeps connections until there is something to answer.

    `admit` makes a connection of an accepted socket; `hand_over` gives one to the threads that
    answer, from which it comes back by `put` or `see_out`. It stands where cheroot has its
    ConnectionManager.
    """

    def __init__(
        self,
        listening: socket.socket,
        *,
        crowd: Crowd,
        max_body: int,
        admit: Callable[[socket.socket, str, int], Visitor],
        hand_over: Callable[[Visitor], None],
    ) -> None:
        self._listening = listening
        self._crowd = crowd
        self._max_body = max_body
        self._admit = admit
        self._hand_over = hand_over
        self._selector = selectors.DefaultSelector()
        self._lock = Lock()
        self._large: deque[Visitor] = deque()
        self._seats = LARGE_AT_ONCE
        self._serving = False
        self._stop_at: float | None = None
        self._closed_until: float | None = None
        self._wake, self._waker = socket.socketpair()
        listening.settimeout(0)
        self._selector.register(listening, selectors.EVENT_READ)
        self._selector.register(self._wake, selectors.EVENT_READ)

    #: Cheroot asks; the limit is that of all connections.
    can_add_keepalive_connection = True

    def run(self, _interval: float) -> None:
        """Attend to connections until `stop`."""
        self._serving = True
        try:
            while not self._is_over():
                for key, _events in self._selector.select(TICK):
                    if key.fileobj is self._listening:
                        self._accept()
                    elif key.data is not None:
                        self._attend(key.data)
                self._look_at_clock(monotonic())
        finally:
            self._serving = False

    def stop(self) -> None:
        """Take no more connections, let requests that are arriving arrive, and end `run`."""
        self._stop_at = monotonic() + LAST_CALL
        self._waker.send(b"!")
        while self._serving:
            sleep(0.005)

    def close(self) -> None:
        """End all connections that wait here."""
        for visitor in self._visitors():
            self._unregister(visitor)
            visitor.cut()
        while self._large:
            self._large.popleft().cut()
        self._selector.close()
        self._wake.close()
        self._waker.close()

    def put(self, visitor: Visitor) -> None:
        """Take a connection back after an answer, for its next request."""
        self._give_up_seat(visitor)
        visitor.head = None
        visitor.rfile.begin()
        visitor.stage = Stage.IDLE
        visitor.deadline = monotonic() + IDLE
        if visitor.rfile.arrived:
            self._consider(visitor)
        else:
            self._register(visitor)

    def see_out(self, visitor: Visitor) -> None:
        """Let a client that may still be sending read its answer, then end the connection."""
        self._give_up_seat(visitor)
        visitor.stage = Stage.LEAVING
        visitor.deadline = monotonic() + FAREWELL
        try:
            visitor.socket.shutdown(socket.SHUT_WR)
        except OSError:
            visitor.cut()
            return
        visitor.rfile.close()
        self._register(visitor)

    def leave(self, visitor: Visitor) -> None:
        """Note that a connection has ended."""
        self._give_up_seat(visitor)
        self._crowd.leave(visitor.remote_addr)

    # Arriving

    def _accept(self) -> None:
        for _ in range(_BURST):
            try:
                sock, address = self._listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno not in _NO_MORE_FILES:
                    continue
                LOG.error("No new connections for a moment: %s", error.strerror)
                self._selector.unregister(self._listening)
                self._closed_until = monotonic() + TICK
                return
            self._welcome(sock, *(address[:2] if address else ("", 0)))

    def _welcome(self, sock: socket.socket, host: str, port: int) -> None:
        admitted = self._crowd.admit(host)
        visitor = self._admit(sock, host, port)
        if not admitted:
            self._crowd.leave  # noqa: B018
        self._attend(visitor)
