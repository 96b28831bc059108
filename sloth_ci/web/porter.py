"""The porter takes pushes and triggers in and gives the answers out, while the store is at work.

Each is judged within a blink, and then has to wait until its builds are safe on the disk. One
thread does all the judging and answering, so that no thread waits, and the interpreter's lock does
not change hands for each of them. What may take longer is left to the threads that answer.
"""

import logging
from collections.abc import Callable
from functools import partial
from itertools import count
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import Protocol

from sloth_ci.config import ServerConfig
from sloth_ci.request import Reply, Request
from sloth_ci.store import Pending
from sloth_ci.web.head import Head
from sloth_ci.web.visitor import Visitor
from sloth_ci.web.wsgi import make_request, note_access, render_raw, reply_to

LOG = logging.getLogger("sloth_ci.web")

#: Seconds between looks at those who wait for the store.
TICK = 0.5


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
    """One thread between the vestibule, the desks and the store."""

    def __init__(
        self,
        config: ServerConfig,
        *,
        find: Find,
        put_back: Callable[[Visitor], None],
        hand_on: Callable[[Visitor], None],
    ) -> None:
        self._config = config
        self._find = find
        self._put_back = put_back
        self._hand_on = hand_on
        self._steps: SimpleQueue[tuple[Visitor, Callable[[], None]] | None] = SimpleQueue()
        #: Those whose builds are on their way to the disk; the first has waited the longest.
        self._waiting: dict[int, tuple[Visitor, Pending[Reply]]] = {}
        self._numbers = count()
        self._looks_at = 0.0
        self._thread = Thread(target=self._work, name="porter", daemon=True)
        self._thread.start()

    def take(self, visitor: Visitor) -> bool:
        """Take a visitor whom a desk here serves; False for those who want something else."""
        head, arrived = visitor.head, visitor.rfile.arrived
        if head is None or not _is_plain(head, arrived):
            return False
        desk = self._find(head.path.decode("latin-1"))
        if desk is None or not desk.serves(head, arrived):
            return False
        self._steps.put((visitor, partial(self._judge, visitor, head, desk)))
        return True

    def stop(self) -> None:
        """Answer those who wait, and end the thread."""
        self._steps.put(None)
        self._thread.join()

    def _work(self) -> None:
        while True:
            try:
                step = self._steps.get(timeout=TICK if self._waiting else None)
            except Empty:
                pass
            else:
                if step is None:
                    break
                self._take_step(*step)
            self._look_at_clock(monotonic())
        for number, (visitor, _pending) in list(self._waiting.items()):
            self._take_step(visitor, partial(self._finish, number))

    def _take_step(self, visitor: Visitor, step: Callable[[], None]) -> None:
        try:
            step()
        except OSError:
            visitor.cut()  # it is gone
        except Exception:
            # The edge: whatever one connection does, the others are to be attended to.
            LOG.exception("A connection failed")
            visitor.cut()

    def _look_at_clock(self, now: float) -> None:
        if now < self._looks_at:
            return
        self._looks_at = now + TICK
        for number, (visitor, pending) in list(self._waiting.items()):
            if now < pending.until:
                return
            self._take_step(visitor, partial(self._finish, number))

    def _judge(self, visitor: Visitor, head: Head, desk: Desk) -> None:
        request = make_request(head, visitor.remote_addr, self._config)
        body = bytes(visitor.rfile.arrived[: head.length])
        outcome = reply_to(lambda: desk.take(request, body), method=request.method)
        if outcome is None:
            self._hand_on(visitor)
            return
        del visitor.rfile.arrived[: head.length]
        if isinstance(outcome, Reply):
            self._answer(visitor, head, outcome)
            return
        number = next(self._numbers)
        self._waiting[number] = visitor, outcome
        # By its number, as holding each other they would be left to the garbage collector.
        outcome.on_done(partial(self._steps.put, (visitor, partial(self._finish, number))))

    def _finish(self, number: int) -> None:
        if number not in self._waiting:
            return  # it lost patience before
        visitor, pending = self._waiting.pop(number)
        assert visitor.head
        head = visitor.head
        reply = reply_to(pending.result, method=head.method.decode("latin-1"))
        self._answer(visitor, head, reply)

    def _answer(self, visitor: Visitor, head: Head, reply: Reply) -> None:
        note_access(
            reply,
            address=visitor.remote_addr,
            method=head.method.decode("latin-1"),
            path=head.path.decode("latin-1"),
            agent=head.headers.get(b"User-Agent", b"-").decode("latin-1"),
        )
        visitor.unsent = visitor.wfile.send_now(render_raw(reply, closes=not head.stays))
        if visitor.unsent:
            self._hand_on(visitor)  # whoever does not read is not waited for here
        elif head.stays:
            self._put_back(visitor)
        else:
            visitor.close()


def _is_plain(head: Head, arrived: bytearray) -> bool:
    """Whether a request has arrived whole, in the usual form; what is odd takes the usual way."""
    return (
        head.method in (b"POST", b"GET")
        and head.minor == 1
        and not head.chunked
        and head.length <= len(arrived)
        and b"Content-Encoding" not in head.headers
    )
