"""The connections that read: each question is one short read that never waits for the writer."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from threading import Lock, RLock, Thread, current_thread, local
from typing import Any

from sloth_ci.errors import DatabaseUnavailable

#: A row of the database.
Row = tuple[Any, ...]


class Reader:
    """A connection for each thread that reads; none is closed while somebody reads with it."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._mine = local()
        self._lock = Lock()
        self._all: dict[Thread, _Line] = {}
        #: Counts the files that stood at the path.
        self._file = 0
        self._closed = False

    def rows(self, sql: str, values: Iterable[Any] = ()) -> list[Row]:
        """All rows of a question.

        Raises DatabaseUnavailable.
        """
        line = self._take()
        try:
            return line.connection.execute(sql, tuple(values)).fetchall()
        except sqlite3.Error as error:
            raise DatabaseUnavailable(reason=str(error)) from error
        finally:
            line.busy.release()

    def walk(self, sql: str, values: Iterable[Any] = ()) -> Iterator[Row]:
        """The rows of a question, read as they are taken; close it when that is early.

        Raises DatabaseUnavailable.
        """
        line = self._take()
        cursor = None
        try:
            cursor = line.connection.execute(sql, tuple(values))
            yield from cursor
        except sqlite3.Error as error:
            raise DatabaseUnavailable(reason=str(error)) from error
        finally:
            if cursor is not None:
                cursor.close()
            line.busy.release()

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
        """Close every connection, each as soon as nobody reads with it; from now on none reads."""
        with self._lock:
            self._closed = True
            for line in self._all.values():
                line.close()
            self._all.clear()

    def _take(self) -> "_Line":
        """This thread's line, busy until the caller releases it."""
        line: _Line | None = getattr(self._mine, "line", None)
        file = self._file
        if line is None or self._mine.file != file:
            line = self._open()
            self._mine.line, self._mine.file = line, file
        line.busy.acquire()
        if self._closed:
            line.busy.release()
            raise DatabaseUnavailable(reason="the server has closed it")
        return line

    def _open(self) -> "_Line":
        try:
            line = _Line(self._connect())
        except sqlite3.Error as error:
            raise DatabaseUnavailable(reason=str(error)) from error
        with self._lock:
            if self._closed:
                line.close()
            else:
                self._close_needless()
                self._all[current_thread()] = line
        return line

    def _close_needless(self) -> None:
        """Close the connection that this thread had, and those of threads that have ended."""
        mine = current_thread()
        for thread in [one for one in self._all if one is mine or not one.is_alive()]:
            self._all.pop(thread).close()


class _Line:
    """A connection, and who may use it now: one that is closed under a reader ends the process."""

    __slots__ = ("busy", "connection")

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        # The one who walks through the rows of a question may ask another meanwhile.
        self.busy = RLock()

    def close(self) -> None:
        with self.busy:
            self.connection.close()
