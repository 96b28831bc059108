"""A migration that is killed."""

import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from random import Random

from sloth_ci.store import Cause, Origin, Store, check
from tests.faults import Finding, Scale, experiment, found
from tests.faults.durability.stage import SEED

CHILD = "tests.faults.database.interrupted_migration"
ROOT = Path(__file__).parents[3]
BUILDS = 500


@experiment(
    "10",
    title="Migration killed in the middle",
    criterion="20 × kill -9 in the making of the first database and 20 × in a migration to the"
    " next release: old or new, never half; the next start goes on; 0 builds lost",
)
def kill_migrations(scale: Scale, folder: Path) -> Finding:
    """Kill a process at a random step of its migration, look, and let another one go on."""
    rounds = scale.pick(short=2, full=20)
    dice = Random(SEED)
    old = folder / "old.db"
    _make_builds(old)
    first = int(_open(folder / "new.db", release=1, step=0).stdout)
    following = int(_open(_copy(old, folder / "next.db"), release=2, step=0).stdout)
    tries = [(folder / f"first-{n}.db", 1, dice.randint(1, first)) for n in range(rounds)]
    for number in range(rounds):
        copy = _copy(old, folder / f"next-{number}.db")
        tries.append((copy, 2, dice.randint(1, following)))
    with ThreadPoolExecutor(2) as threads:
        faults = [fault for fault in threads.map(lambda one: _try(*one), tries) if fault]
    return found(
        not faults,
        f"{rounds} kills within the {first} steps of the first migration and {rounds} within the"
        f" {following} steps of the next, with {BUILDS} builds:"
        f" {', '.join(faults) or 'never half, each went on, 0 builds lost'} (seed {SEED})",
    )


def _try(path: Path, release: int, step: int) -> str:
    """Kill at that step; what was wrong then, '' when nothing was."""
    killed = _open(path, release=release, step=step)
    if killed.returncode != -signal.SIGKILL:
        return f"step {step}: {killed.returncode} {killed.stderr}"
    before = _read_state(path)
    if before not in ((release - 1, release - 1), (release, release)):
        return f"step {step}: half, {before}"
    again = _open(path, release=release, step=0)
    if again.returncode or _read_state(path) != (release, release):
        return f"step {step}: then {_read_state(path)} {again.stderr}"
    check_builds = _count_builds(path)
    return "" if check_builds == BUILDS * (release - 1) else f"{check_builds} builds left"


def _read_state(path: Path) -> tuple[int, int]:
    """The version the file says it has, and the one its tables have."""
    with closing(sqlite3.connect(path)) as database:
        version = database.execute("PRAGMA user_version").fetchone()[0]
        made = {name for (name,) in database.execute("SELECT name FROM sqlite_schema")}
        columns = [row[1] for row in database.execute("PRAGMA table_info(builds)")]
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    news = {"branches" in made, "builds_by_branch" in made, "branch" in columns}
    olds = {name in made for name in ("apps", "builds", "records", "queue", "identity")}
    if len(news) > 1 or len(olds) > 1:
        return version, -1
    return version, news.pop() + olds.pop()


def _count_builds(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        return int(database.execute("SELECT count(*) FROM builds").fetchone()[0])


def _make_builds(path: Path) -> None:
    store = Store(path)
    app_id = store.add_app(listen_point="web", origin=Origin.API, config="", file=None)
    params = [{"number": str(number)} for number in range(BUILDS)]
    store.accept(app_id=app_id, listen_point="web", cause=Cause.PUSH, params=params, total=1)
    store.close()
    check(path)


def _copy(source: Path, target: Path) -> Path:
    target.write_bytes(source.read_bytes())
    return target


def _open(path: Path, *, release: int, step: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", CHILD, str(path), str(release), str(step)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
