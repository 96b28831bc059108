"""Stop: what runs gets its time, what waits is kept."""

import os
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import monotonic, time

from tests.calls import Api, wait_until
from tests.faults import Finding, Scale, experiment, found
from tests.faults.durability.stage import (
    BROKEN_OFF,
    SEED,
    Stage,
    end,
    marked_processes,
    pause,
    seconds,
)

APPS = tuple(f"app-{number}" for number in range(4))


@experiment(
    "5",
    title="SIGTERM while builds run",
    criterion="grace of 30 s, builds of 2 s: new triggers get 503, 100 % of what runs finishes,"
    " exit 0 within 1 s of the last; grace of 1 s: what runs is killed and interrupted, exit within"
    " 3 s, the queue is kept; second SIGTERM: exit within 2 s",
)
def stop_under_builds(scale: Scale, folder: Path) -> Finding:
    """Stop servers with builds that end in time, that don't, and that ignore TERM."""
    rounds = scale.pick(short=1, full=5)
    dice = Random(SEED)
    ends: list[Ending] = []
    late: list[Ending] = []
    twice: list[Ending] = []
    for number in range(rounds):
        delay = dice.uniform(0, 1)
        # In short, three servers at the same time, which mostly wait.
        with ThreadPoolExecutor(scale.pick(short=3, full=1)) as pool:
            in_time = pool.submit(
                _end_in_time, make_folder(folder, "in-time", number), scale, delay
            )
            by_grace = pool.submit(_end_by_force, make_folder(folder, "grace", number), 1, 1)
            by_signal = pool.submit(_end_by_force, make_folder(folder, "twice", number), 30, 2)
        ends.append(in_time.result())
        late.append(by_grace.result())
        twice.append(by_signal.result())
    slowest = max(one.slowest for one in ends)
    slow_late, slow_twice = (max(one.slowest for one in all_) for all_ in (late, twice))
    faults = [fault for one in (*ends, *late, *twice) for fault in one.faults]
    return found(
        not faults,
        f"{3 * rounds} stops: exit {slowest:.2f} s after the last build's end,"
        f" {slow_late:.2f} s after SIGTERM with a grace of 1 s, {slow_twice:.2f} s after the second"
        f" SIGTERM; {'; '.join(sorted(set(faults))) or 'all else as promised'} (seed {SEED})",
        in_time=slowest <= seconds(scale, 1)
        and slow_late <= seconds(scale, 3)
        and slow_twice <= seconds(scale, 2),
    )


@dataclass
class Ending:
    """How one server ended."""

    slowest: float
    faults: list[str] = field(default_factory=list)

    def check(self, holds: bool, fault: str) -> None:
        """Note a fault unless it holds."""
        if not holds:
            self.faults.append(fault)


def make_folder(folder: Path, name: str, number: int) -> Path:
    """A folder for one server."""
    made = folder / f"{name}-{number}"
    made.mkdir()
    return made


def _end_in_time(folder: Path, scale: Scale, delay: float) -> Ending:
    """SIGTERM with a build of each app running and one waiting; `delay` is a part of a build."""
    length = scale.pick(short=5, full=20) / 10
    with Stage(folder, config="stop_grace: 30\nmax_builds: 4") as stage:
        api = stage.api
        running = _run(stage, f"sleep {length}")
        waiting = [api.trigger(app) for app in APPS]
        pause(delay * length / 2)
        stage.running.signal(signal.SIGTERM)
        answers = _trigger_until_gone(api)
        code, gone = stage.running.wait(), time()
        stage.start()
        places = ", ".join("?" * len(running))
        finished = stage.rows(
            f"SELECT status, finished FROM builds WHERE id IN ({places})", *running
        )
        ending = Ending(gone - max(moment for _status, moment in finished))
        refused = answers[answers.index(503) :] if 503 in answers else []
        ending.check(set(refused) == {503}, f"triggers got {dict(Counter(answers))}")
        ending.check({status for status, _ in finished} == {"complete"}, "not all builds finished")
        ending.check(code == 0, f"exit code {code}")
        stage.settle()
        statuses = stage.statuses()
        ending.check({statuses[build] for build in waiting} == {"complete"}, "the queue was lost")
    return ending


def _run(stage: Stage, command: str) -> list[int]:
    """A running build of each app."""
    for app in APPS:
        stage.api.create(f'listen_point: {app}\nactions: ["{command}"]\n')
    builds = [stage.api.trigger(app) for app in APPS]
    wait_until(lambda: list(stage.statuses().values()).count("running") == len(APPS))
    return builds


def _trigger_until_gone(api: Api) -> list[int]:
    """The answers to triggers until nobody answers."""
    answers: list[int] = []
    while True:
        try:
            answers.append(api("trigger", listen_point=APPS[0]).status)
        except BROKEN_OFF:
            return answers
        pause(0.02)


def _end_by_force(folder: Path, grace: int, signals: int) -> Ending:
    """SIGTERM to a server whose builds have no end, and half of them ignore TERM."""
    mark = f"FAULT_MARK={folder.name}-{folder.parent.name}-{os.getpid()}"
    with Stage(folder, config=f"stop_grace: {grace}\nmax_builds: 4") as stage:
        try:
            stubborn = "[ $SLOTH_BUILD -gt 2 ] && trap '' TERM"
            running = _run(stage, f"export {mark}; {stubborn}; sleep 1000 & sleep 1000; sleep 1000")
            waiting = [stage.api.trigger(app) for app in APPS]
            wait_until(lambda: len(marked_processes(mark)) >= 2 * len(APPS))
            if signals == 2:
                stage.running.signal(signal.SIGTERM)
                wait_until(lambda: stage.api("trigger", listen_point=APPS[0]).status == 503)
            told = monotonic()
            stage.running.signal(signal.SIGTERM)
            code = stage.running.wait()
            ending = Ending(monotonic() - told)
            ending.check(code == 0, f"exit code {code}")
            ending.check(not marked_processes(mark), "processes live on")
            stage.start()
            statuses = stage.statuses()
            ended = {statuses[build] for build in running}
            ending.check(ended == {"interrupted"}, f"what ran is {ended}")
            kept = {statuses[build] for build in waiting}
            ending.check(kept <= {"queued", "running"}, f"what waited is {kept}")
            stage.kill()
        finally:
            end(marked_processes(mark))
    return ending
