"""Where connections wait, at no thread's cost, until a whole request has arrived on them.

One thread accepts connections, takes in what arrives, and hands a connection to the threads that
answer once the request on it is whole: a slow client makes nobody wait but itself. Large bodies
are the exception. The answering thread reads them, and only a few are read at a time.
"""

import errno
import logging
import math
import selectors
import socket
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from time import monotonic, sleep

from sloth_ci.errors import BadRequest, RequestTimeout, SlothError, Unavailable
from sloth_ci.web.head import Head
from sloth_ci.web.inbox import GO_AHEAD, PIECE, Inbox
from sloth_ci.web.seats import Seats
from sloth_ci.web.visitor import Stage, Visitor

LOG = logging.getLogger("sloth_ci.web")

#: Bytes of a body that are waited for here.
WHOLE = 65_536
#: Seconds that a connection is kept for a next request.
IDLE = 10.0
#: Seconds for a refused client to stop sending and to read why it was refused.
FAREWELL = 2.0
#: Seconds for requests that are arriving when the server stops.
LAST_CALL = 1.0
#: Seconds between looks at the deadlines.
TICK = 0.5
_BURST = 64
_NO_MORE_FILES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Vestibule:
    """Keeps connections until there is something to answer.

    `admit` makes a visitor of an accepted socket, or turns it away. `hand_over` gives one to the
    threads that answer, who give it back by `put` or `see_out`. `attend` does what else there is to
    do in each round, and says whether there is more; while it `has_guests`, the end waits a moment.
    It stands where cheroot has its ConnectionManager.
    """

    #: Cheroot asks before it keeps a connection; we count them all, not these.
    can_add_keepalive_connection = True

    def __init__(
        self,
        listening: socket.socket,
        *,
        max_body: int,
        admit: Callable[[socket.socket, str, int], Visitor | None],
        hand_over: Callable[[Visitor], None],
        attend: Callable[[float], bool],
        has_guests: Callable[[], bool],
    ) -> None:
        self._listening = listening
        self._max_body = max_body
        self._admit = admit
        self._hand_over = hand_over
        self._attend_further = attend
        self._has_guests = has_guests
        self._selector = selectors.DefaultSelector()
        self._lock = Lock()
        self._seats = Seats()
        self._looks_at = 0.0
        self._serving = False
        self._is_closed = False
        self._accepts_from = 0.0
        self._is_accepting = True
        self._ends_at: float | None = None
        self._woken, self._waker = socket.socketpair()
        self._is_woken = False
        listening.settimeout(0)
        self._selector.register(listening, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)

    def run(self, _interval: float) -> None:
        """Attend to connections until `stop`."""
        self._serving = True
        try:
            is_busy = False
            while not self._is_over():
                for key, _events in self._selector.select(0 if is_busy else TICK):
                    if key.data:
                        self._attend(key.data)
                    elif key.fileobj is self._listening:
                        self._accept()
                    else:
                        self._woken.recv(PIECE)
                        self._is_woken = False
                now = monotonic()
                is_busy = self._attend_further(now)
                self._look_at_clock(now)
        finally:
            self._serving = False

    def wake(self) -> None:
        """Have `attend` called soon, from any thread."""
        if not self._is_woken:
            self._is_woken = True
            with suppress(OSError):  # closed: nobody attends any more
                self._waker.send(b"!")

    def stop(self) -> None:
        """Take no more connections, let requests that are arriving arrive, and end `run`."""
        self._ends_at = monotonic() + LAST_CALL
        self._waker.send(b"!")
        while self._serving:
            sleep(0.005)

    def close(self) -> None:
        """End all connections that wait here."""
        for visitor in self._visitors():
            self._forget(visitor)
            visitor.cut()
        with self._lock:
            self._is_closed = True
        for visitor in self._seats.dismiss(now=math.inf):
            visitor.cut()
        self._selector.close()
        self._woken.close()
        self._waker.close()

    def put(self, visitor: Visitor) -> None:
        """Take a connection back after an answer, for its next request."""
        self.give_up_seat(visitor)
        visitor.head = None
        visitor.went_ahead = False
        visitor.stage = Stage.IDLE
        visitor.deadline = monotonic() + IDLE
        if visitor.rfile.arrived:
            self._consider(visitor)
        else:
            self._keep(visitor)

    def see_out(self, visitor: Visitor) -> None:
        """Let a client that may still be sending read its answer, then end the connection."""
        self._forget(visitor)
        self.give_up_seat(visitor)
        visitor.stage = Stage.LEAVING
        visitor.deadline = monotonic() + FAREWELL
        visitor.rfile.close()
        try:
            visitor.end_sending()
            visitor.socket.settimeout(0)
        except OSError:
            visitor.cut()
            return
        self._keep(visitor)

    def give_up_seat(self, visitor: Visitor) -> None:
        """Let the next large body be read when this visitor had one."""
        follower = self._seats.leave(visitor)
        if follower:
            self._hand_over(follower)

    # Arrivals

    def _accept(self) -> None:
        for _ in range(_BURST):
            try:
                sock, address = self._listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _NO_MORE_FILES:
                    LOG.error("No new connections for a moment: %s", error.strerror)
                    self._stop_accepting(until=monotonic() + TICK)
                    return
                continue  # it was gone before we saw it
            visitor = self._admit(sock, *(address[:2] if address else ("", 0)))
            if visitor:
                self._attend(visitor)

    def _stop_accepting(self, *, until: float) -> None:
        if self._is_accepting:
            self._selector.unregister(self._listening)
        self._is_accepting = False
        self._accepts_from = until

    def _attend(self, visitor: Visitor) -> None:
        """Do what there is to do for a visitor from whom something came."""
        try:
            if visitor.stage is Stage.GREETING:
                self._greet(visitor)
            elif visitor.stage is Stage.LEAVING:
                self._wave(visitor)
            else:
                visitor.rfile.poll()
                self._consider(visitor)
        except Exception:
            # The edge: whatever one connection does, the others are to be attended to.
            LOG.exception("A connection failed")
            self._forget(visitor)
            visitor.cut()

    def _greet(self, visitor: Visitor) -> None:
        self._forget(visitor)
        try:
            events = visitor.greet()
        except OSError as error:
            LOG.info("A connection ended in its TLS handshake: %s", error)
            self.see_out(visitor)
            return
        if events:
            self._keep(visitor, events)
            return
        visitor.stage = Stage.ARRIVING
        visitor.rfile.begin()
        visitor.rfile.poll()
        self._consider(visitor)

    def _wave(self, visitor: Visitor) -> None:
        try:
            if visitor.socket.recv(PIECE):
                return
        except BlockingIOError:
            return
        except OSError as error:
            LOG.debug("A refused client is gone: %s", error)
        self._forget(visitor)
        visitor.cut()

    def _consider(self, visitor: Visitor) -> None:
        """Hand over what is whole, refuse what can't become a request, wait for the rest."""
        inbox = visitor.rfile
        if visitor.stage is Stage.IDLE and inbox.arrived:
            visitor.stage = Stage.ARRIVING
            inbox.begin()
        try:
            visitor.head = visitor.head or visitor.read_head()
        except SlothError as error:
            self._refuse(visitor, error)
            return
        if visitor.head is None:
            self._wait_for_head(visitor)
        elif self._is_whole(visitor.head, inbox):
            self._forget(visitor)
            self._hand_over(visitor)
        elif self._is_large(visitor.head, inbox):
            self._forget(visitor)
            if self._seats.take(visitor):
                self._hand_over(visitor)
        else:
            self._wait_for_body(visitor, visitor.head)

    def _wait_for_head(self, visitor: Visitor) -> None:
        if not visitor.rfile.ended:
            self._keep(visitor)
        elif visitor.rfile.arrived:
            self._refuse(visitor, BadRequest(reason="it broke off."))
        else:
            self._forget(visitor)
            visitor.cut()

    def _is_whole(self, head: Head, inbox: Inbox) -> bool:
        """Whether the answering thread will not have to wait for anything."""
        if head.chunked:
            return False
        # A body that nobody takes is not read at all.
        return inbox.ended or head.length <= len(inbox.arrived) or head.length > self._max_body

    def _is_large(self, head: Head, inbox: Inbox) -> bool:
        """Whether the answering thread has to read the body, and may begin."""
        if head.chunked:
            return True
        return head.length > WHOLE and (head.waits or len(inbox.arrived) >= WHOLE)

    def _wait_for_body(self, visitor: Visitor, head: Head) -> None:
        if head.waits and not visitor.went_ahead and head.length <= WHOLE:
            visitor.went_ahead = True
            if not visitor.wfile.send_at_once(GO_AHEAD):
                self._forget(visitor)
                visitor.cut()
                return
        self._keep(visitor)

    # Departures

    def _refuse(self, visitor: Visitor, error: SlothError) -> None:
        self._forget(visitor)
        visitor.tell(error)
        self.see_out(visitor)

    def _look_at_clock(self, now: float) -> None:
        if now < self._looks_at:
            return
        self._looks_at = now + TICK
        if not self._is_accepting and self._ends_at is None and now >= self._accepts_from:
            self._selector.register(self._listening, selectors.EVENT_READ)
            self._is_accepting = True
        for visitor in self._visitors():
            arriving = visitor.stage is Stage.ARRIVING
            if now < (visitor.rfile.deadline if arriving else visitor.deadline):
                continue
            if arriving and visitor.rfile.arrived:
                self._refuse(visitor, RequestTimeout())
            else:
                self._forget(visitor)
                visitor.cut()
        for visitor in self._seats.dismiss(now=now):
            self._refuse(visitor, Unavailable(reason="too many large requests came at once"))

    def _is_over(self) -> bool:
        """Whether the server stops and nothing arrives any more."""
        if self._ends_at is None:
            return False
        self._stop_accepting(until=self._ends_at)
        arriving = {Stage.GREETING, Stage.ARRIVING}
        return monotonic() >= self._ends_at or not (
            self._has_guests() or any(visitor.stage in arriving for visitor in self._visitors())
        )

    # The selector

    def _visitors(self) -> list[Visitor]:
        with self._lock:
            return [key.data for key in self._selector.get_map().values() if key.data]

    def _keep(self, visitor: Visitor, events: int = selectors.EVENT_READ) -> None:
        """Let the visitor belong to the selector; after that, nobody else may touch it."""
        if visitor.waiting:
            return
        visitor.waiting = True
        with self._lock:
            if not self._is_closed:
                self._selector.register(visitor.socket, events, visitor)
                return
        visitor.waiting = False
        visitor.cut()

    def _forget(self, visitor: Visitor) -> None:
        if visitor.waiting:
            with self._lock:
                self._selector.unregister(visitor.socket)
            visitor.waiting = False
