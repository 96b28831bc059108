"""What a build printed before its server was killed can be read."""

import sys
from pathlib import Path
from random import Random
from time import time
from typing import Any

from tests.calls import Api, wait_until
from tests.faults import Finding, Scale, experiment, found
from tests.faults.durability.stage import SEED, Stage, pause

#: Lines a second, by turns: a trickle, which waits for company, and a stream.
RATES = (100, 5_000)
#: Prints numbered lines, and notes beside the server which one was printed when.
COUNTER = """\
import os, sys, time
notes = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
rate = int(sys.argv[2])
number, began = 0, time.monotonic()
while True:
    for number in range(number + 1, number + 1 + rate // 100):
        print("line", number)
    sys.stdout.flush()
    os.write(notes, f"{number} {time.time()}\\n".encode())
    time.sleep(max(0, began + number / rate - time.monotonic()))
"""
#: Lines older than this, in seconds, must be there.
OLD = 1.0
PAGE = 5000


@experiment(
    "4",
    title="kill -9 while a build prints",
    criterion="100,000 lines over 20 rounds, each printed more than 1 s before the kill: 100 %"
    " readable after the restart, no gap, no duplicate, order kept",
)
def kill_under_output(scale: Scale, folder: Path) -> Finding:
    """Let a build print, kill the server, read the log by the API."""
    rounds = scale.pick(short=2, full=20)
    shortest = scale.pick(short=12, full=31) / 10
    dice = Random(SEED)
    script = folder / "counter.py"
    script.write_text(COUNTER)
    due = missing = disturbed = 0
    with Stage(folder) as stage:
        for number in range(rounds):
            notes = folder / f"notes-{number}"
            command = f"{sys.executable} {script} {notes} {RATES[number % 2]}"
            app = stage.api.create(f"listen_point: round-{number}\nactions: [{command}]\n")
            stage.api.trigger(app)
            wait_until(notes.exists)
            pause(dice.uniform(shortest, shortest * 1.3))
            killed = time()
            stage.kill()
            stage.start()
            must = _count_until(notes, killed - OLD)
            lines = _lines(stage.api, app)
            due += must
            missing += max(0, must - len(lines))
            disturbed += lines != [f"line {place}" for place in range(1, len(lines) + 1)]
    wanted = scale.pick(short=500, full=100_000)
    return found(
        missing == 0 and disturbed == 0 and due >= wanted,
        f"{rounds} kills, {due:,} lines older than 1 s: {missing} missing;"
        f" {disturbed} logs with a gap, a duplicate or another order (seed {SEED})",
    )


def _count_until(notes: Path, moment: float) -> int:
    """How many lines were printed before the moment."""
    pairs = [line.split() for line in notes.read_text().splitlines()]
    return max((int(count) for count, printed in pairs if float(printed) <= moment), default=0)


def _lines(api: Api, app: str) -> list[str]:
    """All that the app's builds printed."""
    # What comes meanwhile moves records from one page to the next, where they are met again.
    records: dict[int, dict[str, Any]] = {}
    page, is_full = 0, True
    while is_full:
        page += 1
        reply = api("logs", listen_point=app, level=1, per_page=PAGE, from_page=page)
        records |= {record["id"]: record for record in reply.value}
        is_full = len(reply.value) == PAGE
    return [record["message"] for _id, record in sorted(records.items()) if "stream" in record]
