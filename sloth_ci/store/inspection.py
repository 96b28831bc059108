"""A look at a database from outside: what it holds and whether it is sound."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from sloth_ci.errors import DatabaseRefused
from sloth_ci.store.connections import connect
from sloth_ci.store.rows import Origin, StoredApp
from sloth_ci.store.schema import check_identity

#: Bytes above which only the faster check is made, which leaves out what the indexes hold.
MAX_THOROUGH = 500_000_000
#: The least version of SQLite that knows all that the tables need.
LEAST_SQLITE = (3, 37, 0)
SQLITE_VERSION = sqlite3.sqlite_version_info


@dataclass(frozen=True, slots=True)
class Contents:
    """What a database holds."""

    #: Those that were not removed.
    apps: tuple[StoredApp, ...]
    builds: int
    #: Of the newest record or build, in seconds since the epoch; None when there is neither.
    newest: float | None


def look_into(database: Path) -> Contents:
    """What the database holds, in use or not.

    Raises DatabaseRefused when it is missing, isn't ours or can't be read.
    """
    connection = _open(database)
    try:
        apps = connection.execute(
            "SELECT id, listen_point, origin, config, config_file FROM apps"
            " WHERE origin IS NOT NULL ORDER BY id"
        ).fetchall()
        (builds,) = connection.execute("SELECT count(*) FROM builds").fetchone()
        newest = connection.execute(
            "SELECT timestamp FROM (SELECT timestamp FROM records ORDER BY id DESC LIMIT 1)"
            " UNION ALL"
            " SELECT queued FROM (SELECT queued FROM builds ORDER BY id DESC LIMIT 1)"
        ).fetchall()
    except sqlite3.Error as error:
        raise DatabaseRefused(path=database, reason=str(error)) from error
    finally:
        connection.close()
    return Contents(
        apps=tuple(StoredApp(row[0], row[1], Origin(row[2]), row[3], row[4]) for row in apps),
        builds=builds,
        newest=max((row[0] for row in newest), default=None),
    )


def find_damage(database: Path) -> str:
    """What is broken in the file, '' when nothing is found; a large one is checked less thoroughly.

    Raises DatabaseRefused when it can't be read.
    """
    kind = "quick_check" if database.stat().st_size > MAX_THOROUGH else "integrity_check"
    connection = _open(database)
    try:
        found = connection.execute(f"PRAGMA {kind}(3)").fetchall()
    except sqlite3.DatabaseError as error:
        return str(error)
    finally:
        connection.close()
    return "" if found == [("ok",)] else "; ".join(str(row[0]) for row in found)


def _open(database: Path) -> sqlite3.Connection:
    if not database.is_file():
        raise DatabaseRefused(path=database, reason="there is no such file")
    try:
        connection = connect(database)
        try:
            check_identity(connection, str(database))
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise DatabaseRefused(path=database, reason=str(error)) from error
    return connection
