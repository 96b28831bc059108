"""The log: records written behind everything else, and read in pages of bounded work.

What must be looked at one by one (a search, a stream) is looked at so many records a call, and
the page says where to go on. Everything else walks one index from one id to another.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from logging import DEBUG, ERROR

from sloth_ci.records import Logger, LogRecord, Stream
from sloth_ci.store.reader import Row
from sloth_ci.store.rows import RecordPage, make_storable
from sloth_ci.store.verbs import Verbs

#: Records, and characters of them, that one call looks at one by one at most.
MOST_LOOKED_AT = 10_000
MOST_CHARACTERS = 10_000_000
#: Up to this level an index knows what is at least that; there are few records above.
HIGHEST_INDEXED = ERROR

_EXEC = int(Logger.EXEC)
_RECORD = "id, app, build, logger, level, stream, timestamp, message"
LEVEL, STREAM, TIMESTAMP, MESSAGE = range(4, 8)
#: From the highest: the level above which an index knows all records.
_INDEXED = ((30, "from_error"), (20, "from_warning"), (10, "from_info"))


@dataclass(frozen=True, slots=True)
class _Range:
    """The ids from which to which records are asked for, and in which order."""

    first: int
    last: int
    oldest_first: bool

    @property
    def order(self) -> str:
        return "ASC" if self.oldest_first else "DESC"


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is looked for in one record after the other."""

    level: int
    stream: Stream | None
    since: float | None
    until: float | None
    #: In the form in which the case makes no difference.
    text: str | None

    @property
    def is_known_by_index(self) -> bool:
        """Whether every record that an index gives is wanted."""
        others = (self.stream, self.since, self.until, self.text)
        return others == (None,) * len(others) and self.level <= HIGHEST_INDEXED

    def __contains__(self, row: Row) -> bool:
        return (
            row[LEVEL] >= self.level
            and (self.text is None or self.text in row[MESSAGE].casefold())
            and (self.stream is None or row[STREAM] == self.stream)
            and (self.since is None or row[TIMESTAMP] >= self.since)
            and (self.until is None or row[TIMESTAMP] < self.until)
        )


_ALL = _Wanted(1, None, None, None, None)


