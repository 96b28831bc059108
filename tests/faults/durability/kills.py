"""kill -9: what was accepted is there again, and what ran is dead."""

import os
import signal
from contextlib import closing
from pathlib import Path
from random import Random
from threading import Thread
from time import monotonic

import psutil

from tests.calls import wait_until
from tests.faults import Finding, Scale, experiment, found
from tests.faults.durability.recycling import Recycling
from tests.faults.durability.stage import (
    BROKEN_OFF,
    SEED,
    SIGNED,
    Stage,
    end,
    marked_processes,
    pause,
    seconds,
)

APPS = tuple(f"app-{number}" for number in range(1, 6))
#: Deliveries in flight when the server is killed.
AT_ONCE = 8
#: Builds running when the server is killed.
RUNNING = 4


@experiment(
    "1",
    title="kill -9 at any moment",
    criterion="20 rounds of 500 accepted triggers over 5 apps: 0 lost, 0 started twice,"
    " 0 out of order, every build in a final state",
)
def kill_at_any_moment(scale: Scale, folder: Path) -> Finding:
    """Kill the server at a random point of its work, start it again, and count."""
    rounds, triggers = scale.pick(short=2, full=20), scale.pick(short=50, full=500)
    dice = Random(SEED)
    accepted: dict[str, list[int]] = {app: [] for app in APPS}
    with Stage(folder) as stage:
        for app in APPS:
            stage.api.create(stage.recorded_app(app))
        for number in range(rounds):
            until = (number + 1) * triggers // len(APPS)
            senders = [
                Thread(target=_trigger_until, args=(stage, app, until, accepted[app]))
                for app in APPS
            ]
            for sender in senders:
                sender.start()
            _wait_for_progress(
                stage, accepted, 2 * number * triggers + dice.randrange(2 * triggers)
            )
            stage.kill()
            stage.start()
            for sender in senders:
                sender.join()
            stage.settle()
        statuses, started = stage.statuses(), stage.started()
        app_of = dict(stage.rows("SELECT id, app FROM builds"))
        twice = stage.started_twice()
    taken = {build for builds in accepted.values() for build in builds}
    lost = {build for build in taken if not _was_kept(statuses.get(build), build in started)}
    orders = [[build for build in started if app_of[build] == app] for app in set(app_of.values())]
    disorder = sum(order != sorted(order) for order in orders)
    interrupted = list(statuses.values()).count("interrupted")
    return found(
        not (lost or twice or disorder) and set(statuses.values()) <= {"complete", "interrupted"},
        f"{rounds} kills, {len(taken)} accepted: {len(lost)} lost, {len(twice)} started twice,"
        f" {disorder} apps out of order; {interrupted} interrupted, all others complete"
        f" (seed {SEED})",
    )


def _trigger_until(stage: Stage, app: str, until: int, accepted: list[int]) -> None:
    while len(accepted) < until:
        try:
            with stage.line() as line:
                while len(accepted) < until:
                    accepted.append(line.trigger(app))
        except BROKEN_OFF:
            pause(0.02)


def _wait_for_progress(stage: Stage, accepted: dict[str, list[int]], wanted: int) -> None:
    """Wait until so many triggers and starts are done, or as many as will be."""
    wait_until(
        lambda: sum(map(len, accepted.values())) + stage.starts.read_bytes().count(b"\n") >= wanted,
        patience=120,
    )


def _was_kept(status: str | None, started: bool) -> bool:
    """A build that ran through was started; one that was killed may have been."""
    return status == "interrupted" or (status == "complete" and started)


@experiment(
    "2",
    title="kill -9 between the commit and the answer",
    criterion="the sender's retry makes no second build: exactly 1 build for each delivery id,"
    " started at most once; at least 100 deliveries caught in between",
)
def kill_before_the_answer(scale: Scale, folder: Path) -> Finding:
    """Kill the server as soon as another process can see the commit; then deliver again."""
    wanted, most = scale.pick(short=1, full=100), scale.pick(short=10, full=100)
    kills = caught = 0
    delivered: dict[str, set[int]] = {}
    with Stage(folder) as stage:
        stage.api.create(stage.recorded_app("app", more=SIGNED))
        while caught < wanted and kills < most:
            ids = [f"delivery-{kills}-{number}" for number in range(AT_ONCE)]
            answered = _kill_at_commit(stage, ids)
            kills += 1
            stage.start()
            committed = {name for (name,) in stage.rows("SELECT delivery_id FROM deliveries")}
            caught += len(committed.intersection(ids) - answered.keys())
            with stage.line() as line:
                for name in ids:
                    builds = line.deliver("app", name).value["builds"]
                    delivered[name] = {*builds, *answered.get(name, ())}
        stage.settle()
        counts = stage.rows(
            "SELECT delivery_id, count(*) FROM deliveries JOIN builds ON delivery = deliveries.id"
            " GROUP BY delivery_id"
        )
        twice = stage.started_twice()
    wrong = sum(count != 1 for _name, count in counts) + len(delivered.keys() - dict(counts).keys())
    wrong += sum(len(builds) != 1 for builds in delivered.values())
    return found(
        wrong == 0 and not twice and caught >= wanted,
        f"{kills} kills, {len(delivered)} delivery ids, {caught} of them committed but not"
        f" answered: {len(delivered) - wrong} have exactly 1 build, {len(twice)} started twice",
    )


