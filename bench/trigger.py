"""1b. Builds triggered over the API, while the builds run."""

from collections.abc import Iterator

from bench.contestant import App, Contestant
from bench.course import Course, series
from bench.figures import Aim, Figure, Finding, Target
from bench.load import Load
from bench.peers import OLD, OURS, Old, Ours

APP = App("spam")


def measure(course: Course) -> Iterator[Finding]:
    """The rate and the delay at 10 connections."""
    contestants = {OURS: lambda: _trigger(course, Ours(course.folder(), [APP], tree=course.tree))}
    if OLD in course.peers:
        contestants[OLD] = lambda: _trigger(course, Old(course.folder(), [APP]))
    found = course.alternate("triggers", contestants)
    peers = [who for who in found if who != OURS]
    yield Figure(
        "trigger/rate",
        "`trigger` over the API while builds run, 10 connections",
        "/s",
        Aim.MORE,
        series(OURS, [load.rate for load in found[OURS]]),
        peers=tuple(series(who, [load.rate for load in found[who]]) for who in peers),
        targets=(Target(1.2, OLD),),
    )
    yield Figure(
        "trigger/p99",
        "... delay of one in a hundred (p99)",
        "ms",
        Aim.LESS,
        series(OURS, [load.p99 for load in found[OURS]]),
        peers=tuple(series(who, [load.p99 for load in found[who]]) for who in peers),
    )


def _trigger(course: Course, server: Contestant) -> Load:
    with server:
        load = server.trigger(seconds=course.effort.pick(smoke=1, full=3))
    course.forget(server.folder)
    return load
