"""1. Signed pushes accepted while nothing is run: what the way in costs.

Each app's first build blocks, so what is accepted waits: on the disk with us, in memory with the
published server. `webhook` checks the signature and has nothing to run.
"""

from collections.abc import Iterator

from bench import floors
from bench.contestant import App, Contestant, signed_push
from bench.course import Course, series
from bench.figures import Aim, Curve, Figure, Finding, Series, Target
from bench.fill import multiply
from bench.load import Load
from bench.peers import HOOK, OLD, OURS, Hook, Old, Ours

BLOCKED = App("spam", action="sleep 1000", pushes=True)
_MANY = "max_connections: 5000\n"


def measure(course: Course) -> Iterator[Finding]:
    """The rate and the delay at 10 connections; the cost for more connections and more builds."""
    contestants = {OURS: lambda: _push(course, Ours(course.folder(), [BLOCKED], tree=course.tree))}
    if OLD in course.peers:
        contestants[OLD] = lambda: _push(course, Old(course.folder(), [BLOCKED]))
    if HOOK in course.peers:
        contestants[HOOK] = lambda: _push(
            course, Hook(course.folder(), [App("spam", pushes=True)], runs=False)
        )
    found = course.alternate("pushes", contestants)
    peers = [who for who in found if who != OURS]
    yield Figure(
        "accept/pushes",
        "Signed GitHub pushes accepted, 10 connections",
        "/s",
        Aim.MORE,
        series(OURS, [load.rate for load in found[OURS]]),
        peers=tuple(series(who, [load.rate for load in found[who]]) for who in peers),
        floors=_floors(course),
        targets=(Target(4, OLD), Target(0.5, HOOK)),
    )
    yield Figure(
        "accept/p99",
        "... delay of one in a hundred (p99)",
        "ms",
        Aim.LESS,
        series(OURS, [load.p99 for load in found[OURS]]),
        peers=tuple(series(who, [load.p99 for load in found[who]]) for who in peers),
        targets=(Target(25),),
    )
    if course.curves:
        yield _over_connections(course)
        yield _over_builds(course)


def _push(course: Course, server: Contestant) -> Load:
    with server:
        load = server.push(seconds=course.effort.pick(smoke=1, full=3))
    course.forget(server.folder)
    return load


def _floors(course: Course) -> tuple[Series, ...]:
    seconds = course.effort.pick(smoke=1, full=2)
    folder = course.folder()
    found = course.alternate(
        "pushes",
        {
            floors.ANSWER: lambda: floors.answer_rate(signed_push(), folder, seconds=seconds).rate,
            floors.SYNC: lambda: floors.sync_rate(course.folder(), seconds=seconds),
        },
    )
    return tuple(series(who, values) for who, values in found.items())


def _over_connections(course: Course) -> Curve:
    points = []
    for connections in course.effort.pick(smoke=(1,), full=(1, 10, 100, 1_000)):
        with Ours(course.folder(), [BLOCKED], tree=course.tree, more=_MANY) as server:
            load = server.push(seconds=course.effort.pick(smoke=1, full=2), connections=connections)
        course.say(f"pushes from {connections} connections: {load}")
        course.forget(server.folder)
        points.append((float(connections), 1e3 / load.rate))
    return Curve(
        "accept/connections",
        "Cost of a push by the number of connections",
        "connections",
        "ms each",
        {OURS: tuple(points)},
    )


def _over_builds(course: Course) -> Curve:
    """Its builds wait: the queue of one app grows to the size."""
    points = []
    with Ours(course.folder(), [BLOCKED], tree=course.tree) as server:
        server.push(seconds=1)
        for size in course.effort.pick(smoke=(1_000,), full=(1_000, 10_000, 100_000, 1_000_000)):
            multiply(server.folder / "sloth.db", "builds", until=size)
            load = server.push(seconds=course.effort.pick(smoke=1, full=2))
            course.say(f"pushes into a queue of {size:,}: {load}")
            points.append((float(size), 1e3 / load.rate))
    course.forget(server.folder)
    return Curve(
        "accept/queue",
        "Cost of a push by the number of builds that wait",
        "builds in the queue",
        "ms each",
        {OURS: tuple(points)},
    )