def _kill_at_commit(stage: Stage, ids: list[str]) -> dict[str, list[int]]:
    """Kill the server with the first commit; gives the builds of deliveries answered before."""
    answered: dict[str, list[int]] = {}

    def deliver(name: str) -> None:
        try:
            with stage.line() as line:
                answered[name] = line.deliver("app", name).value["builds"]
        except BROKEN_OFF:
            return

    senders = [Thread(target=deliver, args=(name,)) for name in ids]
    newest = "SELECT max(id) FROM deliveries"
    with closing(stage.look()) as database:
        before = database.execute(newest).fetchone()
        for sender in senders:
            sender.start()
        deadline = monotonic() + 20
        while database.execute(newest).fetchone() == before:
            assert monotonic() < deadline, "no delivery was committed"
        os.kill(stage.pid, signal.SIGKILL)
    stage.running.wait()
    for sender in senders:
        sender.join()
    return answered


@experiment(
    "3",
    title="kill -9 while builds run",
    criterion="4 running builds are interrupted within 5 s of the restart, 0 of their processes"
    " live on; 100 processes that got a recycled process id live on; a guardian that wakes up"
    " late spares the next server's builds",
)
def kill_under_builds(scale: Scale, folder: Path) -> Finding:
    """Kill the server with and without its guardian; give its builds' process ids to others."""
    rounds = scale.pick(short=1, full=10)
    mark = f"FAULT_MARK={folder.name}-{os.getpid()}"
    slowest, orphans, spared = 0.0, 0, 0
    with Stage(folder, config=f"max_builds: {RUNNING}") as stage, Recycling() as recycling:
        try:
            _create_crowded_apps(stage, mark)
            for _ in range(rounds):
                _run_all(stage, mark)
                _guardian(stage).kill()
                stage.kill()
                recycling.replace(marked_processes(mark), 10)
                slowest = max(slowest, _restart(stage))
                orphans += _count_orphans(mark)
                _run_all(stage, mark)
                stage.kill()
                slowest = max(slowest, _restart(stage))
                orphans += _count_orphans(mark)
            spared = _wake_guardian_late(stage, mark)
            survivors = recycling.survivors()
        finally:
            end(marked_processes(mark))
    return found(
        orphans == 0 and survivors == recycling.trials == 10 * rounds and spared == RUNNING,
        f"{2 * rounds} kills, half of them with the guardian: {RUNNING} interrupted each time, at"
        f" most {slowest:.1f} s after the start; {orphans} orphans; {survivors} of"
        f" {recycling.trials} {recycling.kind} lived on; {spared} of {RUNNING} builds of the next"
        " server outlived a late guardian",
        in_time=slowest <= seconds(scale, 5),
    )


def _create_crowded_apps(stage: Stage, mark: str) -> None:
    name, _, value = mark.partition("=")
    for app in APPS[:RUNNING]:
        stage.api.create(
            f"listen_point: {app}\nenv: {{{name}: {value}}}\n"
            "actions: ['sleep 1000 & setsid sleep 1000 & (sleep 1000 &) ; sleep 1000']\n"
        )


def _run_all(stage: Stage, mark: str) -> None:
    """A build of each app, and all that it starts."""
    for app in APPS[:RUNNING]:
        stage.api.trigger(app)
    # The shell and its four.
    wait_until(lambda: len(marked_processes(mark)) >= 5 * RUNNING)


def _guardian(stage: Stage) -> psutil.Process:
    children = psutil.Process(stage.pid).children()
    return next(child for child in children if "sloth_ci.server" in " ".join(child.cmdline()))


def _restart(stage: Stage) -> float:
    """Start a server; gives the seconds until all that ran is marked interrupted."""
    began = monotonic()
    stage.start()
    wait_until(lambda: set(stage.statuses().values()) == {"interrupted"})
    return monotonic() - began


def _count_orphans(mark: str) -> int:
    """How many of the dead builds' processes live on, after a while to die in."""
    deadline = monotonic() + 5
    while (left := marked_processes(mark)) and monotonic() < deadline:
        pause(0.05)
    return len(left)


def _wake_guardian_late(stage: Stage, mark: str) -> int:
    """How many builds of a server live on when the guardian of the one before it wakes up."""
    guardian = _guardian(stage)
    guardian.suspend()
    try:
        stage.kill()
        stage.start()
        _run_all(stage, mark)
        guardian.resume()
        guardian.wait(20)
    finally:
        if guardian.is_running():
            guardian.kill()
    pause(0.2)
    return list(stage.statuses().values()).count("running")