class RecordVerbs(Verbs):
    """What the store does about log records."""

    keeps_records: bool

    def write(self, record: LogRecord) -> None:
        """Keep a record soon; records keep their order, and stand before a later `finish`.

        What a build says may have to wait for room; what an app says never waits.
        """
        if not self.keeps_records:
            return
        write = self._writer.offer if record.build_id is None else self._writer.append
        # Plain numbers, as sqlite3 looks for an adapter of every other kind.
        write(
            (
                record.app_id,
                record.build_id,
                int(record.logger),
                record.level,
                None if record.stream is None else int(record.stream),
                record.timestamp,
                make_storable(record.message),
            )
        )

    def write_output(
        self, *, app_id: int, build_id: int, stream: Stream, line: str, timestamp: float
    ) -> None:
        """Keep a line that an action printed: as `write`, for the many that there are."""
        if self.keeps_records:
            row = (app_id, build_id, _EXEC, DEBUG, int(stream), timestamp, make_storable(line))
            self._writer.append(row)

    def logs(self, *, app_id: int, level: int, skip: int, most: int) -> list[LogRecord]:
        """The app's records of at least that level, newest first; fewer when they are long."""
        source, values = _source(app_id, level)
        if level > HIGHEST_INDEXED:
            source, values = f"{source} AND level >= ?", (*values, level)
        rows = self._reader.walk(
            f"SELECT {_RECORD} FROM {source} ORDER BY id DESC LIMIT ? OFFSET ?",  # noqa: S608
            (*values, most, skip),
        )
        return list(_page(rows, _ALL, most).records)

    def history(
        self,
        *,
        app_id: int,
        level: int,
        before: int | None = None,
        until: float | None = None,
        skip: int = 0,
        most: int,
    ) -> list[LogRecord]:
        """The records of the statuses of the app's builds, newest first.

        `before` is a record's id, and `until` a time (until it, not with it).
        """
        last = self._range(None, before, None, until, oldest_first=False).last
        at_least = f" AND level >= {level}" if level > DEBUG else ""
        rows = self._reader.rows(
            f"SELECT {_RECORD} FROM records WHERE app = ? AND logger = 2{at_least}"  # noqa: S608
            " AND id <= ? ORDER BY id DESC LIMIT ? OFFSET ?",
            (app_id, last, most, skip),
        )
        return [_record(row) for row in rows]

    def records(
        self,
        *,
        app_id: int | None = None,
        build_id: int | None = None,
        level: int = 1,
        after: int | None = None,
        before: int | None = None,
        since: float | None = None,
        until: float | None = None,
        stream: Stream | None = None,
        search: str | None = None,
        oldest_first: bool = False,
        most: int,
    ) -> RecordPage:
        """Records of an app, a build or all, of at least that level, the newest first.

        `after` and `before` are records' ids, `since` and `until` times (until it, not with it).
        `search` is found in the message in either case. A page may hold fewer than `most`, even
        none, and still have a cursor: then so many records were looked at in vain.
        """
        ids = self._range(after, before, since, until, oldest_first=oldest_first)
        wanted = _Wanted(level, stream, since, until, search.casefold() if search else None)
        looked_at = most if wanted.is_known_by_index else MOST_LOOKED_AT
        if build_id is not None:
            rows = self._of_build(build_id, level, ids, looked_at)
        else:
            rows = self._walk(*_source(app_id, level), ids, looked_at)
        return _page(rows, wanted, most)

    def last_record_id(self) -> int:
        """The id of the newest record, 0 when there is none."""
        return int(self._reader.rows("SELECT coalesce(max(id), 0) FROM records")[0][0])

    def _range(
        self,
        after: int | None,
        before: int | None,
        since: float | None,
        until: float | None,
        *,
        oldest_first: bool,
    ) -> _Range:
        first = 0 if after is None else after + 1
        last = 2**62 if before is None else before - 1
        if since is not None:
            first = max(first, self._reader.first_since("records", "timestamp", since))
        if until is not None:
            last = min(last, self._reader.first_since("records", "timestamp", until) - 1)
        return _Range(first, last, oldest_first)

    def _of_build(self, build_id: int, level: int, ids: _Range, most: int) -> Iterable[Row]:
        found = self._reader.rows(
            "SELECT app, queued_record, first_record, last_record FROM builds WHERE id = ?",
            (build_id,),
        )
        if not found:
            return ()
        app_id, queued, first, last = found[0]
        alone = _Range(max(ids.first, queued or 0), min(ids.last, queued or -1), ids.oldest_first)
        parts = [self._walk("records WHERE 1", (), alone, 1)]
        if first is not None:
            run = _Range(max(ids.first, first), min(ids.last, last or ids.last), ids.oldest_first)
            source, values = _source(app_id, level)
            parts.append(self._walk(f"{source} AND build = ?", (*values, build_id), run, most))
        return chain.from_iterable(parts if ids.oldest_first else reversed(parts))

    def _walk(
        self, source: str, values: tuple[object, ...], ids: _Range, most: int
    ) -> Iterator[Row]:
        return self._reader.walk(
            f"SELECT {_RECORD} FROM {source} AND id BETWEEN ? AND ?"  # noqa: S608
            f" ORDER BY id {ids.order} LIMIT ?",
            (*values, ids.first, ids.last, most),
        )


def _source(app_id: int | None, level: int) -> tuple[str, tuple[object, ...]]:
    """Where records of at least that level are found in the order of their ids."""
    above, index = next((known for known in _INDEXED if level > known[0]), (0, "by_app"))
    if app_id is not None:
        how = f"AND level > {above}" if above else ""
        return f"records INDEXED BY records_{index} WHERE app = ? {how}", (app_id,)
    if above:
        return f"records INDEXED BY all_{index} WHERE level > {above}", ()
    return "records NOT INDEXED WHERE 1", ()


def _page(rows: Iterable[Row], wanted: _Wanted, most: int) -> RecordPage:
    found: list[LogRecord] = []
    characters = 0
    for looked_at, row in enumerate(rows, start=1):
        characters += len(row[MESSAGE])
        if row in wanted:
            found.append(_record(row))
        is_enough = looked_at >= MOST_LOOKED_AT or characters >= MOST_CHARACTERS
        if len(found) >= most or is_enough:
            return RecordPage(tuple(found), row[0])
    return RecordPage(tuple(found))


def _record(row: Row) -> LogRecord:
    return LogRecord(
        id=row[0],
        app_id=row[1],
        build_id=row[2],
        logger=Logger(row[3]),
        level=row[4],
        stream=None if row[5] is None else Stream(row[5]),
        timestamp=row[6],
        message=row[7],
    )
