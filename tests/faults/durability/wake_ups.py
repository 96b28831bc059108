"""No trigger is slept through."""

from pathlib import Path
from random import Random
from threading import Thread

from sloth_ci.executors import LINGER
from tests.faults import Finding, Scale, experiment, found
from tests.faults.durability.stage import SEED, Stage, pause, seconds

APPS = ("left", "right")


@experiment(
    "14",
    title="Lost wake-ups",
    criterion="100,000 triggers at random gaps of 0 to 2 ms: none waits more than 1 s for an idle"
    " worker",
)
def wake_workers(scale: Scale, folder: Path) -> Finding:
    """Trigger builds of no actions, at the very moments when their workers fall asleep."""
    triggers = scale.pick(short=500, full=100_000)
    naps = scale.pick(short=0, full=10)
    queues = "max_queue: 200000\nmax_queue_total: 200000"
    with Stage(folder, config=queues) as stage:
        for app in APPS:
            stage.api.create(f"listen_point: {app}\nactions: []")
        dice = Random(SEED)
        callers = [
            Thread(target=_trigger, args=(stage, app, triggers // len(APPS), naps, dice.random()))
            for app in APPS
        ]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        stage.settle()
        waits = [wait for number in range(1, len(APPS) + 1) for wait in _waits(stage, number)]
    idle = sum(fresh for _wait, fresh in waits)
    longest = max(wait for wait, _fresh in waits)
    return found(
        len(waits) == triggers and longest <= seconds(scale, 1),
        f"{len(waits):,} builds, {idle:,} of them came to an idle worker; the longest wait for an"
        f" idle worker was {longest * 1000:.0f} ms (seed {SEED})",
    )


def _trigger(stage: Stage, app: str, count: int, naps: int, seed: float) -> None:
    dice = Random(seed)
    nap_after = {(count * nap) // (naps + 1) for nap in range(1, naps + 1)}
    with stage.line() as line:
        for number in range(count):
            line.trigger(app)
            # A worker's thread ends when it was idle for so long: also a good moment to miss one.
            pause(LINGER - 0.005 if number in nap_after else 0)
            pause(dice.uniform(0, 0.002))


def _waits(stage: Stage, app_id: int) -> list[tuple[float, bool]]:
    """For each build: seconds from when it could start to its start; whether its app was idle."""
    rows = stage.rows(
        "SELECT queued, started, finished FROM builds WHERE app = ? ORDER BY id", app_id
    )
    waits, free = [], 0.0
    for queued, started, finished in rows:
        waits.append((started - max(queued, free), queued >= free))
        free = finished
    return waits
