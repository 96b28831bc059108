"""The porter takes pushes and triggers in and gives the answers out, while the store is at work.

Each is judged within a blink, and then has to wait until its builds are safe on the disk. The
vestibule's own thread does all the judging and answering, so that no thread waits, and the
interpreter's lock does not change hands for each of them. What may take longer is left to the
threads that answer.
"""

import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Protocol

from sloth_ci.config import ServerConfig
from sloth_ci.request import Reply, Request
from sloth_ci.store import Pending
from sloth_ci.web.head import Head
from sloth_ci.web.visitor import Visitor
from sloth_ci.web.wsgi import make_request, note_access, render_raw, reply_to

LOG = logging.getLogger("sloth_ci.web")


class Desk(Protocol):
    """Where requests for one path are taken."""

    def serves(self, head: Head, arrived: bytearray) -> bool:
        """Whether this may be a request that waits for nothing but the store."""

    def take(self, request: Request, body: bytes) -> Pending[Reply] | None:
        """Judge a request, and have done what it asks for; None where that may take longer.

        Raises SlothError.
        """


#: The desk at a path, where one is.
Find = Callable[[str], Desk | None]


def find_none(_path: str) -> Desk | None:
    """There are no desks: everything is left to the threads that answer."""
    return None


class Porter:
    """Stands in the vestibule, whose thread calls `attend`, after `wake` at once.

    `take` may be called by an answering thread too: when another request came behind its own.
    """

    def __init__(
        self,
        config: ServerConfig,
        *,
        find: Find,
        put_back: Callable[[Visitor], None],
        hand_on: Callable[[Visitor], None],
        wake: Callable[[], None],
    ) -> None:
        self._config = config
        self._find = find
        self._put_back = put_back
        self._hand_on = hand_on
        self._wake = wake
        #: Those whose builds are on their way to the disk, by number.
        self._waiting: dict[int, tuple[Visitor, Pending[Reply]]] = {}
        #: Their numbers; the first has waited the longest. Those of others are left in between.
        self._order: deque[int] = deque()
        self._numbers = count()
        self._is_ending = False
        #: Those whose builds are safe.
        self._done: deque[int] = deque()
        #: Those who can be answered at once.
        self._ready: deque[tuple[Visitor, Reply]] = deque()

    def take(self, visitor: Visitor) -> bool:
        """Take a visitor whom a desk here serves; False for those who want something else."""
        head, arrived = visitor.head, visitor.rfile.arrived
        if head is None or not _is_plain(head, arrived):
            return False
        outcome = reply_to(lambda: self._judge(visitor, head), method=head.method.decode("latin-1"))
        if outcome is None:
            return False
        del arrived[: head.length]
        if isinstance(outcome, Reply):
            # Not at once: that could lead to the next request, and from there to the one behind.
            self._ready.append((visitor, outcome))
            self._wake()  # an answering thread may be here, with what came behind its request
        else:
            self._wait_for(visitor, outcome)
        return True

    def attend(self, now: float) -> bool:
        """Answer who can be answered; whether there is more to do at once."""
        for _ in range(len(self._ready)):
            self._answer(*self._ready.popleft())
        for _ in range(len(self._done)):
            waited = self._waiting.pop(self._done.popleft(), None)
            if waited:  # else it lost patience before
                self._answer(waited[0], _settle(*waited))
        self._let_down(now)
        return bool(self._ready)

    def stop(self) -> None:
        """Answer those who wait still, when nobody attends any more."""
        self._is_ending = True
        while self._ready or self._waiting:
            if self._ready:
                self._answer(*self._ready.popleft())
            else:
                _number, waited = self._waiting.popitem()
                self._answer(waited[0], _settle(*waited))

    @property
    def has_guests(self) -> bool:
        """Whether somebody has not got an answer yet."""
        return bool(self._ready or self._waiting)

    def _judge(self, visitor: Visitor, head: Head) -> Pending[Reply] | Reply | None:
        arrived = visitor.rfile.arrived
        desk = self._find(head.path.decode("latin-1"))
        if desk is None or not desk.serves(head, arrived):
            return None
        request = make_request(head, visitor.remote_addr, self._config)
        return desk.take(request, bytes(arrived[: head.length]))

    def _wait_for(self, visitor: Visitor, pending: Pending[Reply]) -> None:
        number = next(self._numbers)
        self._waiting[number] = visitor, pending
        self._order.append(number)

        # By its number: holding each other they would be left to the garbage collector.
        def note_done() -> None:
            self._done.append(number)
            self._wake()

        pending.on_done(note_done)

    def _let_down(self, now: float) -> None:
        """Leave those who lost patience to other threads: there may be something to wait for."""
        while self._order:
            waited = self._waiting.get(self._order[0])
            if waited:
                visitor, pending = waited
                if now < pending.until:
                    return
                del self._waiting[self._order[0]]
                visitor.rest = partial(_answer_late, visitor, pending)
                self._hand_on(visitor)
            self._order.popleft()

    def _answer(self, visitor: Visitor, reply: Reply) -> None:
        assert visitor.head
        stays = visitor.head.stays
        try:
            unsent = visitor.wfile.send_now(_write_down(visitor, reply))
            if unsent and self._is_ending:
                visitor.cut()
            elif unsent:  # whoever does not read is not waited for here
                visitor.rest = partial(visitor.wfile.send, unsent)
                self._hand_on(visitor)
            elif stays:
                self._put_back(visitor)
            else:
                visitor.close()
        except OSError:
            visitor.cut()  # it is gone
        except Exception:
            # The edge: whatever one connection does, the others are to be attended to.
            LOG.exception("A connection failed")
            visitor.cut()


def _settle(visitor: Visitor, pending: Pending[Reply]) -> Reply:
    assert visitor.head
    return reply_to(pending.result, method=visitor.head.method.decode("latin-1"))


def _answer_late(visitor: Visitor, pending: Pending[Reply]) -> None:
    visitor.wfile.send(_write_down(visitor, _settle(visitor, pending)))


def _write_down(visitor: Visitor, reply: Reply) -> bytes:
    """Note the answer in the access log, and give its bytes."""
    head = visitor.head
    assert head
    note_access(
        reply,
        address=visitor.remote_addr,
        method=head.method.decode("latin-1"),
        path=head.path.decode("latin-1"),
        agent=head.headers.get(b"User-Agent", b"-").decode("latin-1"),
    )
    return render_raw(reply, closes=not head.stays)


def _is_plain(head: Head, arrived: bytearray) -> bool:
    """Whether a request has arrived whole, in the usual form; what is odd takes the usual way."""
    return (
        head.method in (b"POST", b"GET")
        and head.minor == 1
        and not head.chunked
        and head.length <= len(arrived)
        and b"Content-Encoding" not in head.headers
    )
