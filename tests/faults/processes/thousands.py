"""Thousands of builds leave nothing behind in the server."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from tests.calls import wait_until
from tests.faults import Finding, Scale, experiment, found
from tests.faults.durability.stage import Stage
from tests.faults.processes.measures import megabytes, zombies_of

APPS = tuple(f"app-{number}" for number in range(4))
#: Calls at the same time, twice as many as the web server has threads.
CALLERS = 40


@experiment(
    "13",
    title="Thousands of builds",
    criterion="2,000 builds of `true`: 0 zombies, 0 leaked descriptors, threads back to the start,"
    " memory grows < 10 MB",
)
def run_thousands(scale: Scale, folder: Path) -> Finding:
    """Count what the server holds before and after."""
    number = scale.pick(short=80, full=2_000)
    with Stage(folder) as stage:
        for app in APPS:
            stage.api.create(f"listen_point: {app}\nactions: ['true']\n")
        process = psutil.Process(stage.pid)
        threads = process.num_threads()
        # What the first builds and calls make once and for all is no leak.
        _run(stage, scale.pick(short=40, full=400))
        _call_every_thread(stage)
        _settle(process, threads, process.num_fds())
        descriptors, memory = process.num_fds(), process.memory_info().rss
        _run(stage, number)
        _settle(process, threads, descriptors)
        left = process.num_threads() - threads
        leaked = process.num_fds() - descriptors
        growth = megabytes(process.memory_info().rss - memory)
        zombies = zombies_of(stage.pid)
        incomplete = set(stage.statuses().values()) - {"complete"}
    return found(
        not (zombies or incomplete) and leaked <= 0 and left <= 0 and growth < 10,
        f"{number} builds: {zombies} zombies, {leaked:+d} descriptors, {left:+d} threads,"
        f" memory {growth:+.1f} MB",
    )


def _run(stage: Stage, number: int) -> None:
    with stage.line() as line:
        for turn in range(number):
            line.trigger(APPS[turn % len(APPS)])
    stage.settle()


def _call_every_thread(stage: Stage) -> None:
    """Have every thread of the web server open its own connection to the database."""
    with ThreadPoolExecutor(CALLERS) as callers:
        list(callers.map(lambda _: stage.api("history", listen_point=APPS[0]), range(5 * CALLERS)))


def _settle(process: psutil.Process, threads: int, descriptors: int) -> None:
    """The executor's threads end some seconds after the last build; or they don't, it shows."""
    try:
        wait_until(
            lambda: process.num_threads() <= threads and process.num_fds() <= descriptors,
            patience=6,
        )
    except AssertionError:
        return
