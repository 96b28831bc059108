"""No trigger is slept through."""

from pathlib import Path
from random import Random
from threading import Thread
from time import monotonic

from tests.faults import Finding, Scale, experiment, found
from tests.faults.durability.stage import SEED, Stage, pause, seconds

CALLERS = 2
#: Triggers of an app in a row; then its turn comes again only when all others had theirs, so that
#: no later trigger makes up for one that was slept through.
IN_A_ROW = 4
#: Seconds after which a thread of the server's executor that has no work ends, and a bit less.
NAP = 1.995
#: Seconds without progress after which what was not started never will be.
GIVEN_UP = 5


@experiment(
    "14",
    title="Lost wake-ups",
    criterion="100,000 triggers, of an app in a row at random gaps of 0 to 2 ms: none waits more"
    " than 1 s for an idle worker",
)
def wake_workers(scale: Scale, folder: Path) -> Finding:
    """Trigger builds of no actions, at the very moments when their workers fall asleep."""
    triggers = scale.pick(short=800, full=100_000)
    apps = scale.pick(short=200, full=500)
    naps = scale.pick(short=0, full=10)
    dice = Random(SEED)
    with Stage(folder) as stage:
        names = [stage.api.create(f"listen_point: app-{n}\nactions: []") for n in range(apps)]
        callers = [
            Thread(
                target=_trigger,
                args=(stage, names[one::CALLERS], triggers // CALLERS, naps, dice.random()),
            )
            for one in range(CALLERS)
        ]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        forgotten = _wait_for_the_last(stage)
        waits = _waits(stage)
    idle = sum(fresh for _wait, fresh in waits)
    longest = max(wait for wait, _fresh in waits)
    return found(
        len(waits) == triggers and not forgotten,
        f"{len(waits):,} builds of {apps} apps, {idle:,} of them came to an idle worker; the"
        f" longest wait for an idle worker was {longest * 1000:.0f} ms, {forgotten} were never"
        f" started (seed {SEED})",
        in_time=longest <= seconds(scale, 1),
    )


def _trigger(stage: Stage, apps: list[str], count: int, naps: int, seed: float) -> None:
    dice = Random(seed)
    nap_after = {(count * nap) // (naps + 1) for nap in range(1, naps + 1)}
    with stage.line() as line:
        for number in range(count):
            line.trigger(apps[number // IN_A_ROW % len(apps)])
            # The end of a worker's thread is a good moment too to miss something.
            pause(NAP if number in nap_after else 0)
            pause(dice.uniform(0, 0.002))


def _wait_for_the_last(stage: Stage) -> int:
    """Gives the number of builds that are not done, and not getting fewer."""
    left, since = -1, monotonic()
    while left and monotonic() < since + GIVEN_UP:
        pause(0.1)
        unfinished = sum(status in ("queued", "running") for status in stage.statuses().values())
        if unfinished != left:
            left, since = unfinished, monotonic()
    return left


def _waits(stage: Stage) -> list[tuple[float, bool]]:
    """For each build: seconds from when it could start to its start; whether its app was idle."""
    rows = stage.rows(
        "SELECT app, queued, started, finished FROM builds WHERE finished NOT NULL ORDER BY app, id"
    )
    waits: list[tuple[float, bool]] = []
    last, free = 0, 0.0
    for app, queued, started, finished in rows:
        if app != last:
            last, free = app, 0.0
        waits.append((started - max(queued, free), queued >= free))
        free = finished
    return waits
