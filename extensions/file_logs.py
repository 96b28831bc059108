"""`file_logs` writes what an app's log holds to a file, for those who read logs with other tools.

```yaml
listen_point: team/web
actions:
  - make test
extensions:
  to_file:
    module: file_logs
    path: /var/log/sloth/{listen_point}.log   # logs/{listen_point}.log when not given
    level: DEBUG                              # INFO when not given; DEBUG has all output
    format: "%(asctime)s %(levelname)s %(name)s #%(build)s %(message)s"
    rotate:                                   # one file that grows, when not given
      size: 10M                               # a new file when it is that large,
      keep: 5                                 # with so many old ones beside it; 7 when not given
```

In place of `size`, `every: hour`, `every: day` (at midnight) or `every: week` (on Mondays) begins a
new file at that time. Relative paths count from the config file's folder; folders are made, and the
`/` of a listen point makes some. What a `format` may hold is that of Python's
[logging](https://docs.python.org/3/library/logging.html#logrecord-attributes): `asctime`,
`levelname`, `levelno`, `message`, `name` (the listen point, with `.exec` and `.build` as in the
API's logs), `created`, and `build`, which is the build's number or `-`.

The server can have it too, for the logs of all its apps:

```yaml server
extensions:
  logs:
    module: file_logs
    path: logs/{listen_point}.log
    rotate: {every: day, keep: 30}
```

Files are about a second behind. What can't be written now, as on a full disk, is written later:
after a restart too, the file goes on with the line that comes next. Secrets are masked and control
characters written out, as everywhere. It needs the database, where logs are first.
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from io import FileIO, TextIOWrapper
from logging.handlers import RotatingFileHandler, TimedRotatingFileHandler
from pathlib import Path
from time import time
from typing import Annotated, Any

from sloth_ci.config import PathText, Section, Size, checked_by, one_of, whole_number
from sloth_ci.extension import Context, Extension, hook
from sloth_ci.hooks import AppEvent
from sloth_ci.logs import OneLine, open_no_link
from sloth_ci.records import LEVEL_NAMES, Logger, LogRecord

#: Seconds that lines may be behind.
DELAY = 0.5
#: Seconds after which a file that couldn't be written is tried again.
RETRY = 30.0
#: Records read at once.
BATCH = 500
#: Under this note stands the id of the last record that was written.
_LAST = "last"
FORMAT = "%(asctime)s %(name)s %(levelname)s %(message)s"
_PLACE = "{listen_point}"
_EVERY = {"hour": "H", "day": "midnight", "week": "W0"}
_SAMPLE = LogRecord(1, Logger.APP, logging.INFO, "", 0.0)
_LEVELS = {name: number for number, name in LEVEL_NAMES.items()}


def read_level(value: Any) -> int:
    """A level by its name."""
    if isinstance(value, str) and value.upper() in _LEVELS:
        return _LEVELS[value.upper()]
    raise ValueError(f"must be one of {', '.join(_LEVELS)}")


def read_format(value: Any) -> str:
    """A format of Python's logging that has no names but those we know."""
    if not isinstance(value, str):
        raise ValueError("must be text such as '%(asctime)s %(message)s'")
    try:
        OneLine(value).format(_make_line(_SAMPLE, "web"))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"is no format: {error}") from error
    return value


class RotateOptions(Section):
    """When a new file begins."""

    size: Size | None = None
    every: Annotated[str | None, one_of(*_EVERY)] = None
    keep: Annotated[int, checked_by(whole_number(1, 10_000))] = 7

    def check(self) -> None:
        """One rule at a time."""
        if (self.size is None) == (self.every is None):
            raise ValueError("needs either 'size' or 'every'")


class FileLogsOptions(Section):
    """What is written where."""

    path: PathText = f"logs/{_PLACE}.log"
    level: Annotated[int, checked_by(read_level)] = logging.INFO
    format: Annotated[str, checked_by(read_format)] = FORMAT
    rotate: RotateOptions | None = None


