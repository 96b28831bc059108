"""The one thread that writes: everything that waits is committed together.

Whoever calls `run` waits for the commit, which is synced to the disk: what was answered 2xx
survives a power cut. What comes by `append` is written in batches, in order, and always before a
later `run`.
"""

import logging
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future
from threading import Condition, Thread
from time import monotonic, time
from typing import Any, TypeVar

from sloth_ci.errors import DatabaseUnavailable
from sloth_ci.store.connections import FileWatch

LOG = logging.getLogger("sloth_ci.store")

#: How long an appended row may wait for company, in seconds.
BATCH_DELAY = 0.1
BATCH_ROWS = 500
#: More waiting rows than this hold up whoever appends.
MAX_WAITING_ROWS = 20_000
#: Pause before rows that could not be written are tried again, in seconds.
RETRY_DELAY = 0.5
#: Rows closer together than this, in seconds, are in the order in which they are written.
SAME_BLINK = 1.0

Change = Callable[[sqlite3.Connection], Any]
Result = TypeVar("Result")
INSERT_RECORD = (
    "INSERT INTO records (app, build, logger, level, stream, timestamp, message)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
#: Where that statement's row has its time.
_TIMESTAMP = 5


class Writer:
    """Owns the writing connection and its thread."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        clock: Callable[[], float] = time,
        watch: FileWatch | None = None,
        on_put_back: Callable[[], None] = lambda: None,
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._latest = 0.0
        self._watch = watch
        self._on_put_back = on_put_back
        self._changed = Condition()
        self._changes: list[tuple[Change, Future[Any]]] = []
        self._rows: list[tuple[Any, ...]] = []
        self._progress: dict[int, int] = {}
        self._rows_since = 0.0
        self._closing = False
        self._synced: bool | None = None
        self._thread = Thread(target=self._work, name="store-writer", daemon=True)
        self._thread.start()

    def run(self, change: Callable[[sqlite3.Connection], Result]) -> Result:
        """Make a change in a transaction and wait until it is safe on the disk.

        Raises what `change` raises, or DatabaseUnavailable; then nothing of it was kept.
        """
        outcome: Future[Result] = Future()
        with self._changed:
            if self._closing:
                raise DatabaseUnavailable(reason="it is closed")
            self._changes.append((change, outcome))
            self._changed.notify_all()
        return outcome.result()

    def append(self, row: tuple[Any, ...]) -> None:
        """Write a row of `records` soon."""
        with self._changed:
            while len(self._rows) >= MAX_WAITING_ROWS and not self._closing:
                self._changed.wait()
            if not self._rows:
                self._rows_since = monotonic()
                self._changed.notify_all()
            self._rows.append(row)
            if len(self._rows) == BATCH_ROWS:
                self._changed.notify_all()

    def progress(self, build_id: int, completed: int) -> None:
        """Write soon how many actions of a running build have completed."""
        with self._changed:
            self._progress[build_id] = completed

    def moment(self) -> float:
        """The time of what a change writes now; never before that of an earlier row."""
        return self._settle(self._clock())

    def flush(self) -> None:
        """Wait until everything appended so far is written."""
        self.run(lambda _connection: None)

    def close(self) -> None:
        """Write what waits, end the thread and close the connection."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        self._connection.close()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._wait()
                changes, self._changes = self._changes, []
                rows, self._rows = self._rows, []
                progress, self._progress = self._progress, {}
                closing = self._closing
                self._changed.notify_all()
            kept = self._commit(changes, rows, progress)
            if not kept and not closing:
                self._put_back(rows, progress)
            if closing and not changes:
                return

    def _wait(self) -> None:
        while not self._changes and not self._closing:
            if not self._rows:
                self._changed.wait()
                continue
            rest = self._rows_since + BATCH_DELAY - monotonic()
            if rest <= 0 or len(self._rows) >= BATCH_ROWS:
                return
            self._changed.wait(rest)

    def _commit(
        self,
        changes: list[tuple[Change, "Future[Any]"]],
        rows: list[tuple[Any, ...]],
        progress: dict[int, int],
    ) -> bool:
        done: list[tuple[Future[Any], Any]] = []
        try:
            self._check_file()
            self._sync(bool(changes))
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(INSERT_RECORD, map(self._settle_row, rows))
            self._connection.executemany(
                "UPDATE builds SET completed = ? WHERE id = ?",
                [(completed, build_id) for build_id, completed in progress.items()],
            )
            for change, outcome in changes:
                self._make(change, outcome, done)
            self._connection.execute("COMMIT")
        except (sqlite3.Error, OSError, DatabaseUnavailable) as error:
            self._give_up(error, changes)
            return False
        for outcome, value in done:
            outcome.set_result(value)
        return True

    def _make(
        self, change: Change, outcome: "Future[Any]", done: list[tuple["Future[Any]", Any]]
    ) -> None:
        self._connection.execute("SAVEPOINT change")
        try:
            done.append((outcome, change(self._connection)))
        except sqlite3.Error:
            raise
        except Exception as error:  # noqa: BLE001  it belongs to whoever waits for the change
            self._connection.execute("ROLLBACK TO change")
            outcome.set_exception(error)
        self._connection.execute("RELEASE change")

    def _give_up(self, error: Exception, changes: list[tuple[Change, "Future[Any]"]]) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        known = isinstance(error, DatabaseUnavailable)
        refusal = error if known else DatabaseUnavailable(reason=str(error))
        for _change, outcome in changes:
            if not outcome.done():
                outcome.set_exception(refusal)

    def _put_back(self, rows: list[tuple[Any, ...]], progress: dict[int, int]) -> None:
        with self._changed:
            self._rows = rows + self._rows
            self._progress = progress | self._progress
            self._rows_since = monotonic() + RETRY_DELAY

    def _settle_row(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        return (*row[:_TIMESTAMP], self._settle(row[_TIMESTAMP]), *row[_TIMESTAMP + 1 :])

    def _settle(self, moment: float) -> float:
        """Threads reach the writer in another order than they looked at the clock.

        So a row may be a blink older than the one before it, and takes that one's time. One that
        is much older tells of a clock that was set back, and is left as it is.
        """
        if self._latest - SAME_BLINK < moment < self._latest:
            return self._latest
        self._latest = moment
        return moment

    def _check_file(self) -> None:
        if self._watch and self._watch.is_gone():
            LOG.error("The database file was deleted; it is put back with all it held")
            self._connection = self._watch.put_back(self._connection)
            self._synced = None
            self._on_put_back()

    def _sync(self, wanted: bool) -> None:
        """Sync commits that somebody waits for; appended rows may take their time."""
        if wanted is not self._synced:
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if wanted else 'NORMAL'}")
            self._synced = wanted
