"""A long time of ordinary work."""

from pathlib import Path
from time import monotonic

import psutil

from sloth_ci.store.retention import INTERVAL
from tests.faults import Finding, Scale, experiment, found
from tests.faults.durability.stage import Stage, pause
from tests.faults.load.measures import HOUR, MEGABYTE, WAL_MOST, Calls, Watch, within

#: Triggers a second, and lines that each build prints.
RATE = 5
LINES = 40
#: Builds before the measuring, which fill what a server keeps in memory for good, the database's
#: pages above all: after 5,000 a server grows no more.
FIRST = 6_000
#: Seconds in which the server has looked for old builds once; that takes a connection, for good.
SETTLING = int(INTERVAL) + 5
#: Builds at once after the steady time: more work than that time holds, for the memory's sake.
LAST = 4_000


@experiment(
    "17",
    title="Soak",
    criterion="5 triggers and 200 log lines a second for 150 s: p99 of accepts < 50 ms; with 4,000"
    " builds at once after that: memory growth < 1 MB for an hour's builds (extrapolated),"
    " write-ahead log ≤ 64 MiB, no build and no line missing",
)
def work_on(scale: Scale, folder: Path) -> Finding:
    """Trigger builds at a steady rate and then all at once; look at times, memory and the log."""
    duration = scale.pick(short=3, full=150)
    first = scale.pick(short=20, full=FIRST)
    last = scale.pick(short=20, full=LAST)
    settling = scale.pick(short=0, full=SETTLING)
    calls = Calls()
    with Stage(folder) as stage:
        stage.api.create(f"listen_point: web\nactions: ['seq {LINES}']")
        began = monotonic()
        _trigger(stage, first)
        pause(max(0.0, began + settling - monotonic()))
        before = _memory(stage)
        with Watch(stage.pid, folder) as watch:
            with stage.line() as line:
                calls.keep_calling(
                    lambda: line.call("trigger", listen_point="web").status,
                    rate=RATE,
                    until=monotonic() + duration,
                )
            _trigger(stage, last)
        growth = _memory(stage) - before
        complete = stage.rows("SELECT count(*) FROM builds WHERE status = 'complete'")[0][0]
        lines = stage.rows("SELECT count(*) FROM records WHERE stream IS NOT NULL")[0][0]
    measured = len(calls.times) + last
    builds = first + measured
    hourly = growth * HOUR * RATE / measured
    is_flat = scale is Scale.SHORT or hourly < MEGABYTE
    kept = calls.all_are(202) and (complete, lines) == (builds, builds * LINES)
    told = f"memory {hourly / MEGABYTE:+.2f} MB an hour (extrapolated from {measured:,} builds)"
    return found(
        kept and is_flat and watch.log <= WAL_MOST,
        f"{len(calls.times):,} triggers in {duration} s: accepts' p99 {calls.p99 * 1000:.1f} ms,"
        f" longest {calls.longest * 1000:.0f} ms;"
        f" {told if scale is Scale.FULL else 'memory is not told from so few builds'};"
        f" write-ahead log at most {watch.log / MEGABYTE:.1f} MB; {complete:,} of {builds:,} builds"
        f" complete, {builds * LINES - lines} of {builds * LINES:,} lines missing",
        in_time=calls.p99 < within(scale, 0.05),
    )


def _trigger(stage: Stage, count: int) -> None:
    """Trigger so many builds and wait for their ends."""
    with stage.line() as line:
        for _ in range(count):
            line.trigger("web")
    stage.settle()


def _memory(stage: Stage) -> int:
    return int(psutil.Process(stage.pid).memory_info().rss)
