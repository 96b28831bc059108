"""The database's file is deleted, cut, written over, exchanged, or can't be written."""

import ctypes
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from random import Random
from time import monotonic

from sloth_ci.store import Cause, Origin, Store, backup, restore
from tests.faults import Finding, Scale, experiment, found
from tests.faults.database.traffic import Traffic, count, settle
from tests.faults.durability.stage import SEED, Stage, seconds

NAME = "sloth.db"
RECOVERY = 5
#: prctl's order to give up a right at the next exec, and root's right to write anywhere.
DROP, WRITE_ANYWHERE = 24, 1
LIBC = ctypes.CDLL(None)


@experiment(
    "9",
    title="Database file ruined before the start",
    criterion="deleted, emptied, cut, garbage, another program's, a folder, not to be read, or on a"
    " disk that can't be written: exit code 1 with one line that names the file and the reason, and"
    " the file is left as it was",
)
def start_on_ruins(scale: Scale, folder: Path) -> Finding:
    """Start a server on each kind of ruin and compare the files before and after."""
    ruins = dict(list(RUINS.items())[:: scale.pick(short=2, full=1)])
    sound = folder / "sound"
    sound.mkdir()
    _make_database(sound / NAME)
    paths = "{access_log: null, error_log: ../errors.log}"
    (sound / "server.yml").write_text(f"port: 0\npaths: {paths}\n")

    def try_one(name: str) -> str:
        place = folder / name.replace(" ", "-")
        shutil.copytree(sound, place)
        ruins[name](place / NAME)
        return _try_start(place)

    with ThreadPoolExecutor(2) as threads:
        said = dict(zip(ruins, threads.map(try_one, ruins), strict=True))
    faults = {name: fault for name, fault in said.items() if fault}
    return found(
        not faults,
        f"{len(ruins)} kinds of ruin ({', '.join(ruins)}):"
        f" {faults or 'each refused in one line, exit code 1, nothing changed'}",
    )


@experiment(
    "9b",
    title="Database file ruined under a running server",
    criterion="deleted: put back with all it held; replaced by another file: 503 until that is gone"
    " again; emptied or written over: 503 until a backup is restored, and no start before; always"
    f" alive, no other answers than 202 and 503, accepted again within {RECOVERY} s after the"
    " repair, 0 accepted lost but by the restoring of a backup",
)
def ruin_under_server(scale: Scale, folder: Path) -> Finding:
    """Ruin the file under triggers, repair it, kill -9, and look for every accepted build."""
    rounds = scale.pick(short=1, full=5)
    faults: list[str] = []
    tried = 0
    slowest = 0.0
    with Stage(folder) as stage:
        stage.api.create("listen_point: web\nactions: ['seq 20']\n")
        for number in range(rounds):
            for name, ruin, repair in CHANGES[:: scale.pick(short=2, full=1)]:
                tried += 1
                took, fault = _change(stage, scale, ruin, repair)
                slowest = max(slowest, took)
                faults += [f"{name}: {fault}"] * bool(fault)
            stage.kill()
            stage.start()
            faults += _write_over(stage, number)
            tried += 1
    return found(
        not faults,
        f"{tried} × ruined: {'; '.join(faults) or '0 accepted lost'}; accepted again"
        f" {slowest:.2f} s after the repair (seed {SEED})",
    )


def _change(
    stage: Stage,
    scale: Scale,
    ruin: Callable[[Path], None],
    repair: Callable[[Path], None] | None,
) -> tuple[float, str]:
    """Ruin and repair under triggers: how long until one was accepted, and what was wrong."""
    database = stage.folder / NAME
    traffic = Traffic(stage, "web", threads=2, rest=0.05)
    with traffic.flowing():
        traffic.wait_for(202, since=monotonic(), patience=20)
        ruin(database)
        if repair:
            if traffic.wait_for(503, since=monotonic(), patience=20) is None:
                return 0.0, "no 503 came"
            repair(database)
        limit = seconds(scale, RECOVERY)
        took = traffic.wait_for(202, since=monotonic(), patience=limit)
    if took is None:
        return 0.0, "it did not recover"
    if {one.status for one in traffic.answers} - {202, 503}:
        return took, count(traffic.answers)
    lost = traffic.accepted - set(settle(database))
    return took, f"{len(lost)} lost" if lost else ""