class FileLogs(Extension):
    """Follows the store and copies what is new."""

    Options = FileLogsOptions
    options: FileLogsOptions
    for_apps, for_server = True, True

    def __init__(self, options: FileLogsOptions, context: Context) -> None:
        super().__init__(options, context)
        if not context.store.keeps_records:
            raise ValueError("needs the database, which 'paths: db: null' switches off")
        self._unsubscribe: Callable[[], None] = lambda: None
        self._is_asked = False
        self._is_failing = False
        self._first = self._last = 0
        self._names: dict[int, str] = {}

    def open(self) -> None:
        """Go on behind the last line that was written; a new one begins with what comes now."""
        if self.context.app_id is not None:
            self._names[self.context.app_id] = self.context.listen_point
        self._first = self.context.store.last_record_id()
        self.context.later(self._begin)
        self._unsubscribe = self.context.store.subscribe(self._notice)

    def close(self) -> None:
        """Write what is left."""
        self._unsubscribe()
        self.context.later(self._copy)

    @hook
    def app_added(self, app: AppEvent) -> None:
        """Learn an app's name; it is kept when the app goes, for its last lines."""
        if not self.context.listen_point:
            self._names[app.app_id] = app.listen_point

    def _notice(self) -> None:
        """Something was written to the store: look in a moment, at all that comes until then."""
        self._look_after(DELAY)

    def _look_after(self, seconds: float) -> None:
        if not self._is_asked:
            self._is_asked = True
            self.context.at(time() + seconds, lambda: self.context.later(self._copy))

    def _begin(self) -> None:
        if self.context.notes.get(_LAST) is None:
            self.context.notes.set(_LAST, str(self._first))
        self._copy()

    def _copy(self) -> None:
        self._is_asked = False
        before = self._last = int(self.context.notes.get(_LAST) or 0)
        try:
            with ExitStack() as opened:
                self._write_new(_Files(self.options, self._names, opened, self.context.base_dir))
            if self._is_failing:
                self._is_failing = False
                self.context.log(logging.INFO, "its file can be written again")
        except OSError as error:
            self._fail(error)
        finally:
            if self._last != before:
                self.context.notes.set(_LAST, str(self._last))

    def _write_new(self, files: "_Files") -> None:
        cursor: int | None = self._last
        while cursor is not None:
            page = self.context.store.records(
                app_id=self.context.app_id,
                level=self.options.level,
                after=cursor,
                oldest_first=True,
                most=BATCH,
            )
            for record in page.records:
                files.write(record)
                self._last = record.id or self._last
            cursor = page.cursor
            self._last = cursor or self._last

    def _fail(self, error: OSError) -> None:
        """Say it once, and try again after a while."""
        self._look_after(RETRY)
        if not self._is_failing:
            self._is_failing = True
            where = f"{error.filename}: " if error.filename else ""
            reason = f"its file can't be written, which is tried again: {where}{error.strerror}"
            self.context.log(logging.ERROR, reason)


class _Files:
    """Log files by app, open for a moment."""

    def __init__(
        self,
        options: FileLogsOptions,
        names: Mapping[int, str],
        opened: ExitStack,
        base_dir: Path,
    ) -> None:
        self._options = options
        self._names = names
        self._opened = opened
        self._base_dir = base_dir
        self._handlers: dict[int, logging.Handler] = {}

    def write(self, record: LogRecord) -> None:
        """Write a line; raises OSError when that can't be done."""
        listen_point = self._names.get(record.app_id)
        if listen_point is None:
            return  # of an app that is gone since before this start
        handler = self._handlers.get(record.app_id)
        if handler is None:
            handler = self._handlers[record.app_id] = self._open(listen_point)
            self._opened.callback(handler.close)
        handler.emit(_make_line(record, listen_point))

    def _open(self, listen_point: str) -> logging.Handler:
        name = self._options.path.replace(_PLACE, listen_point)
        path = self._base_dir / Path(name).expanduser()
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = _make_handler(path, self._options.rotate)
        handler.setFormatter(OneLine(self._options.format))
        return handler


class _Raising:
    """What a handler of logging does not do: it raises, and follows no planted link."""

    baseFilename: str  # noqa: N815  logging's name
    encoding: str | None

    def _open(self) -> TextIOWrapper:
        file = FileIO(open_no_link(self.baseFilename), "a")
        return TextIOWrapper(file, encoding=self.encoding, errors="backslashreplace")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  logging's name
        """Leave it to the caller."""
        raise  # noqa: PLE0704  logging calls this while it handles the error


class _Growing(_Raising, logging.FileHandler):
    pass


class _BySize(_Raising, RotatingFileHandler):
    pass


class _ByTime(_Raising, TimedRotatingFileHandler):
    pass


def _make_handler(path: Path, rotate: RotateOptions | None) -> logging.Handler:
    if rotate is None:
        return _Growing(path, encoding="utf-8")
    if rotate.size:
        return _BySize(path, maxBytes=rotate.size, backupCount=rotate.keep, encoding="utf-8")
    when = _EVERY[rotate.every or ""]
    return _ByTime(path, when=when, backupCount=rotate.keep, encoding="utf-8")


def _make_line(record: LogRecord, listen_point: str) -> logging.LogRecord:
    return logging.makeLogRecord(
        {
            "name": record.logger.name_for(listen_point),
            "levelno": record.level,
            "levelname": LEVEL_NAMES[record.level],
            "msg": record.message,
            "created": record.timestamp,
            "msecs": record.timestamp % 1 * 1000,
            "build": record.build_id or "-",
        }
    )


EXTENSION = FileLogs
