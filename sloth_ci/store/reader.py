"""The connections that read: each question is one short read that never waits for the writer."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from threading import Lock, Thread, current_thread, local
from typing import Any

from sloth_ci.errors import DatabaseUnavailable

#: A row of the database.
Row = tuple[Any, ...]


class Reader:
    """A connection for each thread that reads."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._mine = local()
        self._lock = Lock()
        self._all: dict[Thread, sqlite3.Connection] = {}
        #: Counts the files that stood at the path.
        self._file = 0

    def rows(self, sql: str, values: Iterable[Any] = ()) -> list[Row]:
        """All rows of a question.

        Raises DatabaseUnavailable.
        """
        try:
            return self._connection().execute(sql, tuple(values)).fetchall()
        except sqlite3.Error as error:
            raise DatabaseUnavailable(reason=str(error)) from error

    def walk(self, sql: str, values: Iterable[Any] = ()) -> Iterator[Row]:
        """The rows of a question, read as they are taken; close it when that is early.

        Raises DatabaseUnavailable.
        """
        cursor = None
        try:
            cursor = self._connection().execute(sql, tuple(values))
            yield from cursor
        except sqlite3.Error as error:
            raise DatabaseUnavailable(reason=str(error)) from error
        finally:
            if cursor is not None:
                cursor.close()

    def first_since(self, table: str, column: str, moment: float) -> int:
        """The least id from which on the rows' times are not before the moment.

        Rows stand in the order of their times, nearly always; where the clock was set back, one
        such place is found.
        """
        low, top = self.rows(
            f"SELECT (SELECT min(id) FROM {table}), (SELECT max(id) FROM {table})"  # noqa: S608
        )[0]
        if low is None:
            return 0
        high = top + 1
        sql = f"SELECT id, {column} FROM {table} WHERE id >= ? ORDER BY id LIMIT 1"  # noqa: S608
        while low < high:
            middle = (low + high) // 2
            found = self.rows(sql, (middle,))
            if not found or found[0][1] >= moment:
                high = middle
            else:
                low = found[0][0] + 1
        return int(low)

    def reconnect(self) -> None:
        """Read from the file that is at the path now."""
        with self._lock:
            self._file += 1

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            for connection in self._all.values():
                connection.close()
            self._all.clear()

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._mine, "connection", None)
        file = self._file
        if connection is None or self._mine.file != file:
            connection = self._connect()
            with self._lock:
                self._close_needless()
                self._all[current_thread()] = connection
            self._mine.connection, self._mine.file = connection, file
        return connection

    def _close_needless(self) -> None:
        """Close the connection that this thread had, and those of threads that have ended."""
        mine = current_thread()
        for thread in [one for one in self._all if one is mine or not one.is_alive()]:
            self._all.pop(thread).close()
