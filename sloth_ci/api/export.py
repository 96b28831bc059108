"""`export`: history, builds and statistics to take away, as JSON, lines of JSON, or CSV."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from sloth_ci.api.server import Server
from sloth_ci.api.shapes import find_app_id, show_build, show_record
from sloth_ci.api.stats import collect
from sloth_ci.errors import DatabaseOff
from sloth_ci.parameters import Answer, ApiAction, Kind, Parameter

HISTORY, BUILDS, STATS = "history", "builds", "stats"
JSON, NDJSON, CSV = "json", "ndjson", "csv"
#: Rows read and written at a time.
PIECE = 500
CONTENT_TYPES = {
    JSON: "application/json",
    NDJSON: "application/x-ndjson",
    CSV: "text/csv; charset=utf-8",
}
#: What makes a spreadsheet take a cell for a formula (OWASP, "CSV Injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")

Row = Mapping[str, Any]


class Export:
    """Rows written piece by piece; each pull gives the next one."""

    def __init__(self, pieces: Iterator[bytes], *, content_type: str) -> None:
        self.content_type = content_type
        self.ended = False
        self._pieces = pieces

    def pull(self) -> bytes:
        """The next piece."""
        piece = next(self._pieces, None)
        self.ended = piece is None
        return piece or b""

    def close(self) -> bytes:
        """Nothing: what was given so far is not whole."""
        self.ended = True
        return b""


def export(
    server: Server,
    *,
    kind: str,
    format: str,  # noqa: A002  the parameter's name
    listen_point: str | None,
    since: float | None,
    until: float | None,
) -> Answer:
    """Rows as a file."""
    app_id = find_app_id(server, listen_point) if listen_point else None
    if kind == HISTORY:
        if not server.store.keeps_records:
            raise DatabaseOff(action="export")
        rows = _read_history(server, listen_point, since, until)
    elif kind == BUILDS:
        rows = _read_builds(server, app_id, since, until)
    else:
        rows = _flatten_stats(collect(server, listen_point=listen_point, since=since))
    stream = Export(_WRITERS[format](rows), content_type=CONTENT_TYPES[format])
    name = f'attachment; filename="sloth-ci-{kind}.{format}"'
    return Answer(stream=stream, headers={"Content-Disposition": name})


def _read_history(
    server: Server, listen_point: str | None, since: float | None, until: float | None
) -> Iterator[Row]:
    """The statuses of builds, app by app, the newest first."""
    names = [listen_point] if listen_point else [app.listen_point for app in server.bed.apps()]
    for name in names:
        app_id = server.store.find_app_id(name)
        if app_id is not None:
            yield from _read_app_history(server, app_id, name, since, until)


def _read_app_history(
    server: Server, app_id: int, name: str, since: float | None, until: float | None
) -> Iterator[Row]:
    before = None
    while True:
        records = server.store.history(
            app_id=app_id, level=1, before=before, until=until, most=PIECE
        )
        for record in records:
            if since is not None and record.timestamp < since:
                return
            if until is None or record.timestamp < until:
                yield {"listen_point": name, **show_record(record, name)}
        if len(records) < PIECE:
            return
        before = records[-1].id


def _read_builds(
    server: Server, app_id: int | None, since: float | None, until: float | None
) -> Iterator[Row]:
    before = None
    while True:
        builds = server.store.builds(
            app_id=app_id, since=since, until=until, before=before, most=PIECE
        )
        for build in builds:
            if until is None or build.queued < until:
                yield show_build(server, build)
        if len(builds) < PIECE:
            return
        before = builds[-1].id


def _flatten_stats(found: dict[str, Any]) -> Iterator[Row]:
    """A row for each app and one for all, without the lists."""
    for one in (*found["apps"], found["total"]):
        duration, waited = one["duration"] or {}, one["waited"] or {}
        yield {
            "listen_point": one["listen_point"],
            "since": found["since"],
            "until": found["until"],
            "builds": one["builds"],
            **one["outcomes"],
            "success_rate": one["success_rate"],
            "duration_median": duration.get("median"),
            "duration_p95": duration.get("p95"),
            "waited_median": waited.get("median"),
            "waited_p95": waited.get("p95"),
            "flaky": len(one["flaky"]),
        }


def _write_json(rows: Iterable[Row]) -> Iterator[bytes]:
    opening = "["
    for piece in _pieces(rows):
        yield (opening + "\n" + ",\n".join(json.dumps(row) for row in piece)).encode()
        opening = ","
    yield b"[]\n" if opening == "[" else b"\n]\n"


def _write_lines(rows: Iterable[Row]) -> Iterator[bytes]:
    for piece in _pieces(rows):
        yield "".join(json.dumps(row) + "\n" for row in piece).encode()


def _write_csv(rows: Iterable[Row]) -> Iterator[bytes]:
    names: tuple[str, ...] | None = None
    for piece in _pieces(rows):
        text = io.StringIO()
        writer = csv.writer(text)
        if names is None:
            names = tuple(piece[0])
            writer.writerow(names)
        writer.writerows([_make_cell(row.get(name)) for name in names] for row in piece)
        yield text.getvalue().encode()


def _make_cell(value: Any) -> Any:
    """A value as a spreadsheet may have it: a text never begins as a formula does."""
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return "" if value is None else value


def _pieces(rows: Iterable[Row]) -> Iterator[list[Row]]:
    going = iter(rows)
    while piece := list(islice(going, PIECE)):
        yield piece


_WRITERS: Mapping[str, Callable[[Iterable[Row]], Iterator[bytes]]] = {
    JSON: _write_json,
    NDJSON: _write_lines,
    CSV: _write_csv,
}

ROWS = (
    ApiAction(
        "export",
        200,
        "Get history, builds or statistics as a file.",
        export,
        (
            Parameter(
                "kind",
                "what to get",
                kind=Kind.CHOICE,
                choices=(HISTORY, BUILDS, STATS),
                default=BUILDS,
            ),
            Parameter(
                "format",
                "how to write it",
                kind=Kind.CHOICE,
                choices=(JSON, NDJSON, CSV),
                default=JSON,
            ),
            Parameter("listen_point", "an app's; all apps if not given"),
            Parameter("since", "only what was then or later", kind=Kind.MOMENT),
            Parameter("until", "only what was before then", kind=Kind.MOMENT),
        ),
        example={"kind": "builds", "format": "csv", "since": "30d"},
    ),
)
