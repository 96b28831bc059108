"""`follow`: what happens, as it happens; records first, and states as they change.

As server-sent events (WHATWG HTML, "Server-sent events") or as lines of JSON. Streams are pulled by
the web and never wait.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Any

from sloth_ci.api.pages import MOST
from sloth_ci.api.server import Server
from sloth_ci.api.shapes import (
    AppNames,
    find_app_id,
    find_build,
    show_build,
    show_record,
)
from sloth_ci.builds import BuildStatus
from sloth_ci.errors import BadParam
from sloth_ci.parameters import Answer, ApiAction, Kind, Parameter
from sloth_ci.records import LogRecord
from sloth_ci.store import RecordPage, Store, StoredBuild

#: Records of one piece at most, and bytes after which it holds no more of them.
PIECE, PIECE_BYTES = 200, 200_000
#: Seconds between two looks at the states of an app's builds.
LOOK = 0.5
#: Builds whose states are told of: the newest, and those that run.
NEWEST, RUNNING = 20, 1_000

SSE, NDJSON = "sse", "ndjson"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing to tell; a record's has the place to go on from."""

    name: str
    data: dict[str, Any]
    id: int | None = None


class EventStream:
    """Events as `text/event-stream`."""

    content_type = "text/event-stream"
    #: A client that lost its connection comes back after a second.
    opening = b"retry: 1000\n\n"

    def write(self, event: Event) -> bytes:
        """One event; JSON has no line ends in it."""
        place = "" if event.id is None else f"id: {event.id}\n"
        return f"{place}event: {event.name}\ndata: {json.dumps(event.data)}\n\n".encode()


class JsonLines:
    """Events as lines of JSON (ndjson.org)."""

    content_type = "application/x-ndjson"
    opening = b""

    def write(self, event: Event) -> bytes:
        """One line."""
        place = {} if event.id is None else {"id": event.id}
        return (json.dumps({"event": event.name, **place, "data": event.data}) + "\n").encode()


Form = EventStream | JsonLines


class BuildFollow:
    """A build's records from the first to the last, its states, and its end."""

    def __init__(
        self, server: Server, build: StoredBuild, *, form: Form, after: int, level: int
    ) -> None:
        self.content_type = form.content_type
        self.ended = False
        self._server = server
        self._build = build
        self._form = form
        self._after = after
        self._level = level
        self._told: tuple[BuildStatus, int] | None = None
        self._begun = False

    def pull(self) -> bytes:
        """What is new; the end comes when every record before it was given."""
        if self.ended:
            return b""
        written = bytearray() if self._begun else bytearray(self._form.opening)
        self._begun = True
        # The state is read before the records: a final build has no more of them than are there.
        # One that is forgotten meanwhile has ended.
        build = self._server.store.find_build(self._build.id)
        self._build = build or self._build
        page = _read(
            self._server.store, build_id=self._build.id, after=self._after, level=self._level
        )
        for event in self._events(page.records):
            written += self._form.write(event)
        self._after = page.cursor or self._after
        if page.cursor is None and (build is None or build.status.final):
            written += self._form.write(Event("end", show_build(self._server, self._build)))
            self.ended = True
        return bytes(written)

    def close(self) -> bytes:
        """Nothing: whoever wants to know more comes back."""
        self.ended = True
        return b""

    def _events(self, records: Iterable[LogRecord]) -> Iterator[Event]:
        build = self._build
        state = (build.status, build.completed)
        if self._told is None or (state != self._told and not build.status.final):
            self._told = state
            yield Event("status", show_build(self._server, build))
        for record in records:
            self._after = record.id or self._after
            yield _tell_record(record, build.listen_point)


