"""The wall clock jumps, and summer time begins and ends."""

import os
from itertools import pairwise
from pathlib import Path
from time import gmtime, monotonic, time
from unittest.mock import patch

from tests.calls import wait_until
from tests.faults import Finding, Scale, experiment, found, not_run
from tests.faults.database.failing_system import NO_COMPILER, FailingSystem, find_compiler
from tests.faults.durability.stage import Stage, seconds

HOUR = 3600
#: Seconds after which summer time begins, and ends.
CHANGES = (2, 3)


@experiment(
    "21",
    title="Clock jumps by an hour, summer time begins and ends",
    criterion="the history stays in the order of the builds; a timeout of 1 s comes after 1 s (± 1)"
    " and no other comes; 0 builds that end before they begin",
)
def move_clock(scale: Scale, folder: Path) -> Finding:
    """Set a server's clock forth and back under running builds, across both changes of the year."""
    if not find_compiler():
        return not_run(NO_COMPILER)
    jumps = [-HOUR, HOUR] * scale.pick(short=1, full=10)
    number = len(jumps)
    system = FailingSystem(folder)
    faults: list[str] = []
    waits = []
    changed = monotonic() + max(CHANGES)
    with (
        patch.dict(os.environ, {"TZ": _zone_with_changes_in(*CHANGES)}),
        system.around(),
        Stage(folder) as stage,
    ):
        stage.api.create("listen_point: late\nactions: ['sleep 30']\nexec_timeout: 1\n")
        stage.api.create("listen_point: calm\nactions: ['sleep 1.5']\ntimeout: 20\n")
        shift = 0
        while jumps or monotonic() < changed:
            jump = jumps.pop() if jumps else 0
            late, calm = stage.api.trigger("late"), stage.api.trigger("calm")
            began = _wait_until_running(stage, late, calm)
            shift += jump
            system.shift_clock(shift)
            _wait_until_final(stage, late)
            waits.append(monotonic() - began)
            _wait_until_final(stage, calm)
        builds = stage.rows("SELECT id, app, status, queued, started, finished FROM builds")
        orders = [_history(stage, app) for app in ("late", "calm")]
    ends = {app: {status for _, one, status, *_ in builds if one == app} for app in (1, 2)}
    if ends != {1: {"timed_out"}, 2: {"complete"}}:
        faults.append(f"builds ended {ends}")
    if any(one > other for order in orders for one, other in pairwise(order)):
        faults.append("the history is out of order")
    if min(waits) < 0.5 or max(waits) > 1 + seconds(scale, 1):
        faults.append("timeouts at the wrong time")
    negative = sum(not queued <= begun <= ended for *_, queued, begun, ended in builds)
    return found(
        not (faults or negative),
        f"{number} jumps by an hour, and two changes of summer time, under {len(builds)}"
        f" builds: timeouts of 1 s after {min(waits):.2f} to {max(waits):.2f} s, {negative} builds"
        f" ended before they began{'; ' if faults else '; history in order'}{', '.join(faults)}",
    )


def _zone_with_changes_in(begins: float, ends: float) -> str:
    """A zone (POSIX TZ) whose summer time begins and ends so many seconds from now."""
    now = time()
    day = gmtime(now)
    midnight = now - now % (24 * HOUR)
    begin = int(now + begins - midnight)
    end = int(now + ends - midnight) + HOUR
    number = day.tm_yday - (day.tm_yday > 59 and day.tm_year % 4 == 0)
    return f"STD0DST,J{number}/{_clock_time(begin)},J{number}/{_clock_time(end)}"


def _clock_time(second: int) -> str:
    return f"{second // HOUR}:{second // 60 % 60:02}:{second % 60:02}"


def _wait_until_running(stage: Stage, *builds: int) -> float:
    wait_until(lambda: all(_status(stage, one) == "running" for one in builds))
    return monotonic()


def _wait_until_final(stage: Stage, build: int) -> None:
    wait_until(lambda: _status(stage, build) not in ("queued", "running"))


def _status(stage: Stage, build: int) -> str:
    return str(stage.api("build", id=build).value["status"])


def _history(stage: Stage, listen_point: str) -> list[int]:
    """The builds, oldest first, as the API tells it."""
    value = stage.api("history", listen_point=listen_point, per_page=1000).value
    return [one["build"] for one in reversed(value)]
