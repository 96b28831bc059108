"""Builds: a table of them, all about one, why it failed, and what one would run."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from logging import DEBUG, ERROR, INFO, WARNING
from typing import Any

from sloth_ci.render.painter import Painter, Record
from sloth_ci.render.texts import printable, shorten, show_duration, show_size, show_time

_OUTCOME_LEVELS = {"running": DEBUG, "completed": INFO}
#: Characters that a table's other columns take from the command's.
_OTHER_COLUMNS, _LEAST_WIDTH = 62, 20
_COMMIT = 10
#: Params that differ from push to push; commit and branch tell of it well enough.
_ALWAYS_NEW = ("commit", "ref", "before", "delivery", "url")


def show_builds(painter: Painter, builds: Sequence[Record], *, detailed: bool) -> str:
    """A table of builds, the detailed one with who, why and how long they waited."""
    heads = ["Build", "App", "Status", "Branch", "Commit", "Queued", "Took"]
    rows = (_row(painter, build) for build in builds)
    if not detailed:
        return painter.table(rows, heads)
    more = (
        [*row, show_duration(build["waited"]), printable(_who(build)), printable(build["reason"])]
        for row, build in zip(rows, builds, strict=True)
    )
    return painter.table(more, [*heads, "Waited", "By", "Reason"])


def show_build(painter: Painter, build: Record) -> str:
    """All about one build: its states, its params, and each action that began."""
    parts = [headline(painter, build), show_pairs(_facts(build))]
    if build["params"]:
        rows = [
            [printable(one[key]) for key in ("name", "value", "origin")] for one in build["params"]
        ]
        parts.append(painter.table(rows, ["Param", "Value", "From"]))
    if build["outcomes"]:
        heads = ["#", "Action", "Status", "Took", "CPU", "Memory", "Output"]
        rows = [_outcome(painter, one) for one in build["outcomes"]]
        parts.append(painter.table(rows, heads))
    return "\n\n".join(parts)


def headline(painter: Painter, build: Record) -> str:
    """Which build it is, and where it stands."""
    state = "Running" if build["status"] == "running" else build["message"]
    name = printable(f"Build {build['id']} of {build['listen_point']}")
    return f"{name}: {painter.paint(state, build['level'])}"


def show_pairs(pairs: Iterable[tuple[str, str]]) -> str:
    """Names and texts, one pair a line, without those that have no text."""
    return "\n".join(f"  {name:<10} {text}" for name, text in pairs if text)


def show_explanation(painter: Painter, answer: Record) -> str:
    """Why a build ended as it did, what differs from the last good one, and what to do."""
    parts = [headline(painter, answer["build"]), printable(answer["summary"])]
    if answer["last_lines"]:
        parts.append("Last lines:\n" + "\n".join(_last_lines(painter, answer)))
    if compared := answer["compared_with"]:
        moment = show_time(compared["finished"])
        head = f"Since build {compared['build']}, the last good one, of {moment}:"
        differences = show_pairs(_differences(compared)) or "  nothing that is known of has changed"
        parts.append(f"{head}\n{differences}")
    if following := answer["next"]:
        order = write_order(following["action"], following["params"])
        parts.append(f"Next: {printable(following['advice'])}\n  {printable(order)}")
    return "\n\n".join(parts)


def write_order(action: str, params: Mapping[str, Any]) -> str:
    """The command of `sci` that asks for that action of the API."""
    match action, params:
        case "rerun", {"build": build, "config": "current"}:
            return f"sci rerun {build} --current"
        case "logs", {"build": build}:
            return f"sci logs --build {build}"
        case "follow", {"build": build}:
            return f"sci logs --build {build} --follow"
        case _, {}:
            words = (params.get("build"), params.get("listen_point"))
            return " ".join(["sci", action, *(str(word) for word in words if word)])
    return f"sci {action}"


def show_preview(painter: Painter, answer: Record) -> str:
    """What a trigger would run."""
    parts = []
    if answer["params"]:
        rows = [
            [printable(one[key]) for key in ("name", "value", "origin")] for one in answer["params"]
        ]
        parts.append(painter.table(rows, ["Param", "Value", "From"]))
    rows = [
        [str(one["position"]), _command(painter, one["command"]), _remarks(painter, one)]
        for one in answer["actions"]
    ]
    parts.append(painter.table(rows, ["#", "Action", "Remark"]) if rows else "It has no actions.")
    if answer.get("paused"):
        reason = printable(answer["paused"]["reason"])
        parts.append("It is paused, so the build would wait" + (f": {reason}" if reason else "."))
    return "\n\n".join(parts)


def _row(painter: Painter, build: Record) -> list[str]:
    state = "Running" if build["status"] == "running" else build["message"]
    return [
        str(build["id"]),
        printable(build["listen_point"]),
        painter.paint(state, build["level"]),
        printable(build["branch"]),
        printable(build["commit"])[:_COMMIT],
        show_time(build["queued"]),
        show_duration(build["duration"]),
    ]


def _who(build: Record) -> str:
    return f"{build['actor']} ({build['cause']})" if build["actor"] else str(build["cause"])


def _facts(build: Record) -> Iterator[tuple[str, str]]:
    waited, took = show_duration(build["waited"]), show_duration(build["duration"])
    usual = show_duration(build["usual_duration"])
    yield "Queued", show_time(build["queued"]) + (f", waited {waited}" if waited else "")
    yield "Started", show_time(build["started"])
    yield "Took", took and took + (f" (usually {usual})" if usual else "")
    yield "Usually", "" if took or not usual else f"takes {usual}"
    yield "By", printable(_who(build))
    yield "Branch", printable(build["branch"])
    yield "Commit", printable(build["commit"])
    yield "Delivery", _known(build["delivery"])
    yield "Repeats", f"build {build['rerun_of']}" if build["rerun_of"] else ""
    yield "Reason", printable(build["reason"])
    yield "Config", "a former one of the app" if build["config"] == "former" else ""


def _outcome(painter: Painter, outcome: Record) -> list[str]:
    state = outcome["status"].replace("_", " ")
    reason = f" ({outcome['reason']})" if outcome["reason"] else ""
    return [
        str(outcome["position"]),
        _command(painter, outcome["command"]),
        painter.paint(state + reason, _OUTCOME_LEVELS.get(outcome["status"], ERROR)),
        show_duration(outcome["duration"]),
        show_duration(outcome["cpu"]),
        "" if outcome["memory"] is None else show_size(outcome["memory"]),
        "" if outcome["output"] is None else show_size(outcome["output"]),
    ]


def _last_lines(painter: Painter, answer: Record) -> Iterator[str]:
    failing = answer["failing"] or {}
    error = (failing.get("error") or {}).get("id")
    for line in answer["last_lines"]:
        is_error = line["id"] == error
        text = painter.paint(line["text"], ERROR) if is_error else printable(line["text"])
        yield f"{'>' if is_error else ' '} {text}"


def _differences(compared: Record) -> Iterator[tuple[str, str]]:
    if commit := compared["commit"]:
        yield "Commit", f"{_was(commit['then'])} -> {_was(commit['now'])}"
    for param in compared["params"]:
        if param["name"] in _ALWAYS_NEW:
            continue
        yield f"Param {printable(param['name'])}:", f"{_was(param['then'])} -> {_was(param['now'])}"
    if compared["config"]:
        yield "Config", printable(", ".join(compared["config"])) + " changed"
    if duration := compared["duration"]:
        then, now = show_duration(duration["then"]), show_duration(duration["now"])
        yield "Took", f"{then} -> {now}" if then and now else ""


def _remarks(painter: Painter, action: Record) -> str:
    remarks = [word for word in ("critical", "detach") if action[word]]
    shown = ", ".join(remarks)
    if action["missing"] is None:
        return shown
    missing = painter.paint(f"the param '{action['missing']}' is missing", WARNING)
    return f"{shown}, {missing}" if shown else missing


def _command(painter: Painter, command: str) -> str:
    return shorten(command, max(painter.width - _OTHER_COLUMNS, _LEAST_WIDTH))


def _known(value: object) -> str:
    return "" if value is None else printable(value)


def _was(value: object) -> str:
    return "none" if value is None or value == "" else printable(value)
