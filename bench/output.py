"""4. A build that prints a million lines: how fast they are kept, and what that does to others."""

import http.client
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from shlex import quote
from time import monotonic, time

from bench.asking import Asking
from bench.contestant import PATIENCE, App, wait_until
from bench.course import Course, series
from bench.figures import Aim, Curve, Figure, Finding, Target, percentile
from bench.machine import forget_peak, usage
from bench.peers import OLD, OURS, Old, Ours

#: One hundred bytes with its end.
LINE = "a line of output as a compiler prints it".ljust(99, ".")
FLOOR = "`sh -c ... > file`, then an insert of the same rows"
#: An action that prints the moment, again and again.
CLOCK = (
    "import time\n"
    "for _ in range({lines}):\n"
    "    print('at', time.time(), flush=True)\n"
    "    time.sleep(0.005)\n"
)
#: Lines in one transaction of the floor.
GROUP = 1_000


class Flood:
    """What one build of many lines showed."""

    def __init__(self, *, rate: float, growth: float, delay: float) -> None:
        #: Lines a second.
        self.rate = rate
        #: Megabytes that the server grew by at most.
        self.growth = growth
        #: Milliseconds that one in a hundred other requests took meanwhile.
        self.delay = delay

    def __str__(self) -> str:
        seen = f"{self.growth:.0f} MB more, API p99 {self.delay:.1f} ms"
        return f"{self.rate:,.0f} lines/s, {seen}"


def measure(course: Course) -> Iterator[Finding]:
    """Lines stored a second, the growth, and the API's delay meanwhile."""
    lines = course.effort.pick(smoke=10_000, full=1_000_000)
    contestants = {
        OURS: lambda: _flood(
            course, lambda folder, app: Ours(folder, [app], tree=course.tree), lines
        ),
        FLOOR: lambda: _by_hand(course, lines),
    }
    if OLD in course.peers:
        contestants[OLD] = lambda: _flood(course, lambda folder, app: Old(folder, [app]), lines)
    found = course.alternate("output", contestants)
    floods, bounds, old = found[OURS], found[FLOOR], found.get(OLD, [])
    yield Figure(
        "output/lines",
        "Lines of 100 bytes stored, from one build",
        "/s",
        Aim.MORE,
        series(OURS, [one.rate for one in floods]),
        floors=(series(FLOOR, [one.rate for one in bounds]),),
        peers=(series(OLD, [one.rate for one in old]),) if old else (),
        targets=(Target(150_000), Target(0.5, FLOOR)),
    )
    yield Figure(
        "output/growth",
        "... the server's growth meanwhile",
        "MB",
        Aim.LESS,
        series(OURS, [one.growth for one in floods]),
        peers=(series(OLD, [one.growth for one in old]),) if old else (),
        targets=(Target(30),),
    )
    yield Figure(
        "output/api",
        "... the API's answer meanwhile (p99)",
        "ms",
        Aim.LESS,
        series(OURS, [one.delay for one in floods]),
        peers=(series(OLD, [one.delay for one in old]),) if old else (),
        targets=(Target(20),),
    )
    yield from _follow(course)
    if course.curves:
        yield from _over_lines(course)


def print_lines(count: int) -> str:
    """Shell text that prints so many lines."""
    return f"yes '{LINE}' | head -n {count}"


def _flood(course: Course, make: Callable[[Path, App], Ours | Old], lines: int) -> Flood:
    folder = course.folder()
    app = App("spam", action=print_lines(lines), more="max_output: 10 GB")
    with make(folder, app) as server:
        server.call("version")
        before = usage(server.pid).memory
        forget_peak(server.pid)
        with Asking(server) as asking:
            began = monotonic()
            server.fire(app)
            wait_until(lambda: bool(server.finished()), pause=0.01, patience=300)
            seconds = monotonic() - began
        growth = (usage(server.pid).peak - before) / 1e6
    course.forget(folder)
    return Flood(rate=lines / seconds, growth=growth, delay=asking.p99)


