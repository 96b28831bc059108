"""3. From the trigger to the first byte that the action writes, on a server without other work."""

import os
import select
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from threading import Event
from time import monotonic

from bench.contestant import App, Contestant
from bench.course import Course, series
from bench.figures import Aim, Curve, Figure, Finding, Target, percentile
from bench.peers import HOOK, OLD, OURS, Hook, Old, Ours

#: Seconds from an action's first byte to the next trigger: builds must have ended by then.
REST = 0.02
PATIENCE = 20


def measure(course: Course) -> Iterator[Finding]:
    """The usual delay, the rare one, and the cost of more apps."""
    makers: dict[str, Callable[[Path, list[App]], Contestant]] = {
        OURS: lambda folder, apps: Ours(folder, apps, tree=course.tree)
    }
    if OLD in course.peers:
        makers[OLD] = Old
    if HOOK in course.peers:
        makers[HOOK] = Hook

    contestants = {who: lambda make=make: _delays(course, make) for who, make in makers.items()}
    found = course.alternate("first byte", contestants)
    for share, key, title, target in (
        (0.5, "latency/p50", "Trigger to first byte of the action (p50)", 3),
        (0.99, "latency/p99", "... of one in a hundred (p99)", 10),
    ):
        shown = {who: [percentile(run.all, share) for run in runs] for who, runs in found.items()}
        yield Figure(
            key,
            title,
            "ms",
            Aim.LESS,
            series(OURS, shown.pop(OURS)),
            peers=tuple(series(who, values) for who, values in shown.items()),
            targets=(Target(target),),
        )
    if course.curves:
        yield _over_apps(course)


class _Delays:
    """Milliseconds, one for each trigger."""

    def __init__(self, found: list[float]) -> None:
        self.all = found

    def __str__(self) -> str:
        return f"p50 {median(self.all):.1f} ms, p99 {percentile(self.all, 0.99):.1f} ms"


def _delays(
    course: Course, make: Callable[[Path, list[App]], Contestant], *, others: int = 0
) -> _Delays:
    folder = course.folder()
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    app = App("spam", action=f"echo x > {pipe}", pushes=True)
    with make(folder, [app, *(App(f"other{number}") for number in range(others))]) as server:
        listening = os.open(pipe, os.O_RDWR)
        try:
            rounds = course.effort.pick(smoke=5, full=100)
            found = [_delay(server, app, listening) for _ in range(rounds + 1)]
        finally:
            os.close(listening)
    course.forget(folder)
    return _Delays(found[1:])


def _delay(server: Contestant, app: App, listening: int) -> float:
    Event().wait(REST)
    began = monotonic()
    server.fire(app)
    if not select.select([listening], [], [], PATIENCE)[0]:
        raise TimeoutError(f"{server.name} did not run the action")
    delay = monotonic() - began
    os.read(listening, 100)
    return delay * 1e3


def _over_apps(course: Course) -> Curve:
    points = []
    for size in course.effort.pick(smoke=(1, 10), full=(1, 10, 100, 1_000)):
        found = _delays(
            course, lambda folder, apps: Ours(folder, apps, tree=course.tree), others=size - 1
        )
        course.say(f"first byte among {size} apps: {found}")
        points.append((float(size), median(found.all)))
    return Curve(
        "latency/apps",
        "Delay to the first byte by the number of apps",
        "apps",
        "ms",
        {OURS: tuple(points)},
    )
