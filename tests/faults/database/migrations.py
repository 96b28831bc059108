"""A migration that is killed."""

import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import time

from sloth_ci.store.schema import MIGRATIONS
from tests.faults import Finding, Scale, experiment, found
from tests.faults.durability.stage import SEED

CHILD = "tests.faults.database.interrupted_migration"
ROOT = Path(__file__).parents[3]
BUILDS = 500
Tables = list[tuple[str, str]]


@experiment(
    "10",
    title="Migration killed in the middle",
    criterion="20 × kill -9 in the making of a database, and in each migration to a newer version,"
    " be it of a next release: old or new, never half; the next start goes on; 0 builds lost",
)
def kill_migrations(scale: Scale, folder: Path) -> Finding:
    """Kill a process at a random step of its migration, look, and let another one go on."""
    rounds = scale.pick(short=2, full=20)
    dice = Random(SEED)
    tables: list[Tables] = [[]]
    steps: list[int] = []
    tries: list[Try] = []
    for version in range(1, len(MIGRATIONS) + 2):
        path = folder / f"{version}.db"
        before = (folder / f"{version - 1}.db").read_bytes() if version > 1 else b""
        path.write_bytes(before)
        steps.append(int(_open(path, version=version, step=0).stdout))
        tables.append(_read_tables(path))
        if version == 1:
            _add_builds(path)
        for number in range(rounds):
            copy = folder / f"{version}-{number}.db"
            copy.write_bytes(before)
            tries.append(Try(copy, version, dice.randint(1, steps[-1])))
    with ThreadPoolExecutor(2) as threads:
        faults = [fault for fault in threads.map(lambda one: one.fault(tables), tries) if fault]
    taken = " and ".join(f"{count:,}" for count in steps[1:])
    return found(
        not faults,
        f"{rounds} kills within the {steps[0]:,} steps of making a database and {rounds} within the"
        f" {taken} steps of each migration of one with {BUILDS} builds:"
        f" {', '.join(faults) or 'never half, each went on, 0 builds lost'} (seed {SEED})",
    )


@dataclass(frozen=True)
class Try:
    """A migration to a version that is killed at a step."""

    path: Path
    version: int
    step: int

    def fault(self, tables: list[Tables]) -> str:
        """Kill it; what was wrong then, '' when nothing was. `tables` are those of each version."""
        killed = _open(self.path, version=self.version, step=self.step)
        if killed.returncode != -signal.SIGKILL:
            return f"step {self.step}: {killed.returncode} {killed.stderr}"
        before = _read_version(self.path)
        if before not in (self.version - 1, self.version):
            return f"step {self.step}: version {before}"
        if _read_tables(self.path) != tables[before]:
            return f"step {self.step}: half of version {before}"
        again = _open(self.path, version=self.version, step=0)
        if again.returncode or _read_tables(self.path) != tables[self.version]:
            return f"step {self.step}: then version {_read_version(self.path)} {again.stderr}"
        if self.version == 1:
            return ""
        builds = _count_builds(self.path)
        return "" if builds == BUILDS else f"{builds} builds left"


def _read_version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return int(database.execute("PRAGMA user_version").fetchone()[0])


def _read_tables(path: Path) -> Tables:
    """The tables and indexes that are there."""
    with closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()


def _count_builds(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        return int(database.execute("SELECT count(*) FROM builds").fetchone()[0])


def _add_builds(path: Path) -> None:
    """Builds as the first version had them."""
    rows = [(f'{{"branch": "number-{number}"}}', time()) for number in range(BUILDS)]
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "INSERT INTO apps (listen_point, origin, config) VALUES ('web', 'api', 'actions: []')"
        )
        database.executemany(
            "INSERT INTO builds (app, cause, status, params, total, queued)"
            " VALUES (1, 'push', 'queued', ?, 1, ?)",
            rows,
        )


def _open(path: Path, *, version: int, step: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", CHILD, str(path), str(version), str(step)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
