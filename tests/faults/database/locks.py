"""The database is locked by somebody else, or wanted by a second server."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

from tests.conftest import RunningServer, StartFailed, start_server
from tests.faults import Finding, Scale, experiment, found
from tests.faults.database.traffic import Traffic, count, settle
from tests.faults.durability.stage import Stage, pause, seconds

#: Seconds that a trigger waits for a lock at most, and what the way there and back may take.
BUSY = 5
SLACK = 0.5
#: Takes the lock, says so, and gives it back at the end of its input.
LOCK = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
database.execute("ROLLBACK")
"""


@experiment(
    "8",
    title="Database locked by another process",
    criterion=f"3 s: triggers wait and are accepted within {BUSY} s; 60 s: triggers get 503 within"
    f" {BUSY} s and reads are answered; then 0 requests stuck, 0 log lines lost, 0 accepted lost",
)
def lock_database(scale: Scale, folder: Path) -> Finding:
    """Lock the database for a short and a long time, under triggers and a build that prints."""
    short, long = (1.0, 6.0) if scale is Scale.SHORT else (3.0, 60.0)
    lines = 100 if scale is Scale.SHORT else 1_000
    faults = []
    with Stage(folder) as stage:
        stage.api.create("listen_point: web\nactions: ['true']\n")
        talk = f"i=0; while [ $i -lt {lines} ]; do i=$((i + 1)); echo $i; sleep 0.06; done"
        stage.api.create(f"listen_point: talk\nactions: ['{talk}']\n")
        talking = stage.api.trigger("talk")
        traffic = Traffic(stage, "web", threads=4, rest=0.05)
        with traffic.flowing():
            traffic.wait_for(202, since=monotonic(), patience=20)
            begin = monotonic()
            with locked(folder / "sloth.db"):
                pause(short)
            traffic.wait_for(202, since=monotonic(), patience=20)
            shortly = traffic.sent_within(begin, monotonic())
            begin = monotonic()
            with locked(folder / "sloth.db"):
                read = [_reads(stage)]
                pause(long)
                read.append(_reads(stage))
            released = monotonic()
            back = traffic.wait_for(202, since=released, patience=seconds(scale, BUSY))
        refused = [one for one in traffic.answers if one.status == 503]
        statuses = settle(folder / "sloth.db")
        printed = stage.rows(
            "SELECT message FROM records WHERE build = ? AND stream = 1 ORDER BY id", talking
        )
    slowest = max(one.wait for one in traffic.answers)
    if {one.status for one in shortly} != {202}:
        faults.append(f"the short lock led to {count(shortly)}")
    if {one.status for one in traffic.answers} != {202, 503}:
        faults.append("other answers than 202 and 503")
    if not all(read):
        faults.append("reads were not answered")
    if back is None:
        faults.append("not accepted again")
    lost = traffic.accepted - set(statuses)
    missing = lines - len(printed)
    if [int(line) for (line,) in printed] != list(range(1, lines + 1)):
        faults.append("log lines lost or out of order")
    return found(
        not (faults or lost or missing),
        f"locked {short:.0f} s: {count(shortly)}, slowest {max(one.wait for one in shortly):.2f} s;"
        f" locked {long:.0f} s: {len(refused)} × 503, slowest {slowest:.2f} s; accepted again"
        f" {back or 0:.2f} s after; {missing} of {lines} log lines missing, {len(lost)} accepted"
        f" lost{'; ' if faults else ''}{', '.join(faults)}",
        in_time=slowest <= BUSY + seconds(scale, SLACK),
    )


@experiment(
    "23",
    title="Two servers on one database",
    criterion="the second exits within 5 s, exit code 1, with one line that says why, and the first"
    " goes on; of servers started at the same moment one lives; after kill -9 the lock is free",
)
def start_two(scale: Scale, folder: Path) -> Finding:
    """Start servers on a database that has one, at the same time, and after kill -9."""
    rounds = scale.pick(short=1, full=20)
    faults = []
    slowest = 0.0
    with Stage(folder) as stage:
        stage.api.create("listen_point: web\nactions: ['true']\n")
        for _ in range(rounds):
            began = monotonic()
            refusal = _refused_start(folder)
            slowest = max(slowest, monotonic() - began)
            if "another server uses it" not in refusal or refusal.count("\n") != 1:
                faults.append(f"the second said {refusal!r}")
            stage.api.trigger("web")
            stage.kill()
            stage.start()
            stage.api.trigger("web")
        stage.settle()
        builds = len(stage.statuses())
    alive = [_race(folder) for _ in range(rounds)]
    return found(
        not faults and builds == 2 * rounds and set(alive) == {1},
        f"{rounds} second servers refused within {slowest:.2f} s; {rounds} starts after kill -9;"
        f" {builds} of {2 * rounds} builds ran; of two at the same time {alive.count(1)} of"
        f" {rounds} times one lived{'; ' if faults else ''}{', '.join(faults)}",
        in_time=slowest <= seconds(scale, 5),
    )


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Within, another process holds the database's lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", LOCK, str(database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    try:
        assert process.stdout.readline() == "locked\n"
        yield
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def _reads(stage: Stage) -> bool:
    """Whether what only reads is answered."""
    history = stage.api("history", listen_point="web")
    return stage.api("info").status == 200 and history.status == 200


def _refused_start(folder: Path) -> str:
    """What a server says that can't start; an empty text when it can."""
    run = subprocess.run(
        [sys.executable, "-m", "sloth_ci.server", "server.yml", "--quiet"],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return run.stderr if run.returncode == 1 else f"exit code {run.returncode}"


def _race(folder: Path) -> int:
    """How many of two servers started at the same moment live."""
    with ThreadPoolExecutor() as threads:
        tries = list(threads.map(lambda _: _try_start(folder), range(2)))
    lives = [one for one in tries if one is not None]
    for server in lives:
        server.stop()
    return len(lives)


def _try_start(folder: Path) -> RunningServer | None:
    try:
        return start_server(folder)
    except StartFailed:
        return None
