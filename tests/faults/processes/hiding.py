"""Actions that won't end, and processes that hide: all of them end with their action."""

from dataclasses import dataclass
from pathlib import Path

from tests.calls import wait_until
from tests.faults import Finding, Scale, experiment, found
from tests.faults.durability.stage import Stage, end, marked_processes, seconds
from tests.faults.processes.measures import (
    SOMEBODY,
    Memory,
    is_root,
    shared_folder,
    zombies_of,
)

#: Seconds for an action, and then between TERM and KILL.
TIMEOUT, GRACE = 1, 5
#: Seconds that what a finished action left behind gets, and that may pass besides.
LEFTOVER_GRACE, SLACK = 0.5, 1


@dataclass(frozen=True)
class Nuisance:
    """An action, how its build ends, and the lines that it prints."""

    name: str
    text: str
    status: str = "complete"
    lines: tuple[str, ...] = ()
    #: Seconds.
    timeout: int = TIMEOUT
    grace: int = 0


QUIET = (
    Nuisance("ignored TERM", "trap '' TERM; sleep 1000; sleep 1000", "timed_out", grace=GRACE),
    Nuisance("fork in background", "sleep 1000 & sleep 1000", "timed_out"),
    Nuisance("held pipe", "sleep 1000 & echo done", lines=("done",)),
    Nuisance("closed output", "exec >&- 2>&-; sleep 1000", "timed_out"),
    Nuisance("invalid UTF-8", r"printf '\377\303(\n'", lines=("\ufffd\ufffd(",)),
    Nuisance("NUL", r"printf 'a\000b\n'", lines=("a\ufffdb",)),
)
FLOOD = Nuisance("flood", "yes", "timed_out")
ENDLESS_LINE = Nuisance("no newline", r"head -c {size} /dev/zero | tr '\0' x", timeout=300)
#: What runs at the same time; the memory that a flood takes is wanted by itself.
GROUPS = (QUIET, (FLOOD,), (ENDLESS_LINE,))


@experiment(
    "12",
    title="Actions that won't end, or print what nobody can read",
    criterion="TERM ignored, fork in background, held pipe, closed output, flood, 1 GB without"
    " newline, invalid UTF-8, NUL: every status and line right, the next build starts within 2 s of"
    " the timeout (where TERM is ignored: of the grace of 5 s after it), memory grows < 30 MB",
)
def run_nuisances(scale: Scale, folder: Path) -> Finding:
    """Run each of them, with a good build waiting behind it."""
    size = scale.pick(short=50_000_000, full=1_000_000_000)
    latest = growth = 0.0
    faults: list[str] = []
    with Stage(folder, config="max_builds: 16") as stage:
        for one in (*QUIET, FLOOD, ENDLESS_LINE):
            stage.api.create(_config(one))
        stage.api.trigger("flood", turn="2", size="0")
        stage.settle()
        for group in GROUPS:
            with Memory(stage.pid) as memory:
                pairs = [_trigger_twice(stage, one, size) for one in group]
                stage.settle()
            growth = max(growth, memory.growth)
            for one, (first, following) in zip(group, pairs, strict=True):
                faults += _faults_of(stage, one, first)
                latest = max(latest, _lateness(stage, one, first, following))
    return found(
        not faults and latest < seconds(scale, 2) and growth < 30,
        f"{len(QUIET) + 2} kinds, {size // 1_000_000} MB without newline; the next build"
        f" {latest:.2f} s late at the most, memory +{growth:.1f} MB at the most;"
        f" {'; '.join(faults) or 'every status and line right'}",
    )


def _config(one: Nuisance) -> str:
    return (
        f"listen_point: {_listen_point(one)}\nexec_timeout: {one.timeout}\nactions:\n  - |\n"
        f"    if [ {{turn}} = 2 ]; then exit 0; fi\n    {one.text}\n"
    )


def _listen_point(one: Nuisance) -> str:
    return one.name.replace(" ", "-")


def _trigger_twice(stage: Stage, one: Nuisance, size: int) -> tuple[int, int]:
    """The nuisance, and a good build behind it."""
    api, listen_point = stage.api, _listen_point(one)
    first = api.trigger(listen_point, turn="1", size=str(size))
    return first, api.trigger(listen_point, turn="2", size="0")


