"""Connections to the file, and the lock that keeps a second server off it."""

import os
import sqlite3
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from time import time_ns
from typing import NamedTuple

from sloth_ci.errors import DatabaseRefused, DatabaseUnavailable
from sloth_ci.store.schema import APPLICATION_ID, check_identity, migrate

#: How long a connection waits for somebody else's lock, in seconds.
BUSY_TIMEOUT = 5.0
#: The write-ahead log is cut back to this, in bytes.
WAL_LIMIT = 64 * 1024 * 1024
#: What a reading connection keeps of the file, in kilobytes; with every commit it forgets all that.
READER_CACHE = 256
#: What the lock file holds once there is a database to lose.
_IN_USE = b"in use\n"
#: And once something else was seen in its place.
_RUINED = b"ruined\n"
#: Nanoseconds in which a file system may give the same time to two changes.
_TICK = 2_000_000_000
#: What every SQLite file begins with.
_MAGIC = b"SQLite format 3\0"


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
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600))
        connection = connect(path)
        try:
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
        note_presence(guard)
    except OSError as error:
        raise DatabaseRefused(path=path, reason=error.strerror) from error
    except sqlite3.Error as error:
        raise DatabaseRefused(path=path, reason=str(error)) from error
    return connection


def note_presence(guard: int) -> None:
    """Remember that there is a sound database now."""
    os.pwrite(guard, _IN_USE, 0)


class _State(NamedTuple):
    """Which folder it is, and when it changed last, in nanoseconds since the epoch."""

    device: int
    inode: int
    changed: int


class FileWatch:
    """Knows whether the files under the writing connection are still those at its path.

    SQLite goes on writing to files that were deleted, and all of it would be gone with the
    process. `guard` is the descriptor that `hold` gave.
    """

    def __init__(self, path: Path, guard: int) -> None:
        self._path = path
        # Made once: each Path leaves its parts in a table of the interpreter's for a while.
        self._lock = Path(f"{path}.lock")
        self._parts = (Path(f"{path}-wal"), Path(f"{path}-shm"))
        self._guard = guard
        self._folder = path.parent
        #: In which all is well.
        self._sound: _State | None = None
        self._is_overwritten = False
        self._learn()

    def is_gone(self) -> bool:
        """Whether one of the database's files is not at its path any more.

        Raises DatabaseUnavailable when something else is there, or OSError.
        """
        state = _state(self._folder)
        is_as_before = state is not None and state == self._sound
        if is_as_before and self._read_mark() in self._marks:
            return False
        self._sound = None
        is_gone = self._look()
        # A change within the same tick of the file system's clock would not be told from this one.
        is_settled = state is not None and abs(time_ns() - state.changed) > _TICK
        if is_settled and not is_gone:
            self._sound = state
        return is_gone

    def put_back(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        """Write what the connection still sees to the path again; gives a connection to that."""
        unfinished = self._path.with_name(f"{self._path.name}.unfinished")
        unfinished.unlink(missing_ok=True)
        try:
            os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            connection.execute("VACUUM INTO ?", (str(unfinished),))
            sync(unfinished)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        # They belong to the old file; beside the new one they would be taken for its own.
        for part in self._parts:
            part.unlink(missing_ok=True)
        unfinished.rename(self._path)
        sync(self._path.parent)
        new = connect(self._path)
        new.execute("PRAGMA journal_mode = WAL")
        connection.close()
        os.close(self._file)
        self._learn()
        return new

    def close(self) -> None:
        """Let go of the file; only when no connection is open any more.

        (POSIX locks: whoever closes any descriptor of a file loses all locks on it.)
        """
        os.close(self._file)

    def _look(self) -> bool:
        if _identity(self._lock) != _identity(self._guard):
            self._hold_again()
        found = _identity(self._path)
        if found is None:
            return True
        if found != self._known:
            raise DatabaseUnavailable(
                reason=f"another file is in the place of {self._path}; put the right one back"
            )
        if self._is_overwritten or self._read_mark() not in self._marks:
            self._refuse_overwritten()
        return any(_identity(part) is None for part in self._parts)

    def _learn(self) -> None:
        self._known = _identity(self._path)
        self._sound = None
        self._file = os.open(self._path, os.O_RDONLY)
        first = self._read_mark()
        #: What the file may begin with; its number is in the log only, for a while.
        self._marks = (first, (_MAGIC, APPLICATION_ID.to_bytes(4, "big")))

    def _read_mark(self) -> tuple[bytes, bytes]:
        head = os.pread(self._file, 72, 0)
        return head[:16], head[68:72]

    def _hold_again(self) -> None:
        """Put our lock file back; another server must not come in where it is missing."""
        try:
            new = hold(self._path)
        except DatabaseRefused as error:
            raise DatabaseUnavailable(reason=error.details["reason"]) from error
        os.dup2(new, self._guard, inheritable=False)
        os.close(new)
        note_presence(self._guard)

    def _refuse_overwritten(self) -> None:
        """Refuse for good: whatever is written there now, the write-ahead log fits it no more.

        The next start must know it too, as this one's end writes that log into the file.
        """
        self._is_overwritten = True
        os.pwrite(self._guard, _RUINED, 0)
        raise DatabaseUnavailable(
            reason=f"something else was written into {self._path};"
            " stop the server and put a backup in its place with `sci restore`"
        )


def connect(path: Path) -> sqlite3.Connection:
    """A connection to the file; any thread may use it, one at a time."""
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that takes little memory: there is one for each thread that reads."""
    connection = connect(path)
    connection.execute(f"PRAGMA cache_size = -{READER_CACHE}")
    return connection


def sync(path: Path) -> None:
    """Wait until the file or folder is safe on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    check_identity(connection, str(path))
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT}")
    migrate(connection)


def _identity(file: Path | int) -> tuple[int, int] | None:
    try:
        found = os.stat(file)  # noqa: PTH116  it may be a descriptor
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _state(folder: Path) -> _State | None:
    """Another one after each change of a name in the folder; None where there is no folder."""
    try:
        found = os.stat(folder)  # noqa: PTH116  the same as for files
    except OSError:
        return None
    # Not the time of modification, which programs that copy files set back.
    return _State(found.st_dev, found.st_ino, found.st_ctime_ns)


def _check_presence(path: Path, guard: int) -> None:
    mark = os.pread(guard, len(_IN_USE), 0)
    if mark == _RUINED and path.exists():
        raise DatabaseRefused(
            path=path,
            reason="something else was written into it while the server ran; put a backup in its"
            f" place with `sci restore`, or delete {path} and {path}.lock to start afresh",
        )
    if mark and (not path.exists() or not path.stat().st_size):
        raise DatabaseRefused(
            path=path,
            reason="it was deleted or emptied since the last start; put a backup in its place with"
            f" `sci restore`, or delete {path}.lock to start afresh",
        )
