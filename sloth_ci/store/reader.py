"""The questions: each is one short read that never waits for the writer."""

import sqlite3
from collections.abc import Callable, Iterable
from threading import Lock, local
from typing import Any

from sloth_ci.builds import BuildStatus
from sloth_ci.errors import DatabaseUnavailable
from sloth_ci.records import LEVEL_NAMES, Logger, LogRecord, Stream
from sloth_ci.store.rows import Cause, Origin, StoredApp, StoredBuild

_APPS = "SELECT id, listen_point, origin, config, config_file FROM apps"
_RECORD = "id, app, build, logger, level, stream, timestamp, message"
_BUILDS = (
    "SELECT builds.id, app, listen_point, cause, status, total, completed,"
    " queued, started, finished"
    " FROM builds JOIN apps ON apps.id = app"
)


class Reader:
    """A connection for each thread that reads."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._mine = local()
        self._lock = Lock()
        self._all: list[sqlite3.Connection] = []
        #: Counts the files that stood at the path.
        self._file = 0

    def rows(self, sql: str, values: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a question.

        Raises DatabaseUnavailable.
        """
        try:
            return self._connection().execute(sql, tuple(values)).fetchall()
        except sqlite3.Error as error:
            raise DatabaseUnavailable(reason=str(error)) from error

    def reconnect(self) -> None:
        """Read from the file that is at the path now."""
        with self._lock:
            self._file += 1

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            for connection in self._all:
                connection.close()
            self._all.clear()

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._mine, "connection", None)
        file = self._file
        if connection is None or self._mine.file != file:
            new = self._connect()
            with self._lock:
                self._all.append(new)
                if connection is not None:
                    self._all.remove(connection)
                    connection.close()
            self._mine.connection, self._mine.file = new, file
            return new
        return connection


def apps(reader: Reader) -> list[StoredApp]:
    """Every app that was not removed, in order of its making."""
    return [_app(row) for row in reader.rows(f"{_APPS} WHERE origin IS NOT NULL ORDER BY id")]


def app(reader: Reader, app_id: int) -> StoredApp:
    """The app of that id, which must exist."""
    return _app(reader.rows(f"{_APPS} WHERE id = ?", (app_id,))[0])


def find_app_id(reader: Reader, listen_point: str) -> int | None:
    """The id of a listen point ever seen."""
    rows = reader.rows("SELECT id FROM apps WHERE listen_point = ?", (listen_point,))
    return rows[0][0] if rows else None


def waiting_apps(reader: Reader) -> list[int]:
    """The ids of apps with builds in the queue, the longest waiting first."""
    rows = reader.rows(
        "SELECT app FROM builds WHERE status = 'queued' GROUP BY app ORDER BY min(id)"
    )
    return [app_id for (app_id,) in rows]


def last_build(reader: Reader, app_id: int) -> StoredBuild | None:
    """The app's newest build."""
    rows = reader.rows(f"{_BUILDS} WHERE app = ? ORDER BY builds.id DESC LIMIT 1", (app_id,))
    return _build(rows[0]) if rows else None


def find_build(reader: Reader, build_id: int) -> StoredBuild | None:
    """The build of that id."""
    rows = reader.rows(f"{_BUILDS} WHERE builds.id = ?", (build_id,))
    return _build(rows[0]) if rows else None


def logs(reader: Reader, *, app_id: int, level: int, skip: int, most: int) -> list[LogRecord]:
    """The app's records of at least that level, newest first."""
    lowest = min(LEVEL_NAMES)
    if level <= lowest:
        return _records(
            reader,
            f"SELECT {_RECORD} FROM records WHERE app = ? ORDER BY id DESC LIMIT ? OFFSET ?",  # noqa: S608
            (app_id, most, skip),
        )
    # One short walk a level, merged: an index on (app, level, id) makes each of them exact.
    one_level = (
        f"SELECT * FROM (SELECT {_RECORD} FROM records WHERE app = ? AND level = ?"  # noqa: S608
        " ORDER BY id DESC LIMIT ?)"
    )
    levels = [known for known in LEVEL_NAMES if known >= level]
    if not levels:
        return []
    values = [value for known in levels for value in (app_id, known, skip + most)]
    sql = " UNION ALL ".join([one_level] * len(levels))
    return _records(reader, f"{sql} ORDER BY id DESC LIMIT ? OFFSET ?", (*values, most, skip))


def history(reader: Reader, *, app_id: int, level: int, skip: int, most: int) -> list[LogRecord]:
    """The records of the app's builds' statuses, newest first."""
    return _records(
        reader,
        f"SELECT {_RECORD} FROM records WHERE app = ? AND logger = 2 AND level >= ?"  # noqa: S608
        " ORDER BY id DESC LIMIT ? OFFSET ?",
        (app_id, level, most, skip),
    )


def _records(reader: Reader, sql: str, values: Iterable[Any]) -> list[LogRecord]:
    return [
        LogRecord(
            id=row[0],
            app_id=row[1],
            build_id=row[2],
            logger=Logger(row[3]),
            level=row[4],
            stream=None if row[5] is None else Stream(row[5]),
            timestamp=row[6],
            message=row[7],
        )
        for row in reader.rows(sql, values)
    ]


def _app(row: tuple[Any, ...]) -> StoredApp:
    return StoredApp(row[0], row[1], Origin(row[2]), row[3], row[4])


def _build(row: tuple[Any, ...]) -> StoredBuild:
    return StoredBuild(
        id=row[0],
        app_id=row[1],
        listen_point=row[2],
        cause=Cause(row[3]),
        status=BuildStatus(row[4]),
        total=row[5],
        completed=row[6],
        queued=row[7],
        started=row[8],
        finished=row[9],
    )
