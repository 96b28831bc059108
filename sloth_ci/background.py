"""Background: work that nobody waits for, on few threads; what belongs together is done in order.

Work may hang: its timeouts are its own. A line whose work hangs holds a thread and nobody else, as
long as there are more threads than such lines; builds and requests never wait for any of it.
"""

import logging
from collections import deque
from collections.abc import Callable
from threading import Condition, Thread
from time import monotonic

LOG = logging.getLogger("sloth_ci.background")

#: Lines that are worked on at the same time.
THREADS = 16
#: How long a thread without work waits for more before it ends, in seconds.
LINGER = 2.0
#: Pieces of work that wait in one line; what comes beyond is refused.
MOST = 1_000

Work = Callable[[], None]
#: Told, with its exception being handled, what became of a piece of work.
Complain = Callable[[str], None]


class Line:
    """Work that is done in order, one piece at a time."""

    __slots__ = ("__weakref__", "_background", "_complain", "_is_full", "work")

    def __init__(self, background: "Background", complain: Complain) -> None:
        self._background = background
        self._complain = complain
        self._is_full = False
        #: What waits; the background's lock guards it.
        self.work: deque[Work] = deque()

    def add(self, work: Work) -> None:
        """Have it done soon; when too much waits already, it is dropped and complained of."""
        if self._background.take(self, work):
            self._is_full = False
        elif not self._is_full:
            self._is_full = True
            self._complain(f"more than {MOST} pieces of work wait, so further ones are dropped")

    def do(self, work: Work) -> None:
        """Do it, on a thread of the background."""
        try:
            work()
        # Somebody else's work may raise anything, and it must not end the thread.
        except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001
            self._complain(f"work in the background failed: {type(error).__name__}: {error}")


class Background:
    """Lines of work, and the threads that do it; none while there is nothing to do."""

    def __init__(self, *, threads: int = THREADS) -> None:
        self._most_threads = threads
        self._changed = Condition()
        #: Lines with work that no thread is at.
        self._ready: deque[Line] = deque()
        #: Lines that a thread is at.
        self._served: set[Line] = set()
        self._threads = 0
        #: Threads that are at no line, those among them that just begin.
        self._idle = 0
        self._ends_at: float | None = None

    def line(self, complain: Complain) -> Line:
        """A new line of work."""
        return Line(self, complain)

    def close(self, grace: float) -> None:
        """Give what waits `grace` seconds to be done; what hangs then ends with the process."""
        with self._changed:
            self._ends_at = monotonic() + grace
            self._changed.notify_all()
            while self._ready or self._served:
                left = self._ends_at - monotonic()
                if left <= 0:
                    waiting = sum(len(line.work) for line in (*self._ready, *self._served))
                    LOG.warning(
                        "Gave up work in the background: %s pieces that hang, %s that wait",
                        len(self._served),
                        waiting,
                    )
                    return
                self._changed.wait(left)

    def take(self, line: Line, work: Work) -> bool:
        """Let a piece of work wait in a line; False when too much waits there."""
        with self._changed:
            if len(line.work) >= MOST:
                return False
            line.work.append(work)
            if len(line.work) == 1 and line not in self._served:
                self._ready.append(line)
            if self._ready:
                self._call_thread()
            return True

    def _call_thread(self) -> None:
        if self._idle >= len(self._ready) or self._threads >= self._most_threads:
            self._changed.notify_all()
            return
        try:
            Thread(target=self._work, name="background", daemon=True).start()
        except (RuntimeError, MemoryError) as error:
            # The next piece of work tries again; those at work go on to this line themselves.
            LOG.error("No thread for work in the background: %s", error)
        else:
            self._threads += 1
            self._idle += 1

    def _work(self) -> None:
        while (taken := self._next()) is not None:
            line, work = taken
            line.do(work)
            with self._changed:
                self._served.discard(line)
                if line.work:
                    self._ready.append(line)
                self._idle += 1
                self._changed.notify_all()

    def _next(self) -> tuple[Line, Work] | None:
        with self._changed:
            deadline = monotonic() + LINGER
            while not self._ready:
                left = deadline - monotonic()
                if left <= 0 or self._ends_at is not None:
                    self._idle -= 1
                    self._threads -= 1
                    return None
                self._changed.wait(left)
            self._idle -= 1
            line = self._ready.popleft()
            self._served.add(line)
            return line, line.work.popleft()
