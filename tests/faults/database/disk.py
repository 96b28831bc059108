"""The disk is full, or fails."""

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from time import monotonic

from sloth_ci.store import check
from tests.faults import Finding, Scale, experiment, found, not_run
from tests.faults.database.failing_system import NO_COMPILER, FailingSystem, find_compiler
from tests.faults.database.traffic import Answer, Traffic, count, settle
from tests.faults.durability.stage import SEED, Stage, pause, seconds

#: Seconds until all works again.
RECOVERY = 5
CHATTY = "listen_point: web\nactions: ['seq 20']\n"


@experiment(
    "7",
    title="Full disk",
    criterion="while the disk of the database is full: 0 answers 2xx to a trigger but 503, reads"
    f" answered, the server alive; works within {RECOVERY} s after there is space, without a"
    " restart; nothing that was answered 2xx is missing; the file passes its check",
)
def fill_disk(scale: Scale, folder: Path) -> Finding:
    """Fill a small disk under triggers and builds, and free it again."""
    rounds = scale.pick(short=1, full=5)
    with small_disk(folder / "disk") as disk:
        if disk is None:
            return not_run("it takes the right to mount a tmpfs")
        with Stage(folder, config=f"paths: {{db: {disk / 'sloth.db'}}}") as stage:
            seen = Seen(stage, scale)
            stage.api.create(CHATTY)
            traffic = Traffic(stage, "web", threads=2, rest=0.1)
            with traffic.flowing():
                for _ in range(rounds):
                    with filled(disk):
                        seen.watch_trouble(traffic, length=scale.pick(short=1, full=5))
                    seen.watch_recovery(traffic)
            return seen.conclude(traffic, disk / "sloth.db", f"{rounds} × full")


@experiment(
    "26",
    title="Sync and writes that fail",
    criterion="0 answers 2xx for what did not reach the disk (fsync EIO; writes EIO, EROFS,"
    f" ENOSPC): 503, reads answered, the server alive; works within {RECOVERY} s after, without a"
    " restart; nothing that was answered 2xx is missing after kill -9; the file passes its check",
)
def fail_disk(scale: Scale, folder: Path) -> Finding:
    """Let calls of the system fail, by a library that comes before it."""
    if not find_compiler():
        return not_run(NO_COMPILER)
    dice = Random(SEED)
    system = FailingSystem(folder)
    faults = [("sync", errno.EIO), ("write", errno.EROFS)]
    faults += [("write", errno.EIO), ("write", errno.ENOSPC)] * (scale is Scale.FULL)
    faults *= scale.pick(short=1, full=4)
    with system.around(), Stage(folder) as stage:
        seen = Seen(stage, scale)
        stage.api.create(CHATTY)
        traffic = Traffic(stage, "web", threads=2, rest=0.1)
        idle = 0
        with traffic.flowing():
            for what, error in faults:
                pause(dice.uniform(0, 0.3))
                before = system.refusals
                with system.refuses(what, error):
                    seen.watch_trouble(traffic, length=scale.pick(short=1, full=3))
                idle += system.refusals == before
                seen.watch_recovery(traffic)
        if idle:
            seen.faults.append(f"{idle} times nothing was refused")
        stage.kill()
        stage.start()
        return seen.conclude(traffic, folder / "sloth.db", f"{len(faults)} × failing (seed {SEED})")


class Seen:
    """What a server under trouble did wrong, and how fast it recovered."""

    def __init__(self, stage: Stage, scale: Scale) -> None:
        self._stage = stage
        self._scale = scale
        self._in_trouble: list[Answer] = []
        self._recoveries: list[float] = []
        self.faults: list[str] = []

    def watch_trouble(self, traffic: Traffic, *, length: float) -> None:
        """Look at the answers while nothing can be written."""
        begin = monotonic()
        if traffic.wait_for(503, since=begin, patience=20) is None:
            self.faults.append("no 503 came")
        full = monotonic()
        pause(length)
        for action in ("info", "history"):
            params = {"listen_point": "web"} if action == "history" else {}
            status = self._stage.api(action, **params).status
            if status != 200:
                self.faults.append(f"{action} got {status}")
        end = monotonic()
        self._in_trouble += traffic.sent_within(full, end)

    def watch_recovery(self, traffic: Traffic) -> None:
        """Look how soon a trigger is accepted again."""
        limit = seconds(self._scale, RECOVERY)
        took = traffic.wait_for(202, since=monotonic(), patience=limit)
        if took is None:
            self.faults.append("it did not recover")
        else:
            self._recoveries.append(took)

    def conclude(self, traffic: Traffic, database: Path, tried: str) -> Finding:
        """The finding, once all builds are done."""
        wrong = [one for one in traffic.answers if one.status not in (202, 503)]
        early = [one for one in self._in_trouble if one.status != 503]
        statuses = settle(database)
        lost = traffic.accepted - set(statuses)
        unfinished = [one for one in statuses.values() if one in ("queued", "running")]
        self._stage.running.stop()
        check(database)
        return found(
            not (self.faults or wrong or early or lost or unfinished),
            f"{tried}: {count(traffic.answers)}; while it lasted {count(self._in_trouble)};"
            f" {len(lost)} accepted lost, {len(unfinished)} stuck; accepted again after"
            f" {max(self._recoveries, default=0):.2f} s; check passed"
            f"{'; ' if self.faults else ''}{', '.join(self.faults)}",
        )


@contextmanager
def small_disk(place: Path) -> Iterator[Path | None]:
    """A disk of 24 MB, None where we may not have one."""
    place.mkdir()
    mount = shutil.which("mount")
    made = mount is not None and os.geteuid() == 0
    if made:
        command = [str(mount), "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)]
        made = subprocess.run(command, capture_output=True).returncode == 0
    try:
        yield place if made else None
    finally:
        if made:
            subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Within, there is no space on the disk."""
    filler = disk / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError as error:
                assert error.errno == errno.ENOSPC  # noqa: PT017
        yield
    finally:
        filler.unlink()
