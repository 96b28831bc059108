"""What these experiments measure: how long answers take, memory, and the write-ahead log."""

from collections import Counter
from collections.abc import Callable
from math import ceil
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from types import TracebackType
from typing import Self

import psutil

from tests.faults import Scale

MEGABYTE = 1_000_000
#: Seconds in which a call must be answered in a short form, which shares its machine with tests.
PATIENT = 5.0
HOUR = 3600
#: The limit of the write-ahead log.
WAL_MOST = 64 * 1024 * 1024


def within(scale: Scale, limit: float) -> float:
    """A limit in seconds for how long a call takes."""
    return limit if scale is Scale.FULL else PATIENT


class Watch:
    """Looks at a server's memory and write-ahead log all the time that its block lasts."""

    def __init__(self, pid: int, folder: Path, *, interval: float = 0.1) -> None:
        self._process = psutil.Process(pid)
        self._log = folder / "sloth.db-wal"
        self._interval = interval
        self._ended = Event()
        self._thread = Thread(target=self._look, daemon=True)
        #: Bytes of memory, each time it looked.
        self.memory: list[int] = []
        #: The largest write-ahead log seen, in bytes.
        self.log = 0

    def __enter__(self) -> Self:
        self._note()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def growth(self) -> int:
        """Bytes of memory that came to those of the beginning, at most."""
        return max(self.memory) - self.memory[0]

    def _look(self) -> None:
        while not self._ended.wait(self._interval):
            try:
                self._note()
            except psutil.NoSuchProcess:
                return

    def _note(self) -> None:
        self.memory.append(self._process.memory_info().rss)
        if self._log.exists():
            self.log = max(self.log, self._log.stat().st_size)


class Calls:
    """Calls made at a steady rate: how long each took, and its status."""

    def __init__(self) -> None:
        #: In seconds.
        self.times: list[float] = []
        self.statuses: Counter[int] = Counter()

    def keep_calling(self, call: Callable[[], int], *, rate: float, until: float) -> None:
        """Call so often a second; a late call does not make the next ones late."""
        due = monotonic()
        while due < until:
            Event().wait(max(0.0, due - monotonic()))
            self.note(call)
            due = max(due + 1 / rate, monotonic())

    def note(self, call: Callable[[], int]) -> None:
        """Make a call; what breaks it off counts as status 0."""
        began = monotonic()
        try:
            status = call()
        except OSError:
            status = 0
        self.times.append(monotonic() - began)
        self.statuses[status] += 1

    @property
    def p99(self) -> float:
        """What 99 of 100 calls took at most, in seconds."""
        return sorted(self.times)[ceil(0.99 * len(self.times)) - 1]

    @property
    def longest(self) -> float:
        """In seconds."""
        return max(self.times)

    def all_are(self, status: int) -> bool:
        """Whether there were calls and each had that status."""
        return set(self.statuses) == {status}
