"""What each page shows: a few calls of the API, put side by side."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from sloth_ci.errors import BadParam, BuildNotFound, DatabaseOff

Query = Mapping[str, str]
Shown = dict[str, Any]


class Call(Protocol):
    """Asks the API, as whoever looks at the page."""

    def __call__(self, action: str, **params: str | int | Sequence[str]) -> Any:
        """The answer's value; raises the error that it tells of."""


View = Callable[[Call, str, Query], Shown]

#: Apps on one page, builds in an app's strip, builds on one page, lines that come with a build.
APPS, STRIP, BUILDS, LINES = 50, 30, 25, 1_000
#: Records asked for at once for the raw log.
RAW_LINES = 10_000
#: What the list of apps can be narrowed down to.
_STATES: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    "failing": lambda app: app["last_build_status_level"] >= 40,
    "running": lambda app: app["last_build_status_level"] == 10,
    "paused": lambda app: app["paused"] is not None,
}
_STATUSES = (
    "queued",
    "running",
    "complete",
    "partial",
    "failed",
    "timed_out",
    "cancelled",
    "interrupted",
)


def apps(call: Call, name: str, query: Query) -> Shown:  # noqa: ARG001  views are called alike
    """All apps, those built last first, each with its last builds."""
    search, state = query.get("q", ""), query.get("state", "")
    found = [app for app in call("info") if search.lower() in app["listen_point"].lower()]
    counts = {one: sum(map(fits, found)) for one, fits in _STATES.items()}
    if state in _STATES:
        found = [app for app in found if _STATES[state](app)]
    first = (_read_page(query) - 1) * APPS
    shown = [_look_at(call, app) for app in found[first : first + APPS]]
    return {
        "apps": shown,
        "found": len(found),
        "first": first,
        "counts": counts,
        "state": state,
        "search": search,
        "page": _read_page(query),
        "pages": max(1, -(-len(found) // APPS)),
        "server": call("status"),
    }


def app(call: Call, name: str, query: Query) -> Shown:
    """One app: its builds, figures and deliveries, and what a build of it takes."""
    [info] = call("info", listen_points=[name])
    listed = call("builds", listen_point=name, per_page=BUILDS, **_narrow(query))
    preview = call("preview", listen_point=name)
    missing = {action["missing"]: "" for action in preview["actions"] if action["missing"]}
    return {
        "app": _look_at(call, info),
        "builds": listed["builds"],
        "next": listed["next"],
        "stats": call("stats", listen_point=name)["total"],
        "deliveries": call("deliveries", listen_point=name, per_page=5)["deliveries"],
        "missing": list(missing),
        "params": preview["params"],
        "actions": preview["actions"],
        "statuses": _STATUSES,
    }


def builds(call: Call, name: str, query: Query) -> Shown:  # noqa: ARG001
    """The builds of all apps, the newest first."""
    listed = call("builds", per_page=BUILDS * 2, **_narrow(query))
    return {"builds": listed["builds"], "next": listed["next"], "statuses": _STATUSES}


def build(call: Call, name: str, query: Query) -> Shown:
    """One build: what it was to do, how that went and why, and what it printed."""
    shown = call("build", id=_read_number(name))
    records, earlier = _read_log(call, name, query)
    ended_badly = shown["finished"] is not None and shown["status"] != "complete"
    return {
        "build": shown,
        "log": _split(shown["outcomes"], records),
        "records": records,
        "earlier": earlier,
        "explained": call("explain", build=name) if ended_badly else None,
    }


def deliveries(call: Call, name: str, query: Query) -> Shown:
    """What a provider sent to an app."""
    cursor = {"before": query["before"]} if query.get("before") else {}
    listed = call("deliveries", listen_point=name, per_page=BUILDS * 2, **cursor)
    return {"listen_point": name, "deliveries": listed["deliveries"], "next": listed["next"]}


def delivery(call: Call, name: str, query: Query) -> Shown:  # noqa: ARG001
    """One delivery, with the verdict on it rule by rule."""
    return {"delivery": call("delivery", id=name)}


def raw_log(call: Call, name: str) -> str:
    """Everything that a build's actions printed, as it was, the commands between."""
    build = call("build", id=_read_number(name))
    lines: list[str] = []
    last = 0
    while records := call("logs", build=name, level=1, after=last, per_page=RAW_LINES):
        lines += (record["message"] for record in records)
        last = records[-1]["id"]
    return "".join(f"{line}\n" for line in lines) or f"{build['message']}\n"


def _look_at(call: Call, app: Mapping[str, Any]) -> Shown:
    """What is known of an app, with its last builds, the oldest first."""
    last = call("builds", listen_point=app["listen_point"], per_page=STRIP)["builds"]
    strip = list(reversed(last))
    good = sorted(one["duration"] for one in strip if one["status"] == "complete")
    running = next((one for one in last if one["status"] == "running"), None)
    return {
        **app,
        "strip": strip,
        "durations": [one["duration"] for one in strip],
        "usual": good[len(good) // 2] if good else None,
        "last": last[0] if last else None,
        "running": running,
        "waiting": sum(one["status"] == "queued" for one in last),
        "next_run": min(filter(None, _next_runs(app)), default=None),
    }


def _next_runs(app: Mapping[str, Any]) -> Iterator[float | None]:
    """When the app's schedules come due, in seconds since the epoch."""
    return (told.get("next_run") for told in app["extensions"].values())


def _read_number(name: str) -> str:
    if not (name.isascii() and name.isdecimal() and len(name) < 10 and int(name)):
        raise BuildNotFound(id=name[:40])
    return name


def _narrow(query: Query) -> dict[str, str]:
    return {name: query[name] for name in ("status", "branch", "before") if query.get(name)}


def _read_page(query: Query) -> int:
    text = query.get("page", "1")
    if not (text.isascii() and text.isdecimal() and len(text) < 7 and int(text)):
        raise BadParam(param="page", wanted="a whole number from 1", came=text[:40])
    return int(text)


def _read_log(call: Call, build: str, query: Query) -> tuple[list[Any], int | None]:
    """The last lines of a build, or those before one, oldest first; and where earlier ones end."""
    cursor = {"before": query["before"]} if query.get("before") else {}
    try:
        records = call("logs", build=build, level=1, per_page=LINES, **cursor)
    except DatabaseOff:
        return [], None
    records.reverse()
    if not records:
        return [], None
    # Long lines make it fewer than were asked for.
    first = records[0]["id"]
    more = call("logs", build=build, level=1, per_page=1, before=first)
    return records, first if more else None


def _split(outcomes: Sequence[Mapping[str, Any]], records: Sequence[Any]) -> list[Shown]:
    """Each action with its records; what came before the first, or after the last, on its own."""
    begun = [one for one in outcomes if one["first_record"] is not None]
    parts: list[Shown] = [{"outcome": one, "records": []} for one in (None, *begun, None)]
    for record in records:
        parts[_place(begun, record["id"])]["records"].append(record)
    return [part for part in parts if part["outcome"] or part["records"]]


def _place(begun: Sequence[Mapping[str, Any]], record_id: int) -> int:
    place = bisect_right(begun, record_id, key=lambda one: int(one["first_record"]))
    if not place or place < len(begun):
        return place
    last = begun[-1]["last_record"]
    return place if last is None or record_id <= last else place + 1
