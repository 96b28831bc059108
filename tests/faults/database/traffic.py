"""Triggers that don't stop, and what became of each of them."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock, Thread
from time import monotonic

from tests.calls import wait_until
from tests.faults.durability.stage import BROKEN_OFF, Line, Stage, pause


@dataclass(frozen=True)
class Answer:
    """What a trigger got: 202 with a build, another status, or 0 for a connection that broke."""

    status: int
    sent: float
    came: float
    build: int | None

    @property
    def wait(self) -> float:
        """Seconds."""
        return self.came - self.sent


class Traffic:
    """Threads that trigger an app over and over."""

    def __init__(self, stage: Stage, listen_point: str, *, threads: int, rest: float) -> None:
        self._stage = stage
        self._listen_point = listen_point
        self._rest = rest
        self._end = Event()
        self._lock = Lock()
        self._answers: list[Answer] = []
        self._threads = [Thread(target=self._trigger) for _ in range(threads)]

    @contextmanager
    def flowing(self) -> Iterator["Traffic"]:
        """Within, it goes on."""
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._end.set()
            for thread in self._threads:
                thread.join()

    @property
    def answers(self) -> list[Answer]:
        """All so far, in the order in which they came."""
        with self._lock:
            return list(self._answers)

    @property
    def accepted(self) -> set[int]:
        """The builds of all answers 202."""
        return {one.build for one in self.answers if one.build is not None}

    def sent_within(self, begin: float, end: float) -> list[Answer]:
        """Answers to what was sent and answered within that time."""
        return [one for one in self.answers if one.sent >= begin and one.came <= end]

    def wait_for(self, status: int, *, since: float, patience: float) -> float | None:
        """Seconds from `since` until an answer with that status to what was sent after it."""
        deadline = monotonic() + patience
        while monotonic() < deadline:
            for one in self.answers:
                if one.sent >= since and one.status == status:
                    return one.came - since
            pause(0.01)
        return None

    def _trigger(self) -> None:
        line: Line | None = None
        while not self._end.wait(self._rest):
            sent = monotonic()
            status, build = 0, None
            try:
                line = line or Line(self._stage.running.url)
                reply = line.call("trigger", listen_point=self._listen_point)
                status = reply.status
                build = int(reply.headers["x-build-id"]) if status == 202 else None
            except BROKEN_OFF:
                if line:
                    line.close()
                line = None
            with self._lock:
                self._answers.append(Answer(status, sent, monotonic(), build))
        if line:
            line.close()


def count(answers: list[Answer]) -> str:
    """`202 × 17, 503 × 4`."""
    statuses = Counter(one.status for one in answers)
    return ", ".join(f"{status} × {number}" for status, number in sorted(statuses.items()))


def settle(database: Path) -> dict[int, str]:
    """Wait until every build is in a final state; every build and its status."""
    with closing(sqlite3.connect(database, timeout=10)) as connection:
        connection.execute("PRAGMA query_only = ON")
        unfinished = "SELECT 1 FROM builds WHERE status IN ('queued', 'running') LIMIT 1"
        wait_until(lambda: connection.execute(unfinished).fetchone() is None, patience=100)
        return dict(connection.execute("SELECT id, status FROM builds"))
