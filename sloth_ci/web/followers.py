"""Live answers, all served by one thread: whoever follows a stream holds no other.

When the head of such an answer is sent, the thread that answered gives its connection away to
here. The stream is asked for more when the store tells of a commit, and at least every second.
"""

import logging
import selectors
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from math import inf
from threading import Lock, Thread
from time import monotonic, thread_time

from sloth_ci.errors import Unavailable
from sloth_ci.web.follower import Follower
from sloth_ci.web.visitor import Visitor

LOG = logging.getLogger("sloth_ci.web")

#: Takes what is to be called after each commit, and gives what ends that.
Subscribe = Callable[[Callable[[], None]], Callable[[], None]]

#: Seconds between two rounds at most: a stream may have news that no commit tells of.
LOOK = 1.0
#: Seconds of rest after a round at least, and how much more than the round's work it is: however
#: many commits there are, followers take a third of one core and no more.
REST = 0.01
REST_FACTOR = 2
#: Seconds for last words when the server stops.
LAST_WORDS = 0.8


class Followers:
    """Serves at most `most` live answers.

    `see_out` is given the connections whose stream has ended.
    """

    def __init__(
        self, *, most: int, subscribe: Subscribe, see_out: Callable[[Visitor], None]
    ) -> None:
        self._most = most
        self._subscribe = subscribe
        self._see_out = see_out
        self._lock = Lock()
        self._places: set[Visitor] = set()
        self._arrivals: deque[Follower] = deque()
        self._is_closed = False
        #: What follows belongs to the thread, but for `_is_told` and `_ends_at`.
        self._present: set[Follower] = set()
        self._is_told = False
        self._ends_at: float | None = None
        self._is_parting = False
        self._rests_until = self._looks_at = 0.0
        self._selector = selectors.DefaultSelector()
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread = Thread(target=self._run, name="followers", daemon=True)
        self._thread.start()

    def admit(self, visitor: Visitor) -> None:
        """Keep a place for that connection, until `leave`.

        Raises Unavailable when there is none.
        """
        with self._lock:
            if self._is_closed or self._ends_at is not None:
                raise Unavailable(reason="it is stopping")
            if len(self._places) >= self._most:
                raise Unavailable(reason=f"all {self._most} places of followers are taken")
            self._places.add(visitor)

    def leave(self, visitor: Visitor) -> None:
        """Free the place of that connection, if it has one."""
        with self._lock:
            self._places.discard(visitor)

    def take(self, follower: Follower) -> None:
        """Take over a follower whose head was sent."""
        with self._lock:
            is_late = self._is_closed
            if not is_late:
                self._arrivals.append(follower)
        if not is_late:
            self._wake()
            return
        with suppress(OSError):
            follower.arrive(monotonic())
            _dismiss(follower)
            follower.send(monotonic())
        follower.visitor.cut()

    def stop(self) -> None:
        """Let every stream say its last words; `join` waits for that."""
        with self._lock:
            if self._ends_at is None:
                self._ends_at = monotonic() + LAST_WORDS
        self._wake()

    def join(self) -> None:
        """Wait for the end after `stop`, but not much longer than it should take."""
        self._thread.join(2 * LAST_WORDS)
        if self._thread.is_alive():
            LOG.error("A live answer holds the others up; their connections end with the server")

    # The thread

    def _run(self) -> None:
        unsubscribe = self._subscribe(self._hear)
        try:
            while not self._is_over():
                for key, _events in self._selector.select(self._patience()):
                    if key.data:
                        self._attend(key.data)
                    else:
                        self._woken.recv(1_024)
                self._welcome()
                self._go_round()
        finally:
            unsubscribe()
            self._close()

    def _hear(self) -> None:
        """Note, on another thread, that there was a commit."""
        if self._present and not self._is_told:
            self._is_told = True
            self._wake()

    def _wake(self) -> None:
        with suppress(OSError):  # what can't be sent, since so much was, need not be
            self._waker.send(b"!")

    def _is_over(self) -> bool:
        if self._ends_at is None:
            return False
        if not self._is_parting:
            self._is_parting = True
            for follower in tuple(self._present):
                if monotonic() < self._ends_at:
                    self._part(follower)
        return monotonic() >= self._ends_at or not (self._present or self._arrivals)

    def _patience(self) -> float | None:
        """Seconds to wait for something to happen; None for ever."""
        if not self._present:
            return None
        wanted = 0.0 if self._is_told else min(self._looks_at, self._asks_at)
        until = max(self._rests_until, wanted)
        if self._ends_at is not None:
            until = min(until, self._ends_at)
        return max(until - monotonic(), 0)

    @property
    def _asks_at(self) -> float:
        return min((follower.asks_at for follower in self._present), default=inf)

    def _welcome(self) -> None:
        while self._arrivals:
            follower = self._arrivals.popleft()
            self._present.add(follower)
            try:
                follower.arrive(monotonic())
            except OSError:
                self._cut(follower)
                continue
            if self._is_parting:
                self._part(follower)
            else:
                self._serve(follower)

    def _go_round(self) -> None:
        """Ask those who may have news, unless it is too soon."""
        began = monotonic()
        is_full = self._is_told or began >= self._looks_at
        if began < self._rests_until or not (is_full or began >= self._asks_at):
            return
        if is_full:
            self._is_told = False  # before they are asked: a commit from now on is news again
            self._looks_at = began + LOOK
        busy_since = thread_time()
        for follower in tuple(self._present):
            if follower.is_stalled(began):
                self._cut(follower)
            elif is_full or began >= follower.asks_at:
                self._serve(follower)
        busy = thread_time() - busy_since
        self._rests_until = monotonic() + max(REST, REST_FACTOR * busy)

    def _attend(self, follower: Follower) -> None:
        """Do what there is to do for a connection on which something happened."""
        try:
            follower.listen()
        except OSError:
            self._cut(follower)
            return
        self._send(follower)

    def _serve(self, follower: Follower) -> None:
        try:
            follower.ask(monotonic())
        except Exception:
            # The edge: whatever one stream does, the others are to be served.
            LOG.exception("A live answer failed")
            follower.give_up()
        self._send(follower)

    def _part(self, follower: Follower) -> None:
        _dismiss(follower)
        self._send(follower)

    def _send(self, follower: Follower) -> None:
        try:
            events = follower.send(monotonic())
        except OSError:
            self._cut(follower)
            return
        if follower.is_done:
            self._drop(follower)
            self._see_out(follower.visitor)
        else:
            self._watch(follower, events)

    # The selector

    def _watch(self, follower: Follower, events: int) -> None:
        if not follower.events:
            self._selector.register(follower.visitor.socket, events, follower)
        elif follower.events != events:
            self._selector.modify(follower.visitor.socket, events, follower)
        follower.events = events

    def _cut(self, follower: Follower) -> None:
        self._drop(follower)
        follower.visitor.cut()

    def _drop(self, follower: Follower) -> None:
        self._present.discard(follower)
        if follower.events:
            self._selector.unregister(follower.visitor.socket)
            follower.events = 0
        self.leave(follower.visitor)

    def _close(self) -> None:
        with self._lock:
            self._is_closed = True
        for follower in (*self._present, *self._arrivals):
            self._cut(follower)
        self._selector.close()
        self._woken.close()
        self._waker.close()


def _dismiss(follower: Follower) -> None:
    try:
        follower.dismiss(monotonic())
    except Exception:
        # The edge: whatever one stream does, the others are to be served.
        LOG.exception("A live answer failed at its end")
        follower.give_up()
