"""Actions that won't end, and processes that hide: all of them end with their action."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

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
#: Seconds that what a finished action left behind gets between them.
LEFTOVER_GRACE = 0.5


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
#: What runs at the same time: the memory that a flood takes is wanted by itself.
GROUPS = {
    Scale.SHORT: ((*QUIET, FLOOD, ENDLESS_LINE),),
    Scale.FULL: (QUIET, (FLOOD,), (ENDLESS_LINE,)),
}


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
        for group in GROUPS[scale]:
            with Memory(stage.pid) as memory:
                pairs = [_trigger_twice(stage, one, size) for one in group]
                stage.settle()
            growth = max(growth, memory.growth)
            for one, (first, following) in zip(group, pairs, strict=True):
                faults += _faults_of(stage, one, first)
                latest = max(latest, _lateness(stage, one, first, following))
    return found(
        not faults and growth < 30,
        f"{len(QUIET) + 2} kinds, {size // 1_000_000} MB without newline; the next build"
        f" {latest:.2f} s late at the most, memory +{growth:.1f} MB at the most;"
        f" {'; '.join(faults) or 'every status and line right'}",
        in_time=latest < seconds(scale, 2),
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
    "held pipe": "(sleep 1000; echo late) &",
    "setsid": "setsid sleep 1000 &",
    "double fork": "( (sleep 1000 &) & )",
    "double fork and setsid": "( setsid sh -c 'sleep 1000 & exec sleep 1000' & )",
    "stopped": "sh -c 'kill -STOP $$; sleep 1000' &",
    "TERM ignored": "(trap '' TERM; sleep 1000; sleep 1000) &",
}
STUBBORN = "TERM ignored"
#: How each of them is over then, and so its build.
ENDS = {"end": "complete", "hang": "timed_out"}


@experiment(
    "T26",
    title="Processes that hide",
    criterion="500 builds that leave processes in background, with a held pipe, by setsid, by a"
    " double fork, stopped, with TERM ignored, half of them after a timeout: back within timeout +"
    " grace + 1 s, 0 survivors, 0 zombies",
)
def hide(scale: Scale, folder: Path) -> Finding:
    """Let actions leave all kinds of processes behind, some of them as another user."""
    rounds = scale.pick(short=1, full=9)
    users = (None, SOMEBODY) if is_root() else (None,)
    # The wait for those that ignore TERM is long, so more of them wait at the same time.
    places = [
        (name, user, place)
        for name in HIDING
        for user in users
        for place in range(scale.pick(short=1, full=4 // len(users)))
    ]
    mark = f"hiding-{folder.name}"
    late, wanted = -1.0, Counter[str]()
    with shared_folder() as work_dir, Stage(folder, config="max_builds: 32") as stage:
        try:
            for place in places:
                stage.api.create(_hiding_config(*place, mark=mark, work_dir=work_dir))
            for _round in range(rounds):
                endings = [
                    (place[0], turn, stage.api.trigger(_hiding_place(*place), turn=turn))
                    for place in places
                    for turn in ENDS
                    # Its grace is long, and another experiment's short form waits for one.
                    if scale is Scale.FULL or (place[0], turn) != (STUBBORN, "hang")
                ]
                stage.settle()
                late = max(late, *(_overtime(stage, *ending) for ending in endings))
                wanted.update(ENDS[turn] for _name, turn, _build in endings)
            survivors = len(marked_processes(mark))
            zombies = zombies_of(stage.pid)
            ends = Counter(stage.statuses().values())
        finally:
            end(marked_processes(mark))
    return found(
        not (survivors or zombies) and ends == wanted,
        f"{ends.total()} builds of {len(users)} users, {ends['complete']} complete,"
        f" {ends['timed_out']} timed out: {survivors} survivors, {zombies} zombies,"
        f" back {late:.2f} s after timeout and grace at the latest",
        in_time=late < seconds(scale, 1),
    )


def _hiding_place(name: str, user: str | None, number: int) -> str:
    return f"{name.replace(' ', '-')}-{user or 'own'}-{number}"


def _hiding_config(name: str, user: str | None, number: int, *, mark: str, work_dir: Path) -> str:
    return (
        f"listen_point: {_hiding_place(name, user, number)}\nwork_dir: {work_dir}\n"
        f"exec_timeout: {TIMEOUT}\nenv: {{FAULT_MARK: {mark}}}\nuser: {user or 'null'}\n"
        f"actions:\n  - |\n    {HIDING[name]}\n"
        "    if [ {turn} = hang ]; then exec sleep 1000; fi\n"
    )


def _overtime(stage: Stage, name: str, turn: str, build: int) -> float:
    """Seconds that a build took beyond the timeout and the grace that it had a right to."""
    timeout, grace = (TIMEOUT, GRACE) if turn == "hang" else (0, LEFTOVER_GRACE)
    ((took,),) = stage.rows("SELECT finished - started FROM builds WHERE id = ?", build)
    return float(took - timeout - (grace if name == STUBBORN else 0))
