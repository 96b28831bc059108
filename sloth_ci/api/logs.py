"""Log records: an app's, a build's, those of all apps; searched, from an end, page by page."""

from dataclasses import dataclass
from typing import Any

from sloth_ci.api.apps import LISTEN_POINT
from sloth_ci.api.pages import MOST, MOST_BYTES, PAGES, read_pages, read_part
from sloth_ci.api.server import Server
from sloth_ci.api.shapes import AppNames, find_app_id, find_build, show_record
from sloth_ci.errors import DatabaseOff, MissingParam
from sloth_ci.parameters import Answer, ApiAction, Kind, Parameter
from sloth_ci.records import LogRecord, Stream
from sloth_ci.store import Store

#: The least level shown: of an app's log, and of what was asked for in particular.
USUAL_LEVEL, EVERY_LEVEL = 20, 1
#: Records read at a time; one may have 64 kB.
PIECE = 500
#: Pieces with less than was asked for that one answer reads: each looked at many records in vain.
MOST_SHORT = 5

STREAMS = tuple(stream.name.lower() for stream in Stream)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records are asked for."""

    app_id: int | None
    build_id: int | None
    level: int
    before: int | None
    after: int | None
    since: float | None
    until: float | None
    stream: Stream | None
    search: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """Records, and where to go on; None at the end."""

    records: list[LogRecord]
    cursor: int | None


def logs(
    server: Server,
    *,
    listen_point: str | None,
    from_page: int,
    to_page: int | None,
    per_page: int,
    level: int | None,
    build: int | None,
    before: int | None,
    after: int | None,
    search: str | None,
    tail: int | None,
    since: float | None,
    until: float | None,
    stream: str | None,
) -> Answer:
    """Records, the newest first; the oldest first with `after` and `tail`."""
    if not server.store.keeps_records:
        raise DatabaseOff(action="logs")
    further = (build, before, after, search, tail, since, until, stream)
    if all(one is None for one in further):
        return _list_pages(server, listen_point, from_page, to_page, per_page, level)
    part = read_part(from_page, to_page, per_page, before if after is None else after)
    particular = any(one is not None for one in (build, search, tail, stream))
    wanted = Wanted(
        app_id=None if listen_point is None else find_app_id(server, listen_point),
        build_id=None if build is None else find_build(server, build).id,
        level=level or (EVERY_LEVEL if particular else USUAL_LEVEL),
        before=before,
        after=after,
        since=since,
        until=until,
        stream=Stream[stream.upper()] if stream else None,
        search=search,
    )
    if tail is not None:
        found = read_records(server.store, wanted, most=tail, oldest_first=False)
        return _show(server, found.records[::-1], found.cursor)
    oldest_first = after is not None
    found = read_records(
        server.store, wanted, most=part.skip + part.most, oldest_first=oldest_first
    )
    return _show(server, found.records[part.skip :], found.cursor)


def read_records(store: Store, wanted: Wanted, *, most: int, oldest_first: bool) -> Found:
    """The records, read in pieces: few enough for one answer, whatever their size."""
    records: list[LogRecord] = []
    size = short = 0
    before, after = wanted.before, wanted.after
    while True:
        asked = min(PIECE, most - len(records))
        page = store.records(
            app_id=wanted.app_id,
            build_id=wanted.build_id,
            level=wanted.level,
            after=after,
            before=before,
            since=wanted.since,
            until=wanted.until,
            stream=wanted.stream,
            search=wanted.search,
            oldest_first=oldest_first,
            most=asked,
        )
        for record in page.records:
            size += len(record.message)
            if records and size > MOST_BYTES:
                return Found(records, records[-1].id)
            records.append(record)
        short += len(page.records) < asked
        if page.cursor is None or len(records) >= most or short >= MOST_SHORT:
            return Found(records, page.cursor)
        before, after = (before, page.cursor) if oldest_first else (page.cursor, after)


def history(
    server: Server,
    *,
    listen_point: str,
    from_page: int,
    to_page: int | None,
    per_page: int,
    level: int,
) -> Answer:
    """The statuses of an app's builds, the newest first; they outlive the app."""
    if not server.store.keeps_records:
        raise DatabaseOff(action="history")
    app_id = find_app_id(server, listen_point)
    part = read_pages(from_page, to_page, per_page)
    records = server.store.history(app_id=app_id, level=level, skip=part.skip, most=part.most)
    return Answer([show_record(record, listen_point) for record in records])


def _list_pages(
    server: Server,
    listen_point: str | None,
    from_page: int,
    to_page: int | None,
    per_page: int,
    level: int | None,
) -> Answer:
    """What the contract has: an app's log, page by page."""
    if listen_point is None:
        raise MissingParam(param="listen_point", action="logs")
    app = server.bed.find(listen_point)
    part = read_pages(from_page, to_page, per_page)
    records = server.store.logs(
        app_id=app.id, level=level or USUAL_LEVEL, skip=part.skip, most=part.most
    )
    found = _fit(records)
    value = [show_record(record, listen_point) for record in found.records]
    return Answer(value, headers=_tell_cursor(found.cursor))


def _fit(records: list[LogRecord]) -> Found:
    """As many of the records as one answer holds, whatever their size."""
    size = 0
    for count, record in enumerate(records):
        size += len(record.message)
        if count and size >= MOST_BYTES:
            return Found(records[:count], records[count - 1].id)
    return Found(records, None)


def _show(server: Server, records: list[LogRecord], cursor: int | None) -> Answer:
    name = AppNames(server)
    value: list[dict[str, Any]] = [
        {**show_record(record, name(record.app_id)), "listen_point": name(record.app_id)}
        for record in records
    ]
    return Answer(value, headers=_tell_cursor(cursor))


def _tell_cursor(cursor: int | None) -> dict[str, str]:
    return {} if cursor is None else {"X-Next": str(cursor)}


ROWS = (
    ApiAction(
        "logs",
        200,
        "Get log records, the newest first.",
        logs,
        (
            Parameter(
                "listen_point",
                "the app's listen point; may be left out beside any of the last eight parameters",
            ),
            *PAGES,
            Parameter(
                "level",
                "least level to get; 20 if not given, and every level with build, search, tail or"
                " stream",
                kind=Kind.NUMBER,
            ),
            Parameter("build", "only records of that build", kind=Kind.NUMBER),
            Parameter("before", "only records before that id", kind=Kind.CURSOR),
            Parameter("after", "only records after that id, oldest first", kind=Kind.CURSOR),
            Parameter("search", "only records with that text, in upper or lower case"),
            Parameter(
                "tail", "so many of the last, oldest first, not pages", kind=Kind.NUMBER, most=MOST
            ),
            Parameter("since", "only records since then", kind=Kind.MOMENT),
            Parameter("until", "only records before then", kind=Kind.MOMENT),
            Parameter(
                "stream",
                "only what actions printed there",
                kind=Kind.CHOICE,
                choices=STREAMS,
            ),
        ),
        example={"listen_point": "web", "level": "40"},
    ),
    ApiAction(
        "history",
        200,
        "Get the statuses of an app's builds, the newest first.",
        history,
        (
            LISTEN_POINT,
            *PAGES,
            Parameter("level", "least level to get", kind=Kind.NUMBER, default=10),
        ),
        example={"listen_point": "web"},
    ),
)
