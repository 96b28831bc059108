"""The one thread that writes: everything that waits is committed together.

Whoever calls `run` waits for the commit, which is synced to the disk: what was answered 2xx
survives a power cut. What comes by `append` is written in batches, in order, and always before a
later `run`. While the disk is full or the file locked, `run` is refused within `PATIENCE`, and
rows wait, as many as memory bears.
"""

import logging
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from threading import Condition, Thread
from time import monotonic, time
from typing import Any, TypeVar

from sloth_ci.errors import DatabaseUnavailable
from sloth_ci.store.backlog import TIMESTAMP, Backlog, Row
from sloth_ci.store.connections import FileWatch

LOG = logging.getLogger("sloth_ci.store")

#: How long an appended row may wait for company, in seconds.
BATCH_DELAY = 0.1
BATCH_ROWS = 500
#: Pause before rows that could not be written are tried again, in seconds.
RETRY_DELAY = 0.5
#: How long a change waits for its turn, a row for room, and the end for the last rows, in seconds.
PATIENCE = 5.0
#: Rows closer together than this, in seconds, are in the order in which they are written.
SAME_BLINK = 1.0

Change = Callable[[sqlite3.Connection], Any]
Result = TypeVar("Result")
INSERT_RECORD = (
    "INSERT INTO records (app, build, logger, level, stream, timestamp, message)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
#: Errors that come of what is written, and not of where it is written to.
_FAULTS = (
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    TypeError,
    ValueError,
    OverflowError,
)


@dataclass(frozen=True, slots=True)
class _Group:
    """What goes into one transaction."""

    rows: list[Row]
    progress: dict[int, int]
    changes: list[tuple[Change, "Future[Any]"]]


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
        self._backlog = Backlog()
        self._progress: dict[int, int] = {}
        self._rows_due = 0.0
        self._end: float | None = None
        #: Why the last transaction failed, '' when it did not.
        self._trouble = ""
        self._last_success = monotonic()
        #: Something failed to reach the disk, so what went before it may not be there either.
        self._is_doubtful = False
        self._is_synced: bool | None = None
        self._thread = Thread(target=self._work, name="store-writer", daemon=True)
        self._thread.start()

    def run(self, change: Callable[[sqlite3.Connection], Result]) -> Result:
        """Make a change in a transaction and wait until it is safe on the disk.

        Raises what `change` raises, or DatabaseUnavailable, also when its turn does not come in
        time; then nothing of it was kept.
        """
        outcome: Future[Result] = Future()
        waiting = (change, outcome)
        with self._changed:
            if self._end is not None:
                raise DatabaseUnavailable(reason="it is closed")
            self._changes.append(waiting)
            self._changed.notify_all()
        with suppress(TimeoutError):
            outcome.exception(PATIENCE)
        with self._changed:
            if outcome.cancel():
                self._changes.remove(waiting)
                raise DatabaseUnavailable(reason=self._trouble or "it is busy")
        return outcome.result()

    def append(self, row: Row) -> None:
        """Write a row of `records` soon.

        Where too many wait it holds the caller up, and loses the row when that does not help; the
        log says how many were lost.
        """
        with self._changed:
            while self._backlog.is_full and self._may_wait():
                self._changed.wait(self._patience_left())
            self._add(row, is_lost=self._backlog.is_full)

    def offer(self, row: Row) -> None:
        """Write a row of `records` soon, without ever holding the caller up."""
        with self._changed:
            self._add(row, is_lost=self._backlog.is_overfull)

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
            self._end = monotonic() + PATIENCE
            self._rows_due = 0.0
            self._changed.notify_all()
        self._thread.join()
        self._connection.close()
        if lost := self._backlog.count():
            LOG.error("%s lines of builds' logs could not be written: %s", lost, self._trouble)

    # What waits

    def _add(self, row: Row, *, is_lost: bool) -> None:
        if is_lost:
            self._backlog.lose(row)
            return
        self._backlog.add(row)
        if len(self._backlog) == 1 and not self._trouble:
            self._rows_due = monotonic() + BATCH_DELAY
            self._changed.notify_all()
        elif len(self._backlog) == BATCH_ROWS and not self._trouble:
            self._rows_due = 0.0
            self._changed.notify_all()

    def _may_wait(self) -> bool:
        return self._end is None and self._patience_left() > 0

    def _patience_left(self) -> float:
        """Seconds in which the writer must get something done, or rows are lost."""
        return self._last_success + PATIENCE - monotonic()

    def _wait(self) -> bool:
        """Wait for something to write; False when it is time to end."""
        with self._changed:
            while not self._changes:
                has_more = bool(len(self._backlog) or self._progress)
                if self._end is not None and not (has_more and monotonic() < self._end):
                    return False
                rest = self._rows_due - monotonic()
                if rest <= 0 and (len(self._backlog) or (has_more and self._end is not None)):
                    return True
                self._changed.wait(rest if len(self._backlog) or self._end is not None else None)
            return True

    def _take(self) -> _Group:
        """Everything that waits; changes only where the commit will be synced."""
        with self._changed:
            changes: list[tuple[Change, Future[Any]]] = []
            if self._is_synced:
                changes, self._changes = self._changes, []
            rows = self._backlog.take(self._clock())
            progress, self._progress = self._progress, {}
            return _Group(
                rows, progress, [one for one in changes if one[1].set_running_or_notify_cancel()]
            )

    # The thread

    def _work(self) -> None:
        while self._wait():
            group = None
            try:
                self._begin()
                group = self._take()
                done = self._make_all(group)
                self._connection.execute("COMMIT")
            except Exception as error:  # noqa: BLE001  without this thread nothing works any more
                self._give_up(error, group)
                continue
            self._note_success()
            for outcome, value in done:
                outcome.set_result(value)

    def _begin(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        self._check_file()
        self._settle_doubt()
        self._sync(bool(self._changes))
        self._connection.execute("BEGIN IMMEDIATE")

    def _make_all(self, group: _Group) -> list[tuple["Future[Any]", Any]]:
        done: list[tuple[Future[Any], Any]] = []
        self._connection.executemany(INSERT_RECORD, map(self._settle_row, group.rows))
        self._connection.executemany(
            "UPDATE builds SET completed = ? WHERE id = ?",
            [(completed, build_id) for build_id, completed in group.progress.items()],
        )
        for change, outcome in group.changes:
            self._make(change, outcome, done)
        return done

    def _make(
        self, change: Change, outcome: "Future[Any]", done: list[tuple["Future[Any]", Any]]
    ) -> None:
        self._connection.execute("SAVEPOINT change")
        try:
            done.append((outcome, change(self._connection)))
        except Exception as error:  # noqa: BLE001  it belongs to whoever waits for the change
            if isinstance(error, sqlite3.Error) and not isinstance(error, _FAULTS):
                raise
            self._connection.execute("ROLLBACK TO change")
            outcome.set_exception(error)
        self._connection.execute("RELEASE change")

    def _note_success(self) -> None:
        with self._changed:
            if self._trouble:
                LOG.warning("The database can be written again")
            self._trouble = ""
            self._last_success = monotonic()
            self._changed.notify_all()

    def _give_up(self, error: Exception, group: _Group | None) -> None:
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        self._is_doubtful |= code == sqlite3.SQLITE_IOERR
        known = isinstance(error, DatabaseUnavailable)
        reason = error.details["reason"] if known else str(error)  # type: ignore[attr-defined]
        with self._changed:
            if reason != self._trouble:
                LOG.error("The database can't be written: %s", reason)
            self._trouble = reason
            self._rows_due = monotonic() + RETRY_DELAY
            refused = group.changes if group else []
            if group:
                self._put_back(error, group)
            elif code != sqlite3.SQLITE_BUSY:  # a lock may be gone while they have patience
                refused, self._changes = self._changes, []
                refused = [one for one in refused if one[1].set_running_or_notify_cancel()]
        for _change, outcome in refused:
            if not outcome.done():
                outcome.set_exception(DatabaseUnavailable(reason=reason))

    def _put_back(self, error: Exception, group: _Group) -> None:
        self._progress = group.progress | self._progress
        if isinstance(error, _FAULTS):
            LOG.error("%s lines of builds' logs can't be written", len(group.rows), exc_info=error)
        else:
            self._backlog.put_back(group.rows)

    def _settle_row(self, row: Row) -> Row:
        return (*row[:TIMESTAMP], self._settle(row[TIMESTAMP]), *row[TIMESTAMP + 1 :])

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
            self._is_synced = None
            self._is_doubtful = False
            self._on_put_back()

    def _settle_doubt(self) -> None:
        """Write all that is in doubt once more.

        After a failed sync the system may forget what it did not write, and the next sync, of
        something else, succeeds. So the whole write-ahead log goes into the database file, which
        is synced, before anything counts as safe again.
        """
        if not self._is_doubtful:
            return
        self._sync(wanted=True)
        is_busy = self._connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()[0]
        if is_busy:
            raise DatabaseUnavailable(reason="it failed, and is in use by another program")
        self._is_doubtful = False

    def _sync(self, wanted: bool) -> None:
        """Sync commits that somebody waits for; appended rows may take their time."""
        if wanted is not self._is_synced:
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if wanted else 'NORMAL'}")
            self._is_synced = wanted
