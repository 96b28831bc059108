"""What waits to be written: changes, whose makers wait for them; records and notes come along."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from logging import WARNING
from threading import Condition
from time import monotonic
from typing import Any

from sloth_ci.errors import DatabaseUnavailable
from sloth_ci.records import Logger

#: How long an appended row may wait for company, in seconds.
BATCH_DELAY = 0.05
BATCH_ROWS = 500
#: Rows in one transaction at most: whoever hurries waits no longer than these take.
MOST_ROWS = 1_000
#: Pause before rows that could not be written are tried again, in seconds.
RETRY_DELAY = 0.5
#: How long a change waits for its turn, a row for room, and the end for the last rows, in seconds.
PATIENCE = 5.0
#: More waiting rows than this, in characters, hold up whoever appends.
LIMIT = 6_000_000
#: What a row weighs beside its message.
ROW_WEIGHT = 250

#: What a row is inserted into, with its columns in order.
RECORD = "records (app, build, logger, level, stream, timestamp, message)"
Row = tuple[Any, ...]
APP, BUILD, TIMESTAMP, MESSAGE = 0, 1, 5, 6

Change = Callable[[sqlite3.Connection], Any]
#: A small change that nobody waits for; gets the id of the record that stands behind it.
Note = Callable[[sqlite3.Connection, int], object]


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """A change, and somebody who waits for what it gives, until a moment of the monotonic clock."""

    change: Change
    until: float
    outcome: "Future[Any]" = field(default_factory=Future)


#: Takes what each of many wants, and gives what each gets; an error where that one failed.
MakeAll = Callable[[sqlite3.Connection, Sequence[Any]], Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Joint:
    """A change that is cheaper made together with others of its kind."""

    make_all: MakeAll
    wanted: Any

    def __call__(self, db: sqlite3.Connection) -> Any:
        """Make it alone."""
        (got,) = self.make_all(db, (self.wanted,))
        if isinstance(got, Exception):
            raise got
        return got


@dataclass(frozen=True, slots=True)
class Group:
    """What goes into one transaction."""

    rows: list[Row]
    #: Each with the number of the rows that stand before it.
    notes: list[tuple[int, Note]]
    changes: list[Waiting]


class Backlog:
    """Filled by many threads, emptied by one; rows only as many as memory bears."""

    def __init__(self) -> None:
        self._changed = Condition()
        #: Each with the number of rows that must have been taken before it.
        self._changes: list[tuple[int, Waiting]] = []
        self._rows: list[Row] = []
        #: How many rows were taken, and not given back, since the start.
        self._taken = 0
        self._weight = 0
        #: Each with the number of rows that must have been taken before it.
        self._notes: list[tuple[int, Note]] = []
        self._lost: Counter[tuple[int, int | None]] = Counter()
        self._rows_due = 0.0
        #: Since when nothing was written although there was something to write.
        self._stands_since = 0.0
        self._trouble = ""
        self._end: float | None = None

    # For those who have something to write

    def wait_for(self, change: Change) -> Any:
        """What the change gives, once it was written behind all rows there are.

        Raises what it raises; DatabaseUnavailable when its turn does not come in time.
        """
        with self._changed:
            waiting = self._line_up(change, behind=self._taken + len(self._rows))
        return self.settle(waiting)

    def hurry(self, change: Change) -> Waiting:
        """Let the change be written, be it before rows that wait; `settle` tells what it gives.

        Raises DatabaseUnavailable.
        """
        with self._changed:
            return self._line_up(change, behind=0)

    def settle(self, waiting: Waiting) -> Any:
        """What the change gives, once it was written.

        Raises what it raises; DatabaseUnavailable when its turn does not come in time.
        """
        outcome = waiting.outcome
        with suppress(TimeoutError):
            outcome.exception(max(0.0, waiting.until - monotonic()))
        if not outcome.done():
            self._withdraw(waiting)
        return outcome.result()

    def append(self, row: Row) -> None:
        """Add a row; where too many wait, wait too, and lose it when that does not help."""
        with self._changed:
            while self._weight >= LIMIT and self._end is None and self._patience_left() > 0:
                self._changed.wait(self._patience_left())
            self._add(row, LIMIT)

    def offer(self, row: Row) -> None:
        """Add a row without waiting."""
        with self._changed:
            self._add(row, 2 * LIMIT)

    def note(self, note: Note) -> None:
        """Add a small change in its place among the rows, without waiting.

        Whoever makes them sees to it that they don't become too many.
        """
        with self._changed:
            self._notes.append((self._taken + len(self._rows), note))
            if len(self._notes) == 1 and not self._rows:
                self._begin_batch()

    # For the one who writes

    @property
    def has_changes(self) -> bool:
        """Whether somebody waits for a change."""
        return bool(self._changes)

    def wait(self) -> bool:
        """Wait until it is time to write; False when it is time to end."""
        with self._changed:
            while not self._changes:
                if self._end is None and not (self._rows or self._notes):
                    self._changed.wait()
                    continue
                if self._end is not None and (self._is_empty() or monotonic() >= self._end):
                    return False
                rest = self._rows_due - monotonic()
                if rest <= 0:
                    return True
                self._changed.wait(rest)
            return True

    def take(self, moment: float, *, limit: int | None = None) -> Group:
        """What waits the longest, with at most `limit` of the changes whose turn it is.

        Behind the last row comes a word for those that were lost.
        """
        with self._changed:
            before = self._taken
            rows = self._take_rows(moment)
            due = [waiting for behind, waiting in self._changes if behind <= self._taken][:limit]
            self._drop(due)
            notes = [(behind - before, one) for behind, one in self._notes if behind <= self._taken]
            del self._notes[: len(notes)]
            return Group(rows, notes, _begin(due))

    def give_back(self, group: Group) -> None:
        """Keep the group's rows and notes for the next time; its changes are lost."""
        with self._changed:
            self._rows = group.rows + self._rows
            self._taken -= len(group.rows)
            self._weight += sum(map(_weigh, group.rows))
            self._notes = [(self._taken + place, one) for place, one in group.notes] + self._notes

    def note_success(self) -> None:
        """Say that all that was taken is written."""
        with self._changed:
            self._trouble = ""
            self._stands_since = monotonic()
            self._changed.notify_all()

    def note_trouble(self, reason: str) -> None:
        """Say why nothing can be written now; rows come again after a pause."""
        with self._changed:
            self._trouble = reason
            self._rows_due = monotonic() + RETRY_DELAY

    def refuse(self) -> list[Waiting]:
        """Take out all changes, which won't be made."""
        with self._changed:
            taken = [waiting for _behind, waiting in self._changes]
            self._changes = []
            return _begin(taken)

    def end(self) -> None:
        """Take nothing more; what waits gets a last moment."""
        with self._changed:
            self._end = monotonic() + PATIENCE
            self._rows_due = 0.0
            self._changed.notify_all()

    def count_rows(self) -> int:
        """How many rows wait or were lost."""
        return len(self._rows) + self._lost.total()

    def _line_up(self, change: Change, *, behind: int) -> Waiting:
        if self._end is not None:
            raise DatabaseUnavailable(reason="it is closed")
        waiting = Waiting(change, monotonic() + PATIENCE)
        self._changes.append((behind, waiting))
        self._changed.notify_all()
        return waiting

    def _take_rows(self, moment: float) -> list[Row]:
        rows = self._rows[:MOST_ROWS]
        del self._rows[:MOST_ROWS]
        self._weight -= sum(map(_weigh, rows))
        if self._rows:
            self._rows_due = 0.0
        else:
            rows += (_tell_loss(*whose, count, moment) for whose, count in self._lost.items())
            self._lost.clear()
        self._taken += len(rows)
        return rows

    def _drop(self, taken: list[Waiting]) -> None:
        if taken:
            gone = set(taken)
            self._changes = [one for one in self._changes if one[1] not in gone]

    def _withdraw(self, waiting: Waiting) -> None:
        with self._changed:
            if waiting.outcome.cancel():
                self._drop([waiting])
                raise DatabaseUnavailable(reason=self._trouble or "it is busy")

    def _add(self, row: Row, limit: int) -> None:
        if self._weight >= limit:
            self._lost[row[APP], row[BUILD]] += 1
            return
        self._rows.append(row)
        self._weight += _weigh(row)
        if len(self._rows) == 1:
            self._begin_batch()
        elif len(self._rows) == BATCH_ROWS and not self._trouble:
            self._rows_due = 0.0
            self._changed.notify_all()

    def _begin_batch(self) -> None:
        now = monotonic()
        self._rows_due = max(self._rows_due, now + BATCH_DELAY)
        if not self._trouble:
            self._stands_since = now
        self._changed.notify_all()

    def _patience_left(self) -> float:
        return self._stands_since + PATIENCE - monotonic()

    def _is_empty(self) -> bool:
        return not (self._rows or self._notes or self._lost)


def _begin(taken: Iterable[Waiting]) -> list[Waiting]:
    return [one for one in taken if one.outcome.set_running_or_notify_cancel()]


def _tell_loss(app_id: int, build_id: int | None, count: int, moment: float) -> Row:
    logger = Logger.APP if build_id is None else Logger.EXEC
    sentence = f"[{count} lines of the log were lost here: the database could not be written]"
    return (app_id, build_id, logger, WARNING, None, moment, sentence)


def _weigh(row: Row) -> int:
    return len(row[MESSAGE]) + ROW_WEIGHT
