"""A long time of ordinary work."""

from pathlib import Path
from time import monotonic

from tests.faults import Finding, Scale, experiment, found
from tests.faults.durability.stage import Stage, seconds
from tests.faults.load.measures import MEGABYTE, WAL_MOST, Calls, Watch

RATE = 5
LINES = 40
#: Builds of the time before that fill what the server keeps in memory for good.
FIRST = 2_000


@experiment(
    "17",
    title="Soak",
    criterion="5 triggers and 200 log lines a second for 4 minutes, after 2,000 builds at once: p99"
    " of accepts < 50 ms, memory growth < 1 MB an hour (extrapolated), write-ahead log ≤ 64 MiB",
)
def work_on(scale: Scale, folder: Path) -> Finding:
    """Trigger builds at a steady rate; watch the answers' times, the memory and the log."""
    duration = scale.pick(short=3, full=240)
    first = scale.pick(short=20, full=FIRST)
    calls = Calls()
    with Stage(folder) as stage:
        stage.api.create(f"listen_point: web\nactions: ['seq {LINES}']")
        with stage.line() as line:
            for _ in range(first):
                line.trigger("web")
        stage.settle()
        with stage.line() as line, Watch(stage.pid, folder) as watch:
            calls.keep_calling(
                lambda: line.call("trigger", listen_point="web").status,
                rate=RATE,
                until=monotonic() + duration,
            )
            stage.settle()
        complete = stage.rows("SELECT count(*) FROM builds WHERE status = 'complete'")[0][0]
        lines = stage.rows("SELECT count(*) FROM records WHERE stream IS NOT NULL")[0][0]
    builds = first + len(calls.times)
    slope = watch.slope()
    kept = calls.all_are(202) and (complete, lines) == (builds, builds * LINES)
    grows = scale is Scale.FULL and slope >= MEGABYTE
    growth = f"memory {slope / MEGABYTE:+.2f} MB an hour (extrapolated from {duration} s)"
    return found(
        kept and not grows and calls.p99 < seconds(scale, 0.05) and watch.log <= WAL_MOST,
        f"{len(calls.times):,} triggers in {duration} s: accepts' p99 {calls.p99 * 1000:.1f} ms,"
        f" longest {calls.longest * 1000:.0f} ms;"
        f" {growth if scale is Scale.FULL else 'memory is not told from so short a time'};"
        f" write-ahead log at most {watch.log / MEGABYTE:.1f} MB; {complete:,} of {builds:,} builds"
        f" complete, {builds * LINES - lines} of {builds * LINES:,} lines missing",
    )
