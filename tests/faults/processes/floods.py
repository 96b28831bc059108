"""Actions that take all they can get: processes, and room for their output."""

from pathlib import Path
from shutil import which

from tests.faults import Finding, Scale, experiment, found, not_run
from tests.faults.durability.stage import SIGNED, Stage, end, marked_processes, pause, seconds
from tests.faults.processes.measures import (
    SOMEBODY,
    Caller,
    Memory,
    is_root,
    megabytes,
    shared_folder,
)

#: Processes for the action of a fork bomb.
PROCESSES = 100
#: Each process of it starts others for ever; unlike a shell, awk does not end when it can't.
FORK_BOMB = """\
    export BOMB='BEGIN { while (1) system("awk \\"$BOMB\\" &") }'
    exec awk "$BOMB" 2>/dev/null
"""
#: Where pushes go meanwhile.
OTHER = f"listen_point: other\nactions: ['true']\n{SIGNED}"


@experiment(
    "T27",
    title="A fork bomb within `limits: processes`",
    criterion="20 s: never more processes than the limit, every push meanwhile is accepted within"
    " 1 s, 0 survivors after the timeout",
)
def bomb(scale: Scale, folder: Path) -> Finding:
    """Let an action fork until it may not, and push to another app meanwhile."""
    if not which("awk"):
        return not_run("there is no awk here to fork with")
    duration = scale.pick(short=2, full=20)
    mark = f"bomb-{folder.name}"
    user = f"user: {SOMEBODY}" if is_root() else ""
    with shared_folder() as work_dir, Stage(folder) as stage:
        stage.api.create(OTHER)
        stage.api.create(
            f"listen_point: bomb\nwork_dir: {work_dir}\n{user}\nexec_timeout: {duration}\n"
            f"limits: {{processes: {PROCESSES}}}\nenv: {{FAULT_MARK: {mark}}}\n"
            f"actions:\n  - |\n{FORK_BOMB}"
        )
        try:
            build = stage.api.trigger("bomb")
            most = 0
            with Caller(stage, listen_point="other", rest=0.1) as caller:
                while stage.statuses()[build] in ("queued", "running"):
                    most = max(most, len(marked_processes(mark)))
                    pause(0.1)
            stage.settle()
            survivors = len(marked_processes(mark))
            statuses = stage.statuses()
        finally:
            end(marked_processes(mark))
    slowest = max(caller.waits)
    ended = statuses.pop(build)
    return found(
        ended == "timed_out"
        and PROCESSES // 2 < most <= PROCESSES
        and not (survivors or caller.refused)
        and set(statuses.values()) == {"complete"},
        f"{duration} s: {most} of {PROCESSES} processes, {len(caller.waits)} pushes,"
        f" {caller.refused} refused, the slowest {slowest * 1000:.0f} ms; the build {ended},"
        f" {survivors} survivors",
        in_time=slowest < seconds(scale, 1),
    )


@experiment(
    "T28",
    title="A flood of output",
    criterion="`yes` for 60 s: memory grows < 30 MB, the database by no more than `max_output`, the"
    " other apps' 99th percentile of answers by < 50 ms",
)
def flood(scale: Scale, folder: Path) -> Finding:
    """Let an action print as fast as it can, and push to another app meanwhile."""
    duration = scale.pick(short=3, full=60)
    max_output = scale.pick(short=1_000_000, full=4_000_000)
    # Of the few answers of a short form, each hundredth is the slowest one on a busy machine.
    share = scale.pick(short=90, full=99) / 100
    with Stage(folder) as stage:
        stage.api.create(OTHER)
        stage.api.create(
            f"listen_point: flood\nexec_timeout: {duration}\nmax_output: {max_output}\n"
            "actions: ['yes \"{what}\"']\n"
        )
        empty = _size(stage)
        with Caller(stage, listen_point="other") as quiet:
            pause(duration / 4)
        stage.settle()
        before = _size(stage)
        with Memory(stage.pid) as memory, Caller(stage, listen_point="other") as caller:
            build = stage.api.trigger("flood", what="y")
            stage.settle()
        # What the pushes take is not the flood's.
        push = (before - empty) / len(quiet.waits)
        growth = _size(stage) - before - push * len(caller.waits)
        ended = stage.statuses()[build]
    slower = caller.percentile(share) - quiet.percentile(share)
    return found(
        ended == "timed_out"
        and not (quiet.refused or caller.refused)
        and memory.growth < 30
        and growth <= max_output,
        f"{duration} s: memory +{memory.growth:.1f} MB, database +{megabytes(growth):.1f} MB of"
        f" {megabytes(max_output):g} MB, {share:.0%} of answers within"
        f" {quiet.percentile(share) * 1000:.0f} ms without and"
        f" {caller.percentile(share) * 1000:.0f} ms with it",
        in_time=slower < seconds(scale, 0.05),
    )


def _size(stage: Stage) -> int:
    """Bytes of the records' pages in the database."""
    ((pages, free, size),) = stage.rows(
        "SELECT page_count, freelist_count, page_size"
        " FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
    )
    return int((pages - free) * size)
