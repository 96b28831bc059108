"""The server's own logs: one line an event, nothing in them but printable text."""

import logging
import os
import sys
from collections import deque
from contextlib import suppress
from io import FileIO, TextIOWrapper
from logging.handlers import WatchedFileHandler
from pathlib import Path
from threading import Event, Thread

from sloth_ci.errors import StartRefused
from sloth_ci.masking import escape_controls

__all__ = ["OneLine", "escape_controls", "open_logs", "open_no_link"]

#: Seconds until a line of the access log is written, lines that wait at most, and seconds for the
#: last ones when the server ends.
DELAY = 0.2
MOST = 20_000
PATIENCE = 2.0
_FORMAT = "%(asctime)s %(levelname)s %(message)s"


class OneLine(logging.Formatter):
    """Makes control and escape characters of other people's text harmless."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line; a traceback follows indented, as lines of its own."""
        record.message = record.getMessage()
        if self.usesTime():
            record.asctime = self.formatTime(record, self.datefmt)
        rows = [escape_controls(self.formatMessage(record))]
        # The record is left as it came: other handlers want its traceback too.
        if record.exc_info:
            trace = self.formatException(record.exc_info)
            rows += (f"    {escape_controls(row)}" for row in trace.split("\n"))
        return "\n".join(rows)


class LogFile(WatchedFileHandler):
    """A log file, opened anew when it was moved away.

    A line that can't be written is lost: a full disk or a missing folder must not fail a request or
    a build, and there is nowhere left to say it.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8", errors="backslashreplace", delay=False)

    def _open(self) -> TextIOWrapper:
        descriptor = open_no_link(self.baseFilename)
        return TextIOWrapper(
            FileIO(descriptor, "a"), encoding=self.encoding, errors=self.errors, write_through=True
        )

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record if it can be written."""
        try:
            super().emit(record)
        except OSError:
            self.stream = None  # the next record tries to open it

    def close(self) -> None:
        """Let go of the file, written or not."""
        with suppress(OSError):
            super().close()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  logging's name
        """Say nothing."""


class LateLogFile(LogFile):
    """A log file that is written behind everybody's back: nobody waits for its disk.

    Lines are there within `DELAY`; where more wait than `MOST`, they are lost.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._waiting: deque[logging.LogRecord] = deque()
        self._news, self._ending = Event(), Event()
        self._thread: Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Let the record be written soon."""
        if len(self._waiting) >= MOST or self._ending.is_set():
            return
        self._waiting.append(record)
        if self._thread is None:
            self._begin()
        if not self._news.is_set():
            self._news.set()

    def close(self) -> None:
        """Write what waits, if that can be done at once, and let go of the file."""
        self._ending.set()
        self._news.set()
        if self._thread is not None:
            self._thread.join(PATIENCE)
        super().close()

    def _begin(self) -> None:
        with suppress(RuntimeError, MemoryError):  # the next record tries again
            thread = Thread(target=self._work, name="access-log", daemon=True)
            thread.start()
            self._thread = thread

    def _work(self) -> None:
        while not self._ending.is_set():
            self._news.wait()
            self._ending.wait(DELAY)
            self._news.clear()
            self._write()

    def _write(self) -> None:
        lines = []
        while self._waiting:
            lines.append(self.format(self._waiting.popleft()) + self.terminator)
        try:
            self.reopenIfNeeded()
            self.stream = self.stream or self._open()
            self.stream.write("".join(lines))
        except Exception:  # noqa: BLE001  without this thread there is no access log any more
            self.stream = None


def open_logs(*, access_log: Path | None, error_log: Path | None, screen: bool) -> None:
    """Send the access log and everything else to their files, and the latter to stderr."""
    access = logging.getLogger("sloth_ci.access")
    access.propagate = False
    access.setLevel(logging.INFO if access_log else logging.CRITICAL)
    if access_log:
        access.addHandler(_file(access_log, "%(asctime)s %(message)s", kind=LateLogFile))
    server = logging.getLogger("sloth_ci")
    server.setLevel(logging.INFO)
    server.propagate = False
    server.addHandler(logging.NullHandler())
    if error_log:
        server.addHandler(_file(error_log, _FORMAT, kind=LogFile))
    if screen:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(OneLine(_FORMAT))
        server.addHandler(handler)


def open_no_link(path: str) -> int:
    """Open a file to write at its end; follow no link that somebody may have planted there.

    /dev/stderr and its like are links too. Raises OSError.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    if not path.startswith("/dev/"):
        flags |= os.O_NOFOLLOW
    return os.open(path, flags, 0o640)


def _file(path: Path, form: str, *, kind: type[LogFile]) -> logging.Handler:
    try:
        handler = kind(path)
    except OSError as error:
        reason = "it is a link" if path.is_symlink() else error.strerror
        raise StartRefused(reason=f"the log {path} can't be opened: {reason}") from error
    handler.setFormatter(OneLine(form))
    return handler
