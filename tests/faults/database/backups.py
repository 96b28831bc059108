"""A backup while the server writes."""

import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random
from time import monotonic

from sloth_ci.store import backup, check, restore
from tests.faults import Finding, Scale, experiment, found
from tests.faults.database.traffic import Traffic, settle
from tests.faults.durability.stage import SEED, Stage, pause


@experiment(
    "20",
    title="Backup while builds run",
    criterion="each copy is restored, passes integrity_check, and holds every build accepted before"
    " the backup began; a server starts on it; 0 triggers refused meanwhile",
)
def back_up(scale: Scale, folder: Path) -> Finding:
    """Back up at random moments under triggers and builds, restore, compare."""
    rounds = scale.pick(short=3, full=50)
    dice = Random(SEED)
    missing, compared, slowest = 0, 0, 0.0
    with Stage(folder) as stage:
        stage.api.create("listen_point: web\nactions: ['seq 50']\n")
        traffic = Traffic(stage, "web", threads=2, rest=0.02)
        with traffic.flowing():
            for number in range(rounds):
                pause(dice.uniform(0, 0.5))
                accepted = traffic.accepted
                began = monotonic()
                backup(folder / "sloth.db", folder / f"copy-{number}.db")
                slowest = max(slowest, monotonic() - began)
                compared += len(accepted)
                missing += len(accepted - _restored_builds(folder, number))
        refused = [one for one in traffic.answers if one.status != 202]
        settle(folder / "sloth.db")
    last = folder / f"restored-{rounds - 1}"
    with Stage(last) as second:
        second.settle()
        finished = len(second.statuses())
    return found(
        not (missing or refused) and compared > 0 and finished > 0,
        f"{rounds} backups: {missing} of {compared} accepted builds missing, all checks passed,"
        f" {len(refused)} triggers refused, slowest backup {slowest:.2f} s; a server on the last"
        f" copy knows {finished} builds (seed {SEED})",
    )


def _restored_builds(folder: Path, number: int) -> set[int]:
    """The builds in a copy that was restored."""
    place = folder / f"restored-{number}"
    place.mkdir()
    restore(folder / f"copy-{number}.db", place / "sloth.db")
    check(place / "sloth.db")
    with closing(sqlite3.connect(place / "sloth.db")) as database:
        return {build for (build,) in database.execute("SELECT id FROM builds")}
