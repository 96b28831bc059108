"""2. Builds run: their queue is filled, then what ends in a window of time is counted.

Each build has one action, `true`, and is recorded and logged. `webhook` has no queue: what it ran
is counted while the requests come, by the lines of its log.
"""

from collections.abc import Iterator
from threading import Event
from time import time

from bench import floors
from bench.contestant import App, Contestant, wait_until
from bench.course import Course, series
from bench.figures import Aim, Curve, Figure, Finding, Series, Target
from bench.machine import usage
from bench.peers import HOOK, OLD, OURS, Hook, Old, Ours

ONE = [App("spam", pushes=True)]
EIGHT = [App(f"spam{number}", pushes=True) for number in range(8)]
SHELL = "start of `/bin/sh -c true` from Python, 1 thread"
SHELLS = "start of `/bin/sh -c true` from Python, 4 threads"
DIRECT = "start of `true` from Python, 1 thread"


def measure(course: Course) -> Iterator[Finding]:
    """Builds a second of one app and of eight, and the cost of a build in ever longer queues."""
    bounds = _floors(course)
    for apps, key, title in (
        (ONE, "builds/one-app", "Builds run, 1 app"),
        (EIGHT, "builds/eight-apps", "Builds run, 8 apps"),
    ):
        yield _rate(course, apps, key=key, title=title, bounds=bounds)
    if course.curves:
        yield _over_queue(course)


def _rate(
    course: Course, apps: list[App], *, key: str, title: str, bounds: tuple[Series, ...]
) -> Figure:
    contestants = {OURS: lambda: _drain(course, Ours(course.folder(), apps, tree=course.tree))}
    if OLD in course.peers:
        contestants[OLD] = lambda: _drain(course, Old(course.folder(), apps))
    if HOOK in course.peers:
        contestants[HOOK] = lambda: _run_at_once(course, Hook(course.folder(), apps))
    found = course.alternate(title, contestants)
    return Figure(
        key,
        title,
        "/s",
        Aim.MORE,
        series(OURS, found.pop(OURS)),
        peers=tuple(series(who, values) for who, values in found.items()),
        floors=bounds,
        targets=(Target(5, OLD), Target(1, HOOK)),
    )


def _floors(course: Course) -> tuple[Series, ...]:
    seconds = course.effort.pick(smoke=0.3, full=1.5)
    shell, direct = ["/bin/sh", "-c", "true"], ["/bin/true"]
    found = course.alternate(
        "starts",
        {
            SHELL: lambda: floors.spawn_rate(shell, threads=1, seconds=seconds),
            SHELLS: lambda: floors.spawn_rate(shell, threads=4, seconds=seconds),
            DIRECT: lambda: floors.spawn_rate(direct, threads=1, seconds=seconds),
        },
    )
    return tuple(series(who, values) for who, values in found.items())


def _drain(course: Course, server: Contestant) -> float:
    """Builds a second, from the end of the load until the queue is empty or the time is over."""
    with server:
        server.trigger(seconds=course.effort.pick(smoke=1, full=3))
        began = time()
        Event().wait(course.effort.pick(smoke=1, full=3))
        ended = [moment for moment in server.finished() if moment > began]
    course.forget(server.folder)
    return (len(ended) - 1) / (ended[-1] - ended[0])


def _run_at_once(course: Course, server: Hook) -> float:
    with server:
        began = time()
        server.push(seconds=course.effort.pick(smoke=1, full=4))
        ended = server.finished()
        rate = len(ended) / (time() - began)
        course.say(f"{HOOK} holds {usage(server.pid).peak / 1e6:.0f} MB at most")
    course.forget(server.folder)
    return rate


def _over_queue(course: Course) -> Curve:
    points = []
    for size in course.effort.pick(smoke=(30,), full=(10, 30, 100, 300, 1_000, 3_000, 10_000)):
        seconds = _drain_exactly(course, size)
        course.say(f"{size} builds took {seconds:.2f} s")
        points.append((float(size), 1e3 * seconds / size))
    return Curve(
        "builds/queue",
        "Cost of a build by the number that wait at the start",
        "builds",
        "ms each",
        {OURS: tuple(points)},
    )


def _drain_exactly(course: Course, size: int) -> float:
    """Seconds from the first start to the last end of that many builds, all queued beforehand."""
    folder = course.folder()
    with Ours(folder, [App("spam", action="sleep 1000")], tree=course.tree) as server:
        for _ in range(size + 1):
            server.fire(server.apps[0])
    # What waits is run by the next start, and what ran is not run again.
    with Ours(folder, ONE, tree=course.tree) as server:
        wait_until(lambda: len(server.finished()) >= size)
        (span,) = server.rows(
            "SELECT max(finished) - min(started) FROM builds WHERE status = 'complete'"
        )
    course.forget(folder)
    return float(span[0])
