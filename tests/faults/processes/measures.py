"""What a server takes, seen from outside: memory, descriptors, threads, zombies, time to answer."""

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from time import monotonic

import psutil

from tests.faults.durability.stage import Line, Stage

#: There on every system, and nobody's login.
SOMEBODY = "daemon"
#: Seconds between two looks.
PERIOD = 0.02


def megabytes(size: float) -> float:
    """Bytes as MB."""
    return size / 1_000_000


def is_root() -> bool:
    """Whether servers started from here can run builds as somebody else."""
    return os.geteuid() == 0


@contextmanager
def shared_folder(owner: str | None = None) -> Iterator[Path]:
    """A new folder that every user may enter, and that belongs to that one; gone afterwards."""
    with TemporaryDirectory(prefix="sloth-ci-fault-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        if owner:
            account = pwd.getpwnam(owner)
            os.chown(folder, account.pw_uid, account.pw_gid)
        yield folder


def zombies_of(pid: int) -> int:
    """The ended children of a process that nobody reaped."""
    return sum(_status(child) == psutil.STATUS_ZOMBIE for child in psutil.Process(pid).children())


def _status(process: psutil.Process) -> str:
    try:
        return str(process.status())
    except psutil.NoSuchProcess:
        return "gone"


class Memory:
    """The most memory that the server's process takes while this context lasts."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._end = Event()
        self._thread = Thread(target=self._watch)
        self.before = self.most = self._now()

    @property
    def growth(self) -> float:
        """MB."""
        return megabytes(self.most - self.before)

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(PERIOD):
            self.most = max(self.most, self._now())

    def _now(self) -> int:
        return int(self._process.memory_info().rss)


class Caller:
    """Somebody who calls the server again and again while this context lasts."""

    def __init__(self, stage: Stage, *, listen_point: str, rest: float = 0.05) -> None:
        self._stage = stage
        self._listen_point = listen_point
        self._rest = rest
        self._end = Event()
        self._thread = Thread(target=self._call)
        #: Seconds that each answer took.
        self.waits: list[float] = []
        self.refused = 0

    def percentile(self, share: float) -> float:
        """The wait that so large a share of the answers stayed within."""
        ordered = sorted(self.waits)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def __enter__(self) -> "Caller":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self._thread.join()

    def _call(self) -> None:
        with self._stage.line() as line:
            while not self._end.wait(self._rest):
                self._deliver(line)

    def _deliver(self, line: Line) -> None:
        sent = monotonic()
        reply = line.deliver(self._listen_point, f"{id(self)}-{len(self.waits)}")
        self.waits.append(monotonic() - sent)
        self.refused += reply.status != 202
