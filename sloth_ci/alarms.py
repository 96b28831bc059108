"""Alarms: something is called at a moment of the wall clock, whatever that clock does meanwhile."""

import heapq
import logging
from collections.abc import Callable
from itertools import count
from threading import Condition, Thread
from time import time

LOG = logging.getLogger("sloth_ci.alarms")

#: The clock is looked at so often at least, in seconds: it may be set, and machines sleep.
LOOK = 30.0

Call = Callable[[], None]


class Alarms:
    """Calls what was asked for, in order of the moments; its one thread lives while any are set.

    A call must return quickly. A moment that has passed already is due at once.
    """

    def __init__(self, *, clock: Callable[[], float] = time) -> None:
        self._clock = clock
        self._changed = Condition()
        self._due: list[tuple[float, int]] = []
        self._calls: dict[int, Call] = {}
        self._numbers = count()
        self._thread: Thread | None = None
        self._is_closed = False

    def set(self, moment: float, call: Call) -> Call:
        """Call at that moment, in seconds since the epoch; gives what takes it back.

        Raises RuntimeError when the system gives no thread for it now.
        """
        with self._changed:
            number = next(self._numbers)
            if not self._is_closed:
                self._begin()
                self._calls[number] = call
                heapq.heappush(self._due, (moment, number))
                self._changed.notify()
        return lambda: self._take_back(number)

    def close(self) -> None:
        """Call nothing any more."""
        with self._changed:
            self._is_closed = True
            self._calls.clear()
            self._due.clear()
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join()

    def look(self) -> None:
        """Look at the clock now."""
        with self._changed:
            self._changed.notify()

    def _begin(self) -> None:
        if self._thread is None:
            thread = Thread(target=self._work, name="alarms", daemon=True)
            thread.start()
            self._thread = thread

    def _take_back(self, number: int) -> None:
        with self._changed:
            self._calls.pop(number, None)
            self._changed.notify()

    def _work(self) -> None:
        while (call := self._next()) is not None:
            try:
                call()
            # Somebody else's call may raise anything, and it must not end the thread.
            except (Exception, SystemExit, KeyboardInterrupt):
                LOG.exception("What was to be done at a set time failed")

    def _next(self) -> Call | None:
        """Wait for the next call that is due; None when there is none any more."""
        with self._changed:
            while True:
                while self._due and self._due[0][1] not in self._calls:
                    heapq.heappop(self._due)
                if not self._due:
                    self._thread = None
                    return None
                wait = self._due[0][0] - self._clock()
                if wait <= 0:
                    return self._calls.pop(heapq.heappop(self._due)[1])
                self._changed.wait(min(wait, LOOK))
