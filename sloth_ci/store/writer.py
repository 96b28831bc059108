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
from functools import partial
from threading import Lock, Thread
from time import time
from typing import Any, TypeVar, cast

from sloth_ci.errors import DatabaseUnavailable
from sloth_ci.store.backlog import (
    RECORD,
    TIMESTAMP,
    Backlog,
    Change,
    Group,
    Joint,
    MakeAll,
    Note,
    Row,
    Waiting,
)
from sloth_ci.store.connections import FileWatch
from sloth_ci.store.inserting import insert_rows
from sloth_ci.store.pending import Pending

LOG = logging.getLogger("sloth_ci.store")

#: How long the thread waits for somebody else's lock before it looks up, in seconds.
LOCK_WAIT = 1.0
#: Rows closer together than this, in seconds, are in the order in which they are written.
SAME_BLINK = 1.0

Result = TypeVar("Result")
#: Those who are told what their changes gave, once it is safe.
Done = list[tuple["Future[Any]", Any]]
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
        self._adopt(connection)
        self._clock = clock
        self._latest = 0.0
        self._watch = watch
        self._on_put_back = on_put_back
        self._backlog = Backlog()
        self._subscribing = Lock()
        self._subscribers: tuple[Callable[[], None], ...] = ()
        #: Why the last transaction failed, '' when it did not.
        self._trouble = ""
        self._thread = Thread(target=self._work, name="store-writer", daemon=True)
        self._thread.start()

    def run(self, change: Callable[[sqlite3.Connection], Result]) -> Result:
        """Make a change in a transaction and wait until it is safe on the disk.

        Raises what `change` raises, or DatabaseUnavailable, also when its turn does not come in
        time; then nothing of it was kept.
        """
        return cast(Result, self._backlog.wait_for(change))

    def run_first(self, change: Callable[[sqlite3.Connection], Result]) -> Result:
        """Make a change as `run` does, but before the rows that wait: nothing depends on them."""
        return self.start(change).result()

    def start(self, change: Callable[[sqlite3.Connection], Result]) -> Pending[Result]:
        """Make a change as `run_first` does, and don't wait for it.

        Raises DatabaseUnavailable.
        """
        waiting = self._backlog.hurry(change)
        return Pending(waiting, partial(self._backlog.settle, waiting))

    def append(self, row: Row) -> None:
        """Write a row of `records` soon.

        Where too many wait it holds the caller up, and loses the row when that does not help; the
        log says how many were lost.
        """
        self._backlog.append(row)

    def offer(self, row: Row) -> None:
        """Write a row of `records` soon, without ever holding the caller up."""
        self._backlog.offer(row)

    def note(self, note: Note) -> None:
        """Make a small change soon, in its place among the rows, and never hold the caller up."""
        self._backlog.note(note)

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call this after each commit, on the writing thread; gives what takes it back.

        It must return at once.
        """
        with self._subscribing:
            self._subscribers = (*self._subscribers, callback)

        def unsubscribe() -> None:
            with self._subscribing:
                self._subscribers = tuple(one for one in self._subscribers if one is not callback)

        return unsubscribe

    def moment(self) -> float:
        """The time of what a change writes now; never before that of an earlier row."""
        return self._settle(self._clock())

    def flush(self) -> None:
        """Wait until everything appended so far is written."""
        self.run(lambda _connection: None)

    def close(self) -> None:
        """Write what waits, end the thread and close the connection."""
        self._backlog.end()
        self._thread.join()
        self._connection.close()
        if lost := self._backlog.count_rows():
            _tell("%s lines of apps' logs could not be written: %s", lost, self._trouble)

    def _work(self) -> None:
        while self._backlog.wait():
            group = None
            try:
                self._begin()
                group = self._take()
                done = self._make_all(group)
                self._connection.execute("COMMIT")
            except Exception as error:  # noqa: BLE001  without this thread nothing works any more
                self._give_up(error, group)
                continue
            for outcome, value in done:
                outcome.set_result(value)
            self._note_success()
            self._tell_subscribers()

    def _begin(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        self._check_file()
        self._settle_doubt()
        self._sync(wanted=self._backlog.has_changes)
        self._connection.execute("BEGIN IMMEDIATE")

    def _take(self) -> Group:
        # A change that came since the lock was asked for waits until a commit is synced.
        return self._backlog.take(self._clock(), limit=None if self._is_synced else 0)

    def _make_all(self, group: Group) -> Done:
        done: Done = []
        insert_rows(self._connection, RECORD, self._settle_rows(group.rows))
        if group.notes:
            self._make_notes(group)
        joint: dict[MakeAll, list[Waiting]] = {}
        alone: list[Waiting] = []
        for waiting in group.changes:
            if isinstance(waiting.change, Joint):
                joint.setdefault(waiting.change.make_all, []).append(waiting)
            else:
                alone.append(waiting)
        # Nobody was answered yet, so who comes first is free.
        for make_all, members in joint.items():
            self._make_jointly(make_all, members, done)
        for waiting in alone:
            self._make(waiting, done)
        return done

    def _make_notes(self, group: Group) -> None:
        # One connection inserts them, so the group's rows have one id after another.
        newest = self._connection.execute("SELECT coalesce(max(id), 0) FROM records").fetchone()[0]
        first = newest - len(group.rows) + 1
        for place, note in group.notes:
            try:
                note(self._connection, first + place)
            except Exception as error:
                if _is_trouble(error):
                    raise
                # Given back it would fail again, for ever, and everything else with it.
                _tell("What was to be noted of a build can't be written: %r", error)

    def _make_jointly(self, make_all: MakeAll, members: list[Waiting], done: Done) -> None:
        wanted = [cast(Joint, waiting.change).wanted for waiting in members]
        try:
            results = self._try(lambda db: make_all(db, wanted))
        except Exception as error:
            if _is_trouble(error):
                raise
            # One of them is at fault; alone, it is the only one to hear of it.
            for waiting in members:
                self._make(waiting, done)
            return
        for waiting, result in zip(members, results, strict=True):
            if isinstance(result, Exception):
                waiting.outcome.set_exception(result)
            else:
                done.append((waiting.outcome, result))

    def _make(self, waiting: Waiting, done: Done) -> None:
        try:
            done.append((waiting.outcome, self._try(waiting.change)))
        except Exception as error:
            if _is_trouble(error):
                raise
            waiting.outcome.set_exception(error)

    def _try(self, change: Change) -> Any:
        """Make a change, or nothing of it."""
        self._connection.execute("SAVEPOINT change")
        try:
            given = change(self._connection)
        except Exception as error:
            if not _is_trouble(error):
                self._connection.execute("ROLLBACK TO change")
                self._connection.execute("RELEASE change")
            raise
        self._connection.execute("RELEASE change")
        return given

    def _note_success(self) -> None:
        self._backlog.note_success()
        if self._trouble:
            self._trouble = ""
            _tell("The database can be written again")

    def _tell_subscribers(self) -> None:
        for tell in self._subscribers:
            try:
                tell()
            except Exception as error:  # noqa: BLE001  the thread must go on for all others
                _tell("A follower of the store failed: %r", error)

    def _give_up(self, error: Exception, group: Group | None) -> None:
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        self._is_doubtful |= code == sqlite3.SQLITE_IOERR
        reason = _describe(error)
        self._backlog.note_trouble(reason)
        if group is not None:
            self._give_back(error, group)
            refused = group.changes
        elif code == sqlite3.SQLITE_BUSY:
            refused = []  # who waits has patience, and the lock may be gone soon
        else:
            refused = self._backlog.refuse()
        for waiting in refused:
            if not waiting.outcome.done():
                waiting.outcome.set_exception(DatabaseUnavailable(reason=reason))
        if reason != self._trouble:
            self._trouble = reason
            _tell("The database can't be written: %s", reason)

    def _give_back(self, error: Exception, group: Group) -> None:
        if isinstance(error, _FAULTS):
            _tell("%s lines of apps' logs can't be written: %r", len(group.rows), error)
        else:
            self._backlog.give_back(group)

    def _settle_rows(self, rows: list[Row]) -> list[Row]:
        moments = [self._latest, *(row[TIMESTAMP] for row in rows)]
        if moments == sorted(moments):
            self._latest = moments[-1]
            return rows
        return [
            (*row[:TIMESTAMP], self._settle(row[TIMESTAMP]), *row[TIMESTAMP + 1 :]) for row in rows
        ]

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
            _tell("A file of the database was deleted; it is put back with all it held")
            self._adopt(self._watch.put_back(self._connection))
            self._on_put_back()

    def _adopt(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.execute(f"PRAGMA busy_timeout = {LOCK_WAIT * 1000:.0f}")
        self._is_synced: bool | None = None
        #: Something failed to reach the disk, so what went before it may not be there either.
        self._is_doubtful = False

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

    def _sync(self, *, wanted: bool) -> None:
        """Sync commits that somebody waits for; appended rows may take their time."""
        if wanted is not self._is_synced:
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if wanted else 'NORMAL'}")
            self._is_synced = wanted


def _tell(message: str, *values: object) -> None:
    """Say it in the error log; that one may have no disk either, and must not end the thread."""
    with suppress(OSError):
        LOG.error(message, *values)


def _is_trouble(error: Exception) -> bool:
    """Whether the database itself has failed, and not the change that was made."""
    return isinstance(error, sqlite3.Error) and not isinstance(error, _FAULTS)


def _describe(error: Exception) -> str:
    return str(error.details["reason"] if isinstance(error, DatabaseUnavailable) else error)
