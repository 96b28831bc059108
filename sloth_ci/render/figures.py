"""Figures: how builds went, whether the server is well, and what it does right now."""

from collections.abc import Iterator, Mapping
from logging import DEBUG, ERROR, INFO, WARNING
from typing import Any

from sloth_ci.render.painter import Painter, Record
from sloth_ci.render.texts import (
    count,
    printable,
    shorten,
    show_duration,
    show_time,
)

#: Outcomes of builds beside the good ones, in the order of the table.
_BAD = ("partial", "failed", "timed_out", "cancelled", "interrupted")
_BAR = 20
_OTHER_COLUMNS, _LEAST_WIDTH = 56, 20


def show_stats(painter: Painter, answer: Record) -> str:
    """Tables of apps, of the slowest actions, and of commits that went both ways."""
    total = answer["total"]
    period = f"{show_time(answer['since'])} to {show_time(answer['until'])}"
    if not total["builds"]:
        return f"No builds ended from {period}."
    parts = [f"{count(total['builds'], 'build')} from {period}", _apps(painter, answer)]
    if answer["cut"]:
        parts.append("There are more builds than are counted: these are the newest.")
    if total["slowest"]:
        parts.append(_slowest(painter, total["slowest"]))
    if total["flaky"]:
        heads = ["Flaky", "Commit", "Good Build", "Bad Build"]
        keys = ("listen_point", "commit", "good", "bad")
        rows = [[printable(one[key]) for key in keys] for one in total["flaky"]]
        parts.append(painter.table(rows, heads))
    return "\n\n".join(parts)


def show_health(painter: Painter, checks: Mapping[str, Record]) -> str:
    """A table of checks."""
    rows = [
        [
            printable(name),
            painter.paint("ok", INFO) if one["ok"] else painter.paint("problem", ERROR),
            printable(one["message"]),
        ]
        for name, one in checks.items()
    ]
    return painter.table(rows, ["Check", "State", "Message"])


def show_status(painter: Painter, status: Record, *, now: float, newest: list[Record]) -> str:
    """What the server does at this moment: what runs, how far it is, and what ended last."""
    parts = [_server(painter, status)]
    if status["running"]:
        heads = ["Build", "App", "Branch", "Runs For", "Progress", "Done"]
        rows = [_running(painter, build, now) for build in status["running"]]
        parts.append(painter.table(rows, heads))
    else:
        parts.append("Nothing runs.")
    ended = [build for build in newest if build["finished"]]
    if ended:
        heads = ["Ended", "App", "Branch", "Took", "Ago", "Status"]
        parts.append(painter.table([_ended(painter, one, now) for one in ended], heads))
    return "\n\n".join(parts)


def progress(build: Record, now: float) -> float | None:
    """How far a running build is, from 0 to 1, by the app's usual duration; None if not known."""
    usual = build["usual_duration"]
    if not usual or build["started"] is None:
        return None
    return float(min(1.0, max(0.0, (now - build["started"]) / usual)))


def _apps(painter: Painter, answer: Record) -> str:
    bad = [name for name in _BAD if answer["total"]["outcomes"][name]]
    heads = ["App", "Builds", "Success", "Complete", *(_title(name) for name in bad)]
    heads += ["Median", "95 %", "Waited"]
    rows = [_stats(painter, one, bad) for one in answer["apps"]]
    if len(rows) > 1:
        rows.append(_stats(painter, answer["total"], bad))
    return painter.table(rows, heads)


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _stats(painter: Painter, stats: Record, bad: list[str]) -> list[str]:
    name = "all" if stats["listen_point"] is None else printable(stats["listen_point"])
    durations, waited = stats["duration"] or {}, stats["waited"] or {}
    return [
        name,
        f"{stats['builds']:,}",
        _rate(painter, stats["success_rate"]),
        f"{stats['outcomes']['complete']:,}",
        *(f"{stats['outcomes'][one]:,}" if stats["outcomes"][one] else "" for one in bad),
        show_duration(durations.get("median")),
        show_duration(durations.get("p95")),
        show_duration(waited.get("median")),
    ]


def _rate(painter: Painter, rate: float | None) -> str:
    if rate is None:
        return ""
    level = INFO if rate >= 0.9 else WARNING if rate >= 0.5 else ERROR
    # A single failure among thousands must not look like none.
    shown = int(rate * 1_000) / 10
    return painter.paint(f"{shown:g} %", level)


def _slowest(painter: Painter, slowest: list[Any]) -> str:
    width = max(painter.width - _OTHER_COLUMNS, _LEAST_WIDTH)
    rows = [
        [
            shorten(one["command"], width),
            printable(f"{one['listen_point']} {one['position']}"),
            show_duration(one["mean"]),
            show_duration(one["longest"]),
            f"{one['runs']:,}",
            f"{one['failed']:,}",
        ]
        for one in slowest
    ]
    return painter.table(rows, ["Slowest Action", "Of", "Mean", "Longest", "Runs", "Failed"])


def _server(painter: Painter, status: Record) -> str:
    running, waiting = len(status["running"]), status["waiting"]
    line = (
        f"Sloth CI {printable(status['version'])}, up {show_duration(status['uptime'])}:"
        f" {count(status['apps'], 'app')}, {running or 'none'} running, {waiting or 'none'} waiting"
    )
    return "\n".join([line, *_pauses(painter, status)])


def _pauses(painter: Painter, status: Record) -> Iterator[str]:
    if paused := status["paused"]:
        reason = f": {paused['reason']}" if paused["reason"] else ""
        yield painter.paint(f"The server is paused{reason}", WARNING)
    if status["paused_apps"]:
        yield painter.paint(f"Paused: {', '.join(status['paused_apps'])}", WARNING)


def _running(painter: Painter, build: Record, now: float) -> list[str]:
    passed = None if build["started"] is None else max(0.0, now - build["started"])
    return [
        str(build["id"]),
        printable(build["listen_point"]),
        printable(build["branch"]),
        show_duration(passed),
        _bar(painter, progress(build, now), build["usual_duration"], passed),
        f"{build['completed']}/{build['actions']}",
    ]


def _bar(painter: Painter, part: float | None, usual: float | None, passed: float | None) -> str:
    if part is None or usual is None or passed is None:
        return "no build to compare with"
    filled = round(part * _BAR)
    bar = painter.paint("#" * filled, DEBUG) + "." * (_BAR - filled)
    if passed > usual:
        return f"{bar} {painter.paint(f'{show_duration(passed - usual)} over', WARNING)}"
    return f"{bar} {part:4.0%}, {show_duration(usual - passed)} left"


def _ended(painter: Painter, build: Record, now: float) -> list[str]:
    return [
        str(build["id"]),
        printable(build["listen_point"]),
        printable(build["branch"]),
        show_duration(build["duration"]),
        show_duration(max(0.0, now - build["finished"])),
        painter.paint(build["message"], build["level"]),
    ]
