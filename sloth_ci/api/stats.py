"""`stats`: how builds went over a period, of each app and in all."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from math import ceil
from typing import Any

from sloth_ci.api.server import Server
from sloth_ci.api.shapes import between, find_app_id
from sloth_ci.builds import BuildStatus
from sloth_ci.parameters import Answer, ApiAction, Kind, Parameter
from sloth_ci.store import ActionFigure, BuildFigure

#: Seconds that are looked back when nobody says.
PERIOD = 30 * 86_400
#: Actions and commits that are named.
SLOWEST, FLAKY = 5, 20

FINAL = tuple(status for status in BuildStatus if status.final)
#: What tells of the commit: an order from outside ended the others.
_BAD = (BuildStatus.PARTIAL, BuildStatus.FAILED, BuildStatus.TIMED_OUT)


def stats(server: Server, *, listen_point: str | None, since: float | None) -> Answer:
    """How builds went since then, 30 days if nobody says."""
    return Answer(collect(server, listen_point=listen_point, since=since))


def collect(server: Server, *, listen_point: str | None, since: float | None) -> dict[str, Any]:
    """The answer of `stats`; raises AppNotFound."""
    until = server.clock()
    begin = max(0.0, until - PERIOD) if since is None else since
    app_id = find_app_id(server, listen_point) if listen_point else None
    found = server.store.statistics(app_id=app_id, since=begin)
    builds: defaultdict[str, list[BuildFigure]] = defaultdict(list)
    actions: defaultdict[str, list[ActionFigure]] = defaultdict(list)
    for build in found.builds:
        builds[build.listen_point].append(build)
    for action in found.actions:
        actions[action.listen_point].append(action)
    return {
        "since": begin,
        "until": until,
        "cut": found.cut,
        "apps": [_sum_up(name, builds[name], actions[name]) for name in sorted(builds)],
        "total": _sum_up(None, found.builds, found.actions),
    }


def _sum_up(
    listen_point: str | None, builds: Sequence[BuildFigure], actions: Sequence[ActionFigure]
) -> dict[str, Any]:
    outcomes = {status.value: 0 for status in FINAL}
    for build in builds:
        outcomes[build.status] += 1
    good = outcomes[BuildStatus.COMPLETE]
    telling = good + sum(outcomes[status] for status in _BAD)
    return {
        "listen_point": listen_point,
        "builds": len(builds),
        "outcomes": outcomes,
        "success_rate": round(good / telling, 4) if telling else None,
        "duration": _spread(between(one.started, one.finished) for one in builds),
        "waited": _spread(between(one.queued, one.started) for one in builds),
        "slowest": [
            _show_action(one) for one in sorted(actions, key=lambda one: -one.mean)[:SLOWEST]
        ],
        "flaky": list(_find_flaky(builds))[:FLAKY],
    }


def _spread(values: Iterable[float | None]) -> dict[str, float] | None:
    """The median, and what 95 of 100 don't exceed (the nearest rank)."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return None
    return {
        "median": round(statistics.median(known), 6),
        "p95": known[ceil(0.95 * len(known)) - 1],
    }


def _show_action(action: ActionFigure) -> dict[str, Any]:
    return {
        "listen_point": action.listen_point,
        "position": action.position + 1,
        "command": action.command,
        "runs": action.runs,
        "failed": action.failed,
        "mean": round(action.mean, 6),
        "longest": round(action.longest, 6),
    }


def _find_flaky(builds: Sequence[BuildFigure]) -> Iterator[dict[str, Any]]:
    """Commits of an app that were good once and bad once, with the newest build of each kind."""
    newest: dict[tuple[str, str], dict[bool, int]] = {}
    for build in builds:
        if build.commit_id and (build.status is BuildStatus.COMPLETE or build.status in _BAD):
            kinds = newest.setdefault((build.listen_point, build.commit_id), {})
            kinds.setdefault(build.status is BuildStatus.COMPLETE, build.id)
    for (listen_point, commit), kinds in newest.items():
        if len(kinds) > 1:
            yield {
                "listen_point": listen_point,
                "commit": commit,
                "good": kinds[True],
                "bad": kinds[False],
            }


ROWS = (
    ApiAction(
        "stats",
        200,
        "Tell how builds went over a period, of each app and in all.",
        stats,
        (
            Parameter("listen_point", "an app's; all apps if not given"),
            Parameter("since", "from then on; 30 days if not given", kind=Kind.MOMENT),
        ),
        example={"since": "7d"},
    ),
)