def _by_hand(course: Course, lines: int) -> Flood:
    folder = course.folder()
    ddl = _record_tables(course)
    began = monotonic()
    file = folder / "output"
    subprocess.run(["/bin/sh", "-c", f"{print_lines(lines)} > {file}"], check=True)
    with closing(sqlite3.connect(folder / "floor.db", isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        for statement in ddl:
            database.execute(statement)
        _insert(database, file)
    seconds = monotonic() - began
    course.forget(folder)
    return Flood(rate=lines / seconds, growth=0, delay=0)


def _insert(database: sqlite3.Connection, file: Path) -> None:
    sql = (
        "INSERT INTO records (app, build, logger, level, stream, timestamp, message)"
        " VALUES (1, 1, 1, 10, 1, ?, ?)"
    )
    moment = 1.7e9
    with file.open() as stream:
        while rows := [(moment, line[:-1]) for line, _ in zip(stream, range(GROUP), strict=False)]:
            database.execute("BEGIN IMMEDIATE")
            database.executemany(sql, rows)
            database.execute("COMMIT")


def _record_tables(course: Course) -> list[str]:
    """What makes the table of records, with its indexes, as the server has it."""
    folder = course.folder()
    with Ours(folder, [], tree=course.tree) as server:
        found = server.rows(
            "SELECT sql FROM sqlite_schema WHERE tbl_name = 'records' AND sql IS NOT NULL"
            " AND type IN ('table', 'index') ORDER BY type DESC"
        )
    course.forget(folder)
    return [row[0] for row in found]


def _follow(course: Course) -> Iterator[Figure]:
    """How late a line is seen that an action prints, and how late the API answers meanwhile."""
    code = CLOCK.format(lines=course.effort.pick(smoke=20, full=600))
    app = App("spam", action=f"{sys.executable} -c {quote(code)}")
    lates, delays = [], []
    folder = course.folder()
    with Ours(folder, [app], tree=course.tree) as server:
        if not server.knows("follow", build=0):
            course.say("this server can't be followed")
            return
        for _ in range(course.runs):
            with Asking(server) as asking:
                lates.append(percentile(_lateness(server, app), 0.99))
            delays.append(asking.p99)
            course.say(f"lines are seen within {lates[-1]:.0f} ms (p99)")
    course.forget(folder)
    yield Figure(
        "output/follower",
        "A printed line reaches a follower (p99)",
        "ms",
        Aim.LESS,
        series(OURS, lates),
        targets=(Target(100),),
    )
    yield Figure(
        "output/follower-api",
        "... the API's answer meanwhile (p99)",
        "ms",
        Aim.LESS,
        series(OURS, delays),
        targets=(Target(20),),
    )


def _lateness(server: Ours, app: App) -> list[float]:
    """Milliseconds from the print of each line to its arrival."""
    request = server.form("follow", {"listen_point": app.name, "level": 1, "format": "ndjson"})
    found: list[float] = []
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)) as way:
        way.request(request.method, "/", request.body, dict(request.headers))
        stream = way.getresponse()
        server.fire(app)
        while line := stream.readline():
            message = str(json.loads(line)["data"].get("message", ""))
            if message.startswith("at "):
                found.append((time() - float(message[3:])) * 1e3)
            elif found and message == "Finished":
                break
    return found


def _over_lines(course: Course) -> Iterator[Curve]:
    sizes = course.effort.pick(
        smoke=(100, 1_000), full=(1_000, 10_000, 100_000, 1_000_000, 3_000_000)
    )
    times, growths = [], []
    for size in sizes:
        flood = _flood(course, lambda folder, app: Ours(folder, [app], tree=course.tree), size)
        course.say(f"{size:,} lines: {flood}")
        times.append((float(size), size / flood.rate))
        growths.append((float(size), max(flood.growth, 0.1)))
    yield Curve("output/time", "Time to store a build's output", "lines", "s", {OURS: tuple(times)})
    yield Curve(
        "output/growth", "The server's growth meanwhile", "lines", "MB", {OURS: tuple(growths)}
    )
