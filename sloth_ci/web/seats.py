"""The few seats for requests whose large body is read while a thread waits for it."""

from collections import deque
from threading import Lock
from time import monotonic

from sloth_ci.web.visitor import Visitor

#: Large bodies that are read at the same time, and seconds that others wait for that.
SEATS = 4
PATIENCE = 60.0


class Seats:
    """Who sits, and who waits for a seat, in the order they came."""

    def __init__(self) -> None:
        self._free = SEATS
        self._line: deque[Visitor] = deque()
        self._lock = Lock()

    def take(self, visitor: Visitor) -> bool:
        """Take a seat; False when there is none, and the visitor now stands in line."""
        visitor.deadline = monotonic() + PATIENCE
        with self._lock:
            visitor.seated = self._free > 0
            if visitor.seated:
                self._free -= 1
            else:
                self._line.append(visitor)
            return visitor.seated

    def leave(self, visitor: Visitor) -> Visitor | None:
        """Leave the seat, if there was one, to the first in line, whom this gives."""
        if not visitor.seated:
            return None
        visitor.seated = False
        with self._lock:
            if not self._line:
                self._free += 1
                return None
            follower = self._line.popleft()
            follower.seated = True
            return follower

    def dismiss(self, *, now: float) -> list[Visitor]:
        """Those who have waited too long; they stand in line no more."""
        late = []
        with self._lock:
            while self._line and self._line[0].deadline <= now:
                late.append(self._line.popleft())
        return late