def _write_over(stage: Stage, number: int) -> list[str]:
    """Write over the file in place; only a backup that is restored lets a server start again."""
    database = stage.folder / NAME
    stage.settle()
    before = set(stage.statuses())
    copy = stage.folder / f"copy-{number}.db"
    backup(database, copy)
    with database.open("r+b") as file:
        file.truncate(0)
        if number % 2:
            file.write(Random(SEED).randbytes(50_000))
    faults = []
    if stage.api("trigger", listen_point="web").status != 503:
        faults.append("written over: a trigger was accepted")
    if stage.api("version").status != 200:
        faults.append("written over: not alive")
    stage.running.stop()
    refusal = _start(stage.folder)
    if refusal.returncode != 1 or "sci restore" not in refusal.stderr:
        faults.append(f"written over: it started, {refusal.stderr}")
    restore(copy, database)
    stage.start()
    stage.api.trigger("web")
    stage.settle()
    if not before < set(stage.statuses()):
        faults.append("written over: the backup does not hold all")
    return faults


def _delete(database: Path) -> None:
    database.unlink()


def _delete_all(database: Path) -> None:
    for part in database.parent.glob(f"{NAME}*"):
        part.unlink()


def _delete_log(database: Path) -> None:
    Path(f"{database}-wal").unlink()


def _exchange(database: Path) -> None:
    # In one step: a server that looks in between would rightly put its own file back.
    other = Path(f"{database}.other")
    other.write_text("something else")
    os.link(database, f"{database}.away")
    other.replace(database)


def _exchange_back(database: Path) -> None:
    Path(f"{database}.away").rename(database)


CHANGES: tuple[tuple[str, Callable[[Path], None], Callable[[Path], None] | None], ...] = (
    ("deleted", _delete, None),
    ("all files deleted", _delete_all, None),
    ("log deleted", _delete_log, None),
    ("exchanged", _exchange, _exchange_back),
    ("exchanged and deleted", _exchange, _delete),
)


def _make_database(path: Path) -> None:
    store = Store(path)
    app_id = store.add_app(listen_point="web", origin=Origin.API, config="", file=None)
    params = [{"text": "x" * 200}] * 500
    store.accept(app_id=app_id, listen_point="web", cause=Cause.PUSH, params=params, total=1)
    store.close()


def _cut(size: int) -> Callable[[Path], None]:
    return lambda path: os.truncate(path, path.stat().st_size * size // 100)


def _put_garbage(path: Path) -> None:
    path.write_bytes(Random(SEED).randbytes(100_000))


def _put_foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE theirs (text)")


def _put_newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")


def _put_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _forbid(path: Path) -> None:
    path.chmod(0o400)


def _forbid_folder(path: Path) -> None:
    Path(f"{path}.lock").unlink()
    path.parent.chmod(0o500)


RUINS: dict[str, Callable[[Path], None]] = {
    "deleted": Path.unlink,
    "cut in half": _cut(50),
    "emptied": _cut(0),
    "garbage": _put_garbage,
    "another program's": _put_foreign,
    "read-only": _forbid,
    "cut to 1 %": _cut(1),
    "of a newer release": _put_newer,
    "a folder": _put_folder,
    "in a read-only folder": _forbid_folder,
}


def _try_start(place: Path) -> str:
    """Start a server there; what was wrong, '' when nothing was."""
    before = _read(place / NAME)
    run = _start(place)
    place.chmod(0o700)
    line = run.stderr.removesuffix("\n")
    if run.returncode != 1:
        return f"exit code {run.returncode}"
    if "\n" in line or str(place / NAME) not in line:
        return f"it said {line!r}"
    return "" if _read(place / NAME) == before else "the file changed"


def _start(place: Path) -> subprocess.CompletedProcess[str]:
    """What a server says that should not start; root's server has no more rights than others."""
    return subprocess.run(
        [sys.executable, "-m", "sloth_ci.server", "server.yml", "--quiet"],
        cwd=place,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: LIBC.prctl(DROP, WRITE_ANYWHERE),
    )


def _read(database: Path) -> bytes | None:
    return database.read_bytes() if database.is_file() else None