class AppFollow:
    """The records of an app, or of all, and the states of their builds; goes on for ever."""

    def __init__(
        self,
        server: Server,
        *,
        app_id: int | None,
        form: Form,
        after: int,
        level: int,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self.content_type = form.content_type
        self.ended = False
        self._server = server
        self._app_id = app_id
        self._form = form
        self._after = after
        self._level = level
        self._now = now
        self._name = AppNames(server)
        self._told: dict[int, tuple[BuildStatus, int]] = {}
        self._next_look = float("-inf")

    def pull(self) -> bytes:
        """What is new."""
        if self.ended:
            return b""
        begun = self._next_look != float("-inf")
        written = bytearray() if begun else bytearray(self._form.opening)
        page = _read(self._server.store, app_id=self._app_id, after=self._after, level=self._level)
        for record in page.records:
            self._after = record.id or self._after
            written += self._form.write(_tell_record(record, self._name(record.app_id)))
        if self._now() >= self._next_look:
            self._next_look = self._now() + LOOK
            for build in self._changed():
                written += self._form.write(Event("status", show_build(self._server, build)))
        self._after = page.cursor or self._after
        return bytes(written)

    def close(self) -> bytes:
        """Nothing: whoever wants to know more comes back."""
        self.ended = True
        return b""

    def _changed(self) -> list[StoredBuild]:
        """Builds whose state is another than was told, in order."""
        store, app_id = self._server.store, self._app_id
        running = store.builds(app_id=app_id, statuses=(BuildStatus.RUNNING,), most=RUNNING)
        newest = store.builds(app_id=app_id, most=NEWEST)
        found = {build.id: build for build in (*running, *newest)}
        for left in self._told.keys() - found.keys():
            if build := store.find_build(left):
                found[left] = build
        changed = [
            found[number]
            for number in sorted(found)
            if (found[number].status, found[number].completed) != self._told.get(number)
        ]
        in_sight = {build.id for build in newest}
        self._told = {
            number: (build.status, build.completed)
            for number, build in found.items()
            if number in in_sight or build.status is BuildStatus.RUNNING
        }
        return changed


def follow(
    server: Server,
    *,
    build: int | None,
    listen_point: str | None,
    after: int | None,
    tail: int | None,
    level: int,
    format: str,  # noqa: A002  the parameter's name
) -> Answer:
    """A stream of what happens to a build, an app or all of them."""
    form = EventStream() if format == SSE else JsonLines()
    if build is None:
        app_id = None if listen_point is None else server.bed.find(listen_point).id
        begin = _find_begin(server, app_id, after, tail)
        return Answer(stream=AppFollow(server, app_id=app_id, form=form, after=begin, level=level))
    found = find_build(server, build)
    if listen_point is not None and find_app_id(server, listen_point) != found.app_id:
        raise BadParam(
            param="listen_point",
            wanted=f"left out, or that of build {build}, '{found.listen_point}'",
            came=listen_point,
        )
    begin = after or 0 if tail is None else _find_begin(server, None, after, tail, build_id=build)
    return Answer(stream=BuildFollow(server, found, form=form, after=begin, level=level))


def _find_begin(
    server: Server,
    app_id: int | None,
    after: int | None,
    tail: int | None,
    *,
    build_id: int | None = None,
) -> int:
    """The id of the record behind which to begin."""
    if after is not None:
        return after
    store = server.store
    if tail is None:
        return store.last_record_id()
    newest = store.records(app_id=app_id, build_id=build_id, most=tail).records
    return (newest[-1].id or 1) - 1 if newest else store.last_record_id()


def _read(
    store: Store, *, after: int, level: int, app_id: int | None = None, build_id: int | None = None
) -> RecordPage:
    """The next records, few enough for one piece whatever their size."""
    page = store.records(
        app_id=app_id, build_id=build_id, level=level, after=after, oldest_first=True, most=PIECE
    )
    size = 0
    for count, record in enumerate(page.records, 1):
        size += len(record.message)
        if size > PIECE_BYTES and count < len(page.records):
            return RecordPage(page.records[:count], record.id)
    return page


def _tell_record(record: LogRecord, listen_point: str) -> Event:
    data = {**show_record(record, listen_point), "listen_point": listen_point}
    return Event("log", data, record.id)


ROWS = (
    ApiAction(
        "follow",
        200,
        "Follow a build to its end, or an app, live.",
        follow,
        (
            Parameter("build", "the build's number", kind=Kind.NUMBER),
            Parameter("listen_point", "an app's listen point; all apps without it and build"),
            Parameter("after", "go on behind the record of that id", kind=Kind.CURSOR),
            Parameter(
                "tail",
                "begin so many records before the newest one",
                kind=Kind.NUMBER,
                most=MOST,
            ),
            Parameter("level", "least level to get", kind=Kind.NUMBER, default=10),
            Parameter(
                "format",
                "server-sent events, or lines of JSON",
                kind=Kind.CHOICE,
                choices=(SSE, NDJSON),
                default=SSE,
            ),
        ),
        example={"build": "17"},
        headers={"last-event-id": "after"},
    ),
)
