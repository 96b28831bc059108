"""What changes of builds have in common: their history records, their ends, the queue's length."""

import sqlite3
from collections.abc import Callable

from sloth_ci.builds import OutcomeStatus, Result
from sloth_ci.records import Logger
from sloth_ci.store.backlog import RECORD, Row
from sloth_ci.store.inserting import insert_rows
from sloth_ci.store.rows import make_storable

#: Tells the time of the change, when it is made.
Clock = Callable[[], float]


def end_build(
    db: sqlite3.Connection, app_id: int, build_id: int, result: Result, total: int, now: float
) -> None:
    """Give a build its final status, with its record in the history."""
    sentence = result.status.describe(completed=result.completed, total=total)
    # An action that never got to say how it ended did not end by itself.
    db.execute(
        "UPDATE build_actions SET status = ?, reason = ? WHERE build = ? AND status IS NULL",
        (OutcomeStatus.HALTED, result.status.value.capitalize(), build_id),
    )
    record = add_record(db, app_id, build_id, result.status.level, sentence, now)
    db.execute(
        "UPDATE builds SET status = ?, completed = ?, finished = max(?, coalesce(started, queued)),"
        " reason = ?, last_record = ?, first_record = coalesce(first_record, ?) WHERE id = ?",
        (
            result.status,
            result.completed,
            now,
            make_storable(result.reason),
            record,
            record,
            build_id,
        ),
    )


def add_record(
    db: sqlite3.Connection, app_id: int, build_id: int, level: int, message: str, now: float
) -> int | None:
    """Write a record of a build's status; gives its id."""
    row: Row = (app_id, build_id, Logger.BUILD, level, None, now, message)
    return insert_rows(db, RECORD, (row,))


def count_waiting(db: sqlite3.Connection, app_id: int, more: int) -> None:
    """Note that so many builds more wait for the app; fewer, when it is negative."""
    if more:
        db.execute("UPDATE apps SET waiting = waiting + ? WHERE id = ?", (more, app_id))
        db.execute("UPDATE queue SET waiting = waiting + ?", (more,))
