"""Connections to the file, and the lock that keeps a second server off it."""

import os
import sqlite3
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

from sloth_ci.errors import DatabaseRefused, DatabaseUnavailable
from sloth_ci.store.schema import check_identity, migrate

#: How long a connection waits for somebody else's lock, in seconds.
BUSY_TIMEOUT = 5.0
#: The write-ahead log is cut back to this, in bytes.
WAL_LIMIT = 64 * 1024 * 1024
#: What the lock file holds once there is a database to lose.
_IN_USE = b"in use\n"


def hold(path: Path) -> int:
    """Hold `path`.lock for this process: two servers on one file would run every build twice.

    Gives the descriptor that holds it. Raises DatabaseRefused.
    """
    name = f"{path}.lock"
    try:
        guard = os.open(name, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise DatabaseRefused(path=path, reason=f"{name}: {error.strerror}") from error
    try:
        flock(guard, LOCK_EX | LOCK_NB)
    except OSError as error:
        os.close(guard)
        raise DatabaseRefused(path=path, reason="another server uses it") from error
    return guard


def open_database(path: Path, guard: int) -> sqlite3.Connection:
    """The writing connection to a file that is ours and of the newest version.

    Raises DatabaseRefused, and leaves the file as it is, when it is anything else; also when it
    should be there and isn't: an empty one in its place would hide a loss.
    """
    try:
        _check_presence(path, guard)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        connection = connect(path)
        check_identity(connection, str(path))
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT}")
        migrate(connection)
        os.pwrite(guard, _IN_USE, 0)
    except OSError as error:
        raise DatabaseRefused(path=path, reason=error.strerror) from error
    except sqlite3.Error as error:
        raise DatabaseRefused(path=path, reason=str(error)) from error
    return connection


class FileWatch:
    """Knows whether the file under the writing connection is still the one at its path.

    SQLite goes on writing to a file that was deleted, and all of it would be gone with the process.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = _identity(path)

    def is_gone(self) -> bool:
        """Whether nothing is at the path any more.

        Raises DatabaseUnavailable when something else is there.
        """
        found = _identity(self._path)
        if found is not None and found != self._known:
            raise DatabaseUnavailable(reason=f"another file was put in the place of {self._path}")
        return found is None

    def put_back(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        """Write what the connection still sees to the path again; gives a connection to that."""
        os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            connection.execute("VACUUM INTO ?", (str(self._path),))
            new = connect(self._path)
            new.execute("PRAGMA journal_mode = WAL")
        except sqlite3.Error:
            self._path.unlink()
            raise
        self._known = _identity(self._path)
        connection.close()
        return new


def connect(path: Path) -> sqlite3.Connection:
    """A connection to the file; any thread may use it, one at a time."""
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _check_presence(path: Path, guard: int) -> None:
    was_in_use = os.pread(guard, len(_IN_USE), 0) == _IN_USE
    if was_in_use and (not path.exists() or not path.stat().st_size):
        raise DatabaseRefused(
            path=path,
            reason="it was deleted or emptied since the last start; put a backup in its place with"
            f" `sci restore`, or delete {path}.lock to start afresh",
        )
