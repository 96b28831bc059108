"""Old builds are forgotten while new ones are accepted and written."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from threading import Thread
from time import monotonic, time
from unittest.mock import patch

from tests.calls import wait_until
from tests.faults import Finding, Scale, experiment, found
from tests.faults.durability.stage import Stage, pause
from tests.faults.load.measures import MEGABYTE, Calls, within

#: Records of one old build, and days since it.
OF_A_BUILD = 2_000
AGE = 200
#: Triggers a second meanwhile.
RATE = 20
#: Prints 500 lines a second, numbered, until the file `enough` is there.
LOUD = """\
n=0
until test -e enough; do seq $((n + 1)) $((n + 50)); n=$((n + 50)); sleep 0.1; done
"""
#: Seconds that forgetting may take.
PATIENCE = 400


@dataclass(frozen=True)
class Seen:
    """What one run showed."""

    calls: Calls
    #: Seconds until the work was done.
    took: float
    #: Old records there in the end.
    left: int
    #: Lines printed, and those of them that are not in the log in their place.
    printed: int
    lost: int
    #: Bytes of the database file, before and after.
    sizes: tuple[int, int]


@experiment(
    "19",
    title="Forgetting a million records under load",
    criterion="500 lines a second written meanwhile: longest accept < 100 ms, no line lost, all old"
    " records gone, file shrinks",
)
def forget_under_load(scale: Scale, folder: Path) -> Finding:
    """Fill a database with old records; run on it without and with forgetting them."""
    records = scale.pick(short=20_000, full=1_000_000)
    alone = scale.pick(short=1, full=30)
    environment = _sweeping_often(folder) if scale is Scale.SHORT else {}
    with patch.dict(os.environ, environment):
        _prepare(folder, records)
        without = _run(folder, "{builds: 1000000, days: 100000}", lambda _stage: pause(alone))
        sweep = _run(folder, "{builds: 1000000, days: 90}", _wait_until_forgotten)
    return found(
        without.lost == sweep.lost == sweep.left == 0
        and without.left == records
        and without.calls.all_are(202)
        and sweep.calls.all_are(202)
        and sweep.sizes[1] < sweep.sizes[0],
        f"{records:,} old records forgotten within {sweep.took:.0f} s: longest of"
        f" {len(sweep.calls.times):,} accepts {sweep.calls.longest * 1000:.0f} ms, p99"
        f" {sweep.calls.p99 * 1000:.1f} ms (without forgetting: longest of"
        f" {len(without.calls.times):,} {without.calls.longest * 1000:.0f} ms, p99"
        f" {without.calls.p99 * 1000:.1f} ms); {sweep.lost} of {sweep.printed:,} lines lost,"
        f" {sweep.left} old records left, file"
        f" {sweep.sizes[0] / MEGABYTE:.1f} → {sweep.sizes[1] / MEGABYTE:.1f} MB",
        in_time=sweep.calls.longest < within(scale, 0.1),
    )


def _sweeping_often(folder: Path) -> dict[str, str]:
    """The environment of a server that looks for old builds all the time, not twice a minute."""
    place = folder / "start"
    place.mkdir()
    (place / "sitecustomize.py").write_text(
        dedent("""\
        from sloth_ci.store import retention
        retention.INTERVAL = 0.2
        """)
    )
    return {"PYTHONPATH": str(place)}


def _prepare(folder: Path, records: int) -> None:
    """Let a server make the database and its apps, then fill it with the old builds of one."""
    (folder / "loud").write_text(LOUD)
    with Stage(folder) as stage:
        stage.api.create("listen_point: old\nactions: []")
        stage.api.create("listen_point: new\nactions: []")
        stage.api.create(
            f"listen_point: loud\nactions: [. ./loud]\nmax_output: {100 * MEGABYTE}\n"
            f"work_dir: {folder}"
        )
    with closing(sqlite3.connect(folder / "sloth.db", isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        for _ in range(records // OF_A_BUILD):
            _add_build(database, time() - AGE * 86_400)
        database.execute("COMMIT")


def _add_build(database: sqlite3.Connection, moment: float) -> None:
    first = database.execute("SELECT coalesce(max(id), 0) + 1 FROM records").fetchone()[0]
    build = database.execute(
        "INSERT INTO builds (app, cause, status, params, total, completed, queued, started,"
        " finished, queued_record, first_record, last_record)"
        " VALUES (1, 'trigger', 'complete', '{}', 1, 1, ?1, ?1, ?1, ?2, ?2, ?3)",
        (moment, first, first + OF_A_BUILD - 1),
    ).lastrowid
    database.executemany(
        "INSERT INTO records (app, build, logger, level, stream, timestamp, message)"
        " VALUES (1, ?, 1, 10, 0, ?, 'one of many lines that a build printed long ago')",
        [(build, moment)] * OF_A_BUILD,
    )


def _run(folder: Path, keep: str, work: Callable[[Stage], None]) -> Seen:
    """Run a server that keeps so much, with lines and triggers, until the work is done."""
    calls = Calls()
    enough = folder / "enough"
    enough.unlink(missing_ok=True)
    before = _size(folder)
    stage = Stage(folder)
    stage.config = f"keep: {keep}"  # in the place of what a stage keeps
    with stage, stage.line() as line:
        loud = stage.api.trigger("loud")
        began = monotonic()
        worker = Thread(target=work, args=(stage,))
        worker.start()
        while worker.is_alive():
            calls.keep_calling(
                lambda: line.call("trigger", listen_point="new").status,
                rate=RATE,
                until=monotonic() + 0.5,
            )
        took = monotonic() - began
        enough.touch()
        stage.settle()
        printed, lost = _compare_lines(stage, loud)
        left = stage.rows("SELECT count(*) FROM records WHERE app = 1 AND build IS NOT NULL")[0][0]
    return Seen(calls, took, left, printed, lost, (before, _size(folder)))


def _wait_until_forgotten(stage: Stage) -> None:
    """Until nothing old is there and the file has given its pages back."""
    old = "SELECT 1 FROM records WHERE app = 1 AND build IS NOT NULL LIMIT 1"
    with closing(stage.look()) as database:
        wait_until(lambda: database.execute(old).fetchone() is None, patience=PATIENCE)
        free = "PRAGMA freelist_count"
        wait_until(lambda: database.execute(free).fetchone()[0] <= 100, patience=PATIENCE)


def _compare_lines(stage: Stage, build: int) -> tuple[int, int]:
    rows = stage.rows(
        "SELECT message FROM records WHERE build = ? AND stream IS NOT NULL ORDER BY id", build
    )
    lines = [int(text) for (text,) in rows]
    wanted = range(1, max(lines) + 1)
    return len(wanted), sum(line != right for line, right in zip(lines, wanted, strict=False)) + (
        len(wanted) - len(lines)
    )


def _size(folder: Path) -> int:
    """Bytes of the database file; the server has put its log away."""
    file = folder / "sloth.db"
    return file.stat().st_size if file.exists() else 0
