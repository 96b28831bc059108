"""The system gives no file descriptors and no threads."""

import resource
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from errno import EAGAIN
from pathlib import Path
from time import monotonic

from tests.calls import wait_until
from tests.faults import Finding, Scale, experiment, found, not_run
from tests.faults.database.failing_system import NO_COMPILER, FailingSystem, find_compiler
from tests.faults.database.traffic import Traffic, count, settle
from tests.faults.durability.stage import Line, Stage, pause, seconds

RECOVERY = 5


@experiment(
    "22",
    title="No file descriptors, no threads",
    criterion="while the system gives none: triggers on open connections get 202 or 503, nothing"
    f" else, the server alive; new connections answered and builds run within {RECOVERY} s after;"
    " nothing that was answered 202 is missing or stuck",
)
def take_away(scale: Scale, folder: Path) -> Finding:
    """Take descriptors away by a limit, threads by a library that comes before the system's."""
    if not find_compiler():
        return not_run(NO_COMPILER)
    length = scale.pick(short=1, full=6)
    rounds = scale.pick(short=1, full=3)
    system = FailingSystem(folder)
    faults: list[str] = []
    recoveries = []
    with system.around(), Stage(folder) as stage:
        for app, action in (("web", "true"), ("probe", "true"), ("busy", f"sleep {length}")):
            stage.api.create(f"listen_point: {app}\nactions: ['{action}']\n")
        before = system.refusals
        traffic = Traffic(stage, "web", threads=4, rest=0.2)
        with stage.line() as line:
            line.trigger("busy")  # takes the one thread that is always there
        with system.refuses("thread", EAGAIN), traffic.flowing():
            traffic.wait_for(202, since=monotonic(), patience=20)
            for _ in range(rounds):
                pause(length)
        if system.refusals == before:
            faults.append("no thread was refused")
        recoveries.append(_recover(stage))
        more = Traffic(stage, "web", threads=4, rest=0.2)
        with more.flowing():
            more.wait_for(202, since=monotonic(), patience=20)
            for _ in range(rounds):
                with _no_descriptors(stage):
                    pause(length)
                recoveries.append(_recover(stage))
        statuses = settle(folder / "sloth.db")
    answers = traffic.answers + more.answers
    lost = (traffic.accepted | more.accepted) - set(statuses)
    failed = sum(one != "complete" for one in statuses.values())
    if {one.status for one in answers} - {202, 503}:
        faults.append("other answers than 202 and 503")
    return found(
        not (faults or lost),
        f"{rounds * length} s without threads, {rounds} × {length} s without descriptors:"
        f" {count(answers)}; {len(lost)} accepted lost, {failed} builds failed for want of"
        f" descriptors; a new connection answered and its build done {max(recoveries):.2f} s after"
        f"{'; ' if faults else ''}{', '.join(faults)}",
        in_time=max(recoveries) <= seconds(scale, RECOVERY),
    )


def _recover(stage: Stage) -> float:
    """Seconds until a build is done that came by a new connection, to an app without a queue."""
    began = monotonic()
    with stage.line() as line:
        build = line.trigger("probe")
        wait_until(lambda: _is_done(line, build), patience=60)
    return monotonic() - began


def _is_done(line: Line, build: int) -> bool:
    return line.call("build", id=str(build)).value["status"] == "complete"


@contextmanager
def _no_descriptors(stage: Stage) -> Iterator[None]:
    """Within, the server can open nothing more: what it could, idle connections take."""
    soft, hard = resource.prlimit(stage.pid, resource.RLIMIT_NOFILE)
    taken = [int(entry.name) for entry in Path(f"/proc/{stage.pid}/fd").iterdir()]
    with ExitStack() as idle:
        resource.prlimit(stage.pid, resource.RLIMIT_NOFILE, (max(taken) + 1, hard))
        try:
            for _ in range(max(taken) + 2 - len(taken)):
                idle.enter_context(stage.line())
            yield
        finally:
            resource.prlimit(stage.pid, resource.RLIMIT_NOFILE, (soft, hard))
