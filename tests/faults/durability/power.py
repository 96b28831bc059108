"""The power goes: what was answered 2xx is on the disk, whatever else got there or didn't."""

import os
import shutil
import sqlite3
import struct
import subprocess
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from threading import Thread
from typing import Self

from sloth_ci.errors import SlothError
from sloth_ci.store import Store, check
from tests.faults import Finding, Scale, experiment, found, not_run
from tests.faults.durability.stage import SEED, SIGNED, Stage

CALLERS = 4
#: The least that a disk writes as a whole, in bytes.
SECTOR = 512
WRITE, TRUNCATE, SYNC = 1, 2, 3
DATABASE, LOG = 1, 2
_HEAD = struct.Struct("=4Q")


@experiment(
    "27",
    title="Power loss",
    criterion="100 random moments; all that was synced is on the disk, of the rest any sectors or"
    " none: the database opens sound, and everything answered 2xx before is there",
)
def lose_power(scale: Scale, folder: Path) -> Finding:
    """Note every write and sync of a busy server's database; rebuild the disk as of any moment."""
    compiler = shutil.which("cc")
    if compiler is None:
        return not_run("it takes a C compiler, to watch what the server syncs")
    library = folder / "disk.so"
    source = Path(__file__).with_name("disk.c")
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True
    )
    builds, moments = scale.pick(short=40, full=1_500), scale.pick(short=10, full=100)
    with WatchedStage(folder, library) as stage:
        stage.api.create(f"listen_point: app\nactions: [seq 20]\n{SIGNED}")
        answers = _accept(stage, builds)
    dice = Random(SEED)
    first, last = answers[0][0], stage.notes.stat().st_size
    cuts = sorted(dice.randint(first, last) for _ in range(moments))
    disk = Disk(stage.notes)
    broken, lost, at_stake = [], 0, 0
    for number, cut in enumerate(cuts):
        disk.run_until(cut)
        at_stake += len(disk.pending)
        copy = folder / f"after-{number}" / "sloth.db"
        copy.parent.mkdir()
        disk.lose_power(copy, dice)
        due = {build for _place, build in answers[: bisect_right(answers, (cut, 0))]}
        try:
            lost += len(due - _open(copy))
        except (SlothError, sqlite3.Error) as error:
            broken.append(str(error))
        shutil.rmtree(copy.parent)
    return found(
        not broken and lost == 0 and at_stake > 0,
        f"{len(answers):,} accepted, {disk.syncs[LOG]:,} syncs of the log,"
        f" {disk.syncs[DATABASE]} of the database; {moments} losses of power with {at_stake:,}"
        f" unsynced writes at stake: {len(broken)} damaged, {lost} accepted builds lost"
        f" (seed {SEED})",
    )


class WatchedStage(Stage):
    """Its server's database is watched."""

    def __init__(self, folder: Path, library: Path) -> None:
        super().__init__(folder)
        self.notes = folder / "disk-notes"
        self._watch = {
            "LD_PRELOAD": str(library),
            "DISK_NOTES": str(self.notes),
            "DISK_FILE": str((folder / "sloth.db").resolve()),
        }

    def __enter__(self) -> Self:
        os.environ.update(self._watch)
        try:
            return super().__enter__()
        finally:
            for name in self._watch:
                del os.environ[name]


def _accept(stage: WatchedStage, count: int) -> list[tuple[int, int]]:
    """Trigger and push; gives, in order, how far the notes were at each answer, and the build."""
    answers: list[tuple[int, int]] = []

    def call(caller: int) -> None:
        with stage.line() as line:
            for number in range(count // CALLERS):
                if number % 2:
                    build = line.deliver("app", f"{caller}-{number}").value["builds"][0]
                else:
                    build = line.trigger("app")
                answers.append((stage.notes.stat().st_size, build))

    callers = [Thread(target=call, args=(caller,)) for caller in range(CALLERS)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    stage.settle()
    return sorted(answers)


def _open(copy: Path) -> set[int]:
    """Open it as a server does; gives the builds in it.

    Raises SlothError or sqlite3.Error when it is damaged.
    """
    Store(copy).close()
    check(copy)
    with closing(sqlite3.connect(copy)) as database:
        return {build for (build,) in database.execute("SELECT id FROM builds")}


@dataclass(frozen=True)
class Note:
    """A write, a truncation or a sync."""

    kind: int
    file: int
    place: int
    content: bytes


@dataclass
class Disk:
    """What is safe on a disk, and what is on its way there, as of a moment in the notes."""

    notes: Path
    safe: dict[int, bytearray] = field(
        default_factory=lambda: {DATABASE: bytearray(), LOG: bytearray()}
    )
    pending: list[Note] = field(default_factory=list)
    syncs: dict[int, int] = field(default_factory=lambda: {DATABASE: 0, LOG: 0})
    _at: int = 0

    def run_until(self, place: int) -> None:
        """Go on to this place in the notes."""
        for note in self._read(place):
            if note.kind != SYNC:
                self.pending.append(note)
                continue
            self.syncs[note.file] += 1
            for waiting in self.pending:
                if waiting.file == note.file:
                    _apply(waiting, self.safe[note.file])
            self.pending = [waiting for waiting in self.pending if waiting.file != note.file]

    def lose_power(self, copy: Path, dice: Random) -> None:
        """Write what is left: all that is safe, and of the rest nothing, everything or a part."""
        left = {file: bytearray(content) for file, content in self.safe.items()}
        chance = dice.choice((0.0, 0.5, 1.0))
        for note in self.pending:
            for part in _sectors(note):
                if dice.random() < chance:
                    _apply(part, left[part.file])
        copy.write_bytes(left[DATABASE])
        copy.with_name(f"{copy.name}-wal").write_bytes(left[LOG])

    def _read(self, until: int) -> Iterator[Note]:
        with self.notes.open("rb") as notes:
            notes.seek(self._at)
            while self._at < until:
                kind, file, place, length = _HEAD.unpack(notes.read(_HEAD.size))
                if self._at + _HEAD.size + length > until:
                    return
                self._at += _HEAD.size + length
                yield Note(kind, file, place, notes.read(length))


def _sectors(note: Note) -> list[Note]:
    if note.kind == TRUNCATE:
        return [note]
    starts = range(0, len(note.content), SECTOR)
    return [
        Note(WRITE, note.file, note.place + start, note.content[start : start + SECTOR])
        for start in starts
    ]


def _apply(note: Note, content: bytearray) -> None:
    if note.kind == TRUNCATE:
        del content[note.place :]
    missing = note.place - len(content)
    if missing > 0:
        content.extend(bytes(missing))
    content[note.place : note.place + len(note.content)] = note.content
