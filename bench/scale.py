"""6. Ten thousand apps in one server: what each costs, and what a thousand do at once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from bench.asking import Asking
from bench.contestant import App, wait_until
from bench.course import Course, series
from bench.figures import Aim, Curve, Figure, Finding, Target
from bench.load import Load
from bench.machine import usage
from bench.peers import OLD, OURS, Old, Ours

#: At the same time, as configured for the measurement.
MOST_BUILDS = 4


def measure(course: Course) -> Iterator[Finding]:
    """Memory, descriptors, threads, start and accepts by the number of apps; then all at once."""
    sizes = course.effort.pick(smoke=(1, 30), full=(1, 10, 100, 1_000, 10_000))
    stages = {size: _Stage(course, size) for size in sizes}
    first, last = stages[sizes[0]], stages[sizes[-1]]
    yield from _costs(course, first, last)
    yield _accepts(course, few=sizes[0], many=sizes[-1])
    if course.curves:
        yield from _curves(stages)
    yield from _all_at_once(course)


class _Stage:
    """What a server with so many apps takes, that knew them when it started."""

    def __init__(self, course: Course, size: int) -> None:
        self.size = size
        folder = course.folder()
        apps = _apps(size)
        with Ours(folder, apps, tree=course.tree) as server:
            first_start = server.start_time
        with Ours(folder, apps, tree=course.tree) as server:
            self.start = server.start_time
            self.usage = usage(server.pid)
            load = _push_to_one(server, seconds=course.effort.pick(smoke=1, full=2))
        course.forget(folder)
        self.costs = {
            "memory": self.usage.memory / 1e6,
            "start": self.start,
            "accept": 1e3 / load.rate,
        }
        course.say(
            f"{size:,} apps: start {self.start:.2f} s ({first_start:.2f} s the first time),"
            f" {self.usage.memory / 1e6:.0f} MB, {self.usage.descriptors} descriptors,"
            f" {self.usage.threads} threads, {load}"
        )


def _apps(size: int) -> list[App]:
    return [App(f"spam{number}", action="sleep 1000", pushes=True) for number in range(size)]


def _push_to_one(server: Ours, *, seconds: float) -> Load:
    """Press pushes on the last app: its place among others is all that differs."""
    server.apps = server.apps[-1:]
    return server.push(seconds=seconds)


def _costs(course: Course, first: _Stage, last: _Stage) -> Iterator[Figure]:
    more = last.size - first.size
    old = _cost_of_old(course) if OLD in course.peers else None
    for key, title, unit, value, limit, beside in (
        ("memory", "Memory of an app", "kB", (last.usage.memory - first.usage.memory) / 1e3, 8, 0),
        (
            "descriptors",
            "Descriptors of an app",
            "",
            last.usage.descriptors - first.usage.descriptors,
            0.001,
            1,
        ),
        ("threads", "Threads of an app", "", last.usage.threads - first.usage.threads, 0.001, 2),
    ):
        yield Figure(
            f"scale/{key}",
            f"{title}, of {last.size:,}",
            unit,
            Aim.LESS,
            series(OURS, [value / more]),
            peers=(series(OLD, [old[beside]]),) if old else (),
            targets=(Target(limit),),
        )
    yield Figure(
        "scale/start",
        f"Start with {last.size:,} apps",
        "s",
        Aim.LESS,
        series(OURS, [last.start]),
        targets=(Target(5),),
    )


def _cost_of_old(course: Course) -> tuple[float, float, float]:
    """Kilobytes, descriptors and threads of an app of the published server, which bears 500."""
    found = []
    sizes = course.effort.pick(smoke=(1, 20), full=(1, 400))
    for size in sizes:
        folder = course.folder()
        with Old(folder, [App(f"spam{number}") for number in range(size)]) as server:
            found.append(usage(server.pid))
        course.forget(folder)
    few, many = found
    more = sizes[1] - sizes[0]
    return (
        (many.memory - few.memory) / 1e3 / more,
        (many.descriptors - few.descriptors) / more,
        (many.threads - few.threads) / more,
    )


def _accepts(course: Course, *, few: int, many: int) -> Figure:
    """Two servers that run at the same time, and have their turns."""
    seconds = course.effort.pick(smoke=1, full=2)
    one, all_ = f"{OURS} with {few} app", f"{OURS} with {many:,} apps"
    with (
        Ours(course.folder(), _apps(few), tree=course.tree) as small,
        Ours(course.folder(), _apps(many), tree=course.tree) as large,
    ):
        found = course.alternate(
            "pushes to one app",
            {
                all_: lambda: _push_to_one(large, seconds=seconds),
                one: lambda: _push_to_one(small, seconds=seconds),
            },
        )
    return Figure(
        "scale/accepts",
        f"Pushes accepted by one of {many:,} apps",
        "/s",
        Aim.MORE,
        series(OURS, [load.rate for load in found[all_]]),
        peers=(series(one, [load.rate for load in found[one]]),),
        targets=(Target(0.9, one),),
    )


def _curves(stages: dict[int, _Stage]) -> Iterator[Curve]:
    for key, title, up in (
        ("memory", "Memory of the server by the number of apps", "MB"),
        ("start", "Start of the server by the number of apps", "s"),
        ("accept", "Cost of a push by the number of apps", "ms each"),
    ):
        points = tuple((float(size), stage.costs[key]) for size, stage in stages.items())
        yield Curve(f"scale/{key}", title, "apps", up, {OURS: points})


def _all_at_once(course: Course) -> Iterator[Figure]:
    """Each of many apps is triggered once, all together."""
    size = course.effort.pick(smoke=20, full=1_000)
    apps = [App(f"spam{number}", action="sleep 0.02") for number in range(size)]
    folder = course.folder()
    with Ours(folder, apps, tree=course.tree, more=f"max_builds: {MOST_BUILDS}") as server:
        with Asking(server) as asking:
            with ThreadPoolExecutor(10) as callers:
                list(callers.map(server.fire, apps))
            wait_until(lambda: len(server.finished()) >= size, patience=120)
        spans = server.rows("SELECT started, finished FROM builds WHERE status = 'complete'")
    course.forget(folder)
    course.say(f"{size:,} apps at once: at most {_most_at_once(spans)} builds ran together")
    yield Figure(
        "scale/together",
        f"Builds running at a time, of {size:,} triggered at once (limit {MOST_BUILDS})",
        "",
        Aim.LESS,
        series(OURS, [_most_at_once(spans)]),
        targets=(Target(MOST_BUILDS),),
    )
    yield Figure(
        "scale/finished", "... that finished", "", Aim.MORE,
        series(OURS, [len(spans)]), targets=(Target(size),),
    )  # fmt: skip
    yield Figure(
        "scale/api", "... the API's answer meanwhile (p99)", "ms", Aim.LESS,
        series(OURS, [asking.p99]), targets=(Target(50),),
    )  # fmt: skip


def _most_at_once(spans: list[tuple[float, float]]) -> int:
    steps = [(started, 1) for started, _end in spans] + [(end, -1) for _start, end in spans]
    running = most = 0
    for _moment, step in sorted(steps, key=lambda one: (one[0], one[1])):
        running += step
        most = max(most, running)
    return most
