"""The store: one SQLite file of apps, queue, builds, deliveries, records; the room of sqlite3.

Verbs go in, dataclasses come out. Every change is one transaction of the one writing thread
(`writer.py`); every question is one short read on a connection of the asking thread (`reader.py`).
The queue is the builds table.
"""

import os
import tempfile
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from time import time

from sloth_ci.store.acceptance import Acceptance, Room
from sloth_ci.store.apps import AppVerbs
from sloth_ci.store.builds import BuildVerbs
from sloth_ci.store.connections import FileWatch, connect_reader, hold, open_database
from sloth_ci.store.copies import backup, check, restore
from sloth_ci.store.figures import FigureVerbs
from sloth_ci.store.ledger import Ledger
from sloth_ci.store.notes import NoteVerbs
from sloth_ci.store.outbox import Outbox
from sloth_ci.store.pauses import PauseVerbs
from sloth_ci.store.pending import Pending
from sloth_ci.store.queue import QueueVerbs
from sloth_ci.store.reader import Reader
from sloth_ci.store.records import RecordVerbs
from sloth_ci.store.retention import Keep, Retention
from sloth_ci.store.rows import (
    Accepted,
    ActionFigure,
    BuildFigure,
    Cause,
    Claimed,
    NewDelivery,
    Origin,
    Pause,
    Queue,
    RecordPage,
    Sent,
    Sizes,
    Statistics,
    StoredAction,
    StoredApp,
    StoredBuild,
    StoredDelivery,
    hash_config,
)
from sloth_ci.store.writer import Writer

__all__ = [
    "Acceptance",
    "Accepted",
    "ActionFigure",
    "BuildFigure",
    "Cause",
    "Claimed",
    "Keep",
    "NewDelivery",
    "Origin",
    "Pause",
    "Pending",
    "Queue",
    "RecordPage",
    "Sent",
    "Sizes",
    "Statistics",
    "Store",
    "StoredAction",
    "StoredApp",
    "StoredBuild",
    "StoredDelivery",
    "backup",
    "check",
    "hash_config",
    "restore",
]


class Store(AppVerbs, QueueVerbs, BuildVerbs, RecordVerbs, PauseVerbs, NoteVerbs, FigureVerbs):
    """The server's memory; its verbs stand with what they are about, one room of it each.

    Without a `path` it lives in a temporary file, keeps no log records, and is gone when closed.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        clock: Callable[[], float] = time,
        max_queue: int = 10_000,
        max_queue_total: int = 100_000,
        keep: Keep | None = None,
    ) -> None:
        self._room = Room(max_queue, max_queue_total)
        self.keeps_records = path is not None
        self._temporary = None if path else tempfile.TemporaryDirectory(prefix="sloth-ci-")
        self._path = path or Path(self._temporary.name if self._temporary else "") / "sloth.db"
        self._guard = hold(self._path)
        try:
            connection = open_database(self._path, self._guard)
        except BaseException:
            os.close(self._guard)
            raise
        self._reader = Reader(partial(connect_reader, self._path))
        self._watch = FileWatch(self._path, self._guard)
        self._writer = Writer(
            connection,
            clock=clock,
            watch=self._watch,
            on_put_back=self._reader.reconnect,
        )
        self._ledger = Ledger(self._writer, clock=self._writer.moment)
        self._retention = Retention(
            keep or Keep(), writer=self._writer, reader=self._reader, clock=clock
        )
        self._note_growth = self._retention.note_growth
        self.outbox = Outbox(self._writer, self._reader)

    @property
    def token(self) -> str:
        """What tells this file from all others on the machine, copies of it included."""
        identity = self._reader.rows("SELECT token FROM identity")[0][0]
        return sha256(f"{identity} {self._path.resolve()}".encode()).hexdigest()[:16]

    @property
    def folder(self) -> Path:
        """Where the file is."""
        return self._path.parent

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call this after each commit, on the writing thread; it must return at once.

        Gives what takes it back.
        """
        return self._writer.subscribe(callback)

    def flush(self) -> None:
        """Wait until everything written so far can be read."""
        self._ledger.flush()
        self._writer.flush()

    def check_writing(self) -> None:
        """Wait until the writer could have written something, before all that waits.

        Raises DatabaseUnavailable when it can't.
        """
        self._writer.run_first(lambda _connection: None)

    def sweep(self) -> int:
        """Forget now what is older or more than is to be kept; gives the number of builds."""
        return self._retention.sweep()

    def close(self) -> None:
        """Write what waits and let go of the file."""
        self._retention.close()
        self._ledger.close()
        self._writer.close()
        self._reader.close()
        self._watch.close()
        os.close(self._guard)
        if self._temporary:
            self._temporary.cleanup()
