"""Whole copies of the store: backup while builds run, restore with a check."""

import os
import sqlite3
from pathlib import Path

from sloth_ci.errors import DatabaseRefused
from sloth_ci.store.connections import connect, hold, note_presence, sync
from sloth_ci.store.schema import check_identity


def backup(database: Path, target: Path) -> None:
    """Copy the database, in use or not, to a new file, and check the copy.

    Raises DatabaseRefused when there is no database, the target exists, or the copy fails.
    """
    if not database.is_file():
        raise DatabaseRefused(path=database, reason="there is no such file")
    if os.path.lexists(target):
        raise DatabaseRefused(path=target, reason="it exists; a backup never overwrites a file")
    unfinished = target.with_name(f"{target.name}.unfinished")
    try:
        os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        # Whose file that is we can't know, so it stays.
        raise DatabaseRefused(path=unfinished, reason=error.strerror) from error
    try:
        connection = connect(database)
        try:
            check_identity(connection, str(database))
            connection.execute("VACUUM INTO ?", (str(unfinished),))
        finally:
            connection.close()
        check(unfinished)
        sync(unfinished)
        unfinished.rename(target)
        sync(target.parent)
    except (OSError, sqlite3.Error) as error:
        raise DatabaseRefused(path=target, reason=str(error)) from error
    finally:
        unfinished.unlink(missing_ok=True)


def restore(source: Path, database: Path) -> Path | None:
    """Put a checked copy in the database's place; gives the path of what was there before, if any.

    Raises DatabaseRefused when the copy is damaged or a server runs on the database.
    """
    if not source.is_file():
        raise DatabaseRefused(path=source, reason="there is no such file")
    check(source)
    guard = hold(database)
    try:
        aside = _set_aside(database)
        backup(source, database)
        note_presence(guard)
    finally:
        os.close(guard)
    return aside


def check(database: Path) -> None:
    """Raises DatabaseRefused unless the file is a sound database of ours."""
    try:
        connection = connect(database)
        try:
            check_identity(connection, str(database))
            found = connection.execute("PRAGMA integrity_check(3)").fetchall()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise DatabaseRefused(path=database, reason=str(error)) from error
    if found != [("ok",)]:
        problems = "; ".join(str(row[0]) for row in found)
        raise DatabaseRefused(path=database, reason=f"it is damaged: {problems}")


def _set_aside(database: Path) -> Path | None:
    """Move away what is there; a log left behind alone, too: it would change the restored file."""
    endings = [ending for ending in ("", "-wal", "-shm") if os.path.lexists(f"{database}{ending}")]
    if not endings:
        return None
    number = 1
    while os.path.lexists(aside := f"{database}.before-restore-{number}"):
        number += 1
    for ending in endings:
        Path(f"{database}{ending}").rename(f"{aside}{ending}")
    return Path(aside)