def _faults_of(stage: Stage, one: Nuisance, build: int) -> list[str]:
    """What is wrong with the build's end or with its lines."""
    ((status,),) = stage.rows("SELECT status FROM builds WHERE id = ?", build)
    faults = [] if status == one.status else [f"{one.name}: {status}"]
    printed = stage.rows(
        "SELECT message FROM records WHERE build = ? AND stream IS NOT NULL ORDER BY id", build
    )
    if one.lines and tuple(line for (line,) in printed) != one.lines:
        faults.append(f"{one.name}: printed {printed}")
    return faults


def _lateness(stage: Stage, one: Nuisance, first: int, following: int) -> float:
    """Seconds from when the first build had to be over to the start of the following one."""
    times = dict(stage.rows("SELECT id, started FROM builds WHERE id IN (?, ?)", first, following))
    ended = stage.rows("SELECT finished FROM builds WHERE id = ?", first)[0][0]
    if one.status == "complete":
        return float(times[following] - ended)
    return float(times[following] - times[first] - one.timeout - one.grace)


#: Each leaves processes with the mark behind, and goes on.
HIDING = {
    "background": "sleep 1000 &",
    "background that ignores TERM": "(trap '' TERM; sleep 1000; sleep 1000) &",
    "held pipe": "(sleep 1000; echo late) &",
    "setsid": "setsid sleep 1000 &",
    "double fork": "( (sleep 1000 &) & )",
    "double fork and setsid": "( setsid sh -c 'sleep 1000 & exec sleep 1000' & )",
    "stopped": "sh -c 'kill -STOP $$; sleep 1000' &",
}


@experiment(
    "T26",
    title="Processes that hide",
    criterion="in background, TERM ignored, held pipe, setsid, double fork, stopped; after a good"
    " end and after a timeout: back within timeout + grace + 1 s, 0 survivors, 0 zombies",
)
def hide(scale: Scale, folder: Path) -> Finding:
    """Let actions leave all kinds of processes behind, some of them as another user."""
    rounds = scale.pick(short=2, full=36)
    users = (None, SOMEBODY) if is_root() else (None,)
    mark = f"FAULT_MARK=hiding-{folder.name}"
    slowest = 0.0
    with shared_folder() as work_dir, Stage(folder, config="max_builds: 16") as stage:
        try:
            apps = [
                _create_hiding(stage, name, user, mark=mark, work_dir=work_dir)
                for name in HIDING
                for user in users
            ]
            for _round in range(rounds // len(users)):
                builds = [stage.api.trigger(app, turn=turn) for app in apps for turn in "12"]
                stage.settle()
                slowest = max(slowest, *(_overtime(stage, build) for build in builds))
            survivors = len(marked_processes(mark))
            wait_until(lambda: not zombies_of(stage.pid) or survivors)
            statuses = set(stage.statuses().values())
            number = len(stage.statuses())
        finally:
            end(marked_processes(mark))
    whom = f", half of them as the user {SOMEBODY}" if len(users) == 2 else ""
    return found(
        not survivors
        and statuses == {"complete", "timed_out"}
        and slowest < LEFTOVER_GRACE + seconds(scale, SLACK),
        f"{number} builds of {len(HIDING)} kinds{whom}: {survivors} survivors, 0 zombies, back"
        f" {slowest:.2f} s after their time at the latest",
    )


def _create_hiding(stage: Stage, name: str, user: str | None, *, mark: str, work_dir: Path) -> str:
    listen_point = f"{name.replace(' ', '-')}-{user or 'own'}"
    return stage.api.create(
        f"listen_point: {listen_point}\nwork_dir: {work_dir}\nexec_timeout: {TIMEOUT}\n"
        f"{f'user: {user}' if user else ''}\nactions:\n  - |\n"
        f"    export {mark}\n    {HIDING[name]}\n"
        "    if [ {turn} = 2 ]; then exec sleep 1000; fi\n"
    )


def _overtime(stage: Stage, build: int) -> float:
    """Seconds that a build took beyond those of its action."""
    ((status, took),) = stage.rows(
        "SELECT status, finished - started FROM builds WHERE id = ?", build
    )
    return float(took - (TIMEOUT if status == "timed_out" else 0))
