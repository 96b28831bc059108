"""Moments, durations, sizes and statuses in words, as they stand on the page."""

from datetime import UTC, datetime

_STEPS = ((60.0, "s"), (60.0, "min"), (24.0, "h"), (7.0, "d"), (52.0, "w"))
_STATUSES = {
    "queued": "Waiting",
    "running": "Running",
    "complete": "Complete",
    "partial": "Partially complete",
    "failed": "Failed",
    "timed_out": "Timed out",
    "cancelled": "Cancelled",
    "interrupted": "Interrupted",
    "never": "Never built",
    "completed": "Completed",
    "halted": "Ended",
    "waiting": "Not begun",
    "accepted": "Accepted",
    "ignored": "Nothing to do",
    "refused": "Refused",
}


def ago(moment: float, now: float) -> str:
    """How long ago that was, roughly; in how long it will be, when it lies ahead."""
    distance = rough(abs(now - moment))
    return f"in {distance}" if moment > now + 1 else f"{distance} ago"


def rough(seconds: float) -> str:
    """A duration in its largest unit: `3 min`."""
    for step, unit in _STEPS:
        if seconds < step:
            return f"{int(seconds)} {unit}"
        seconds /= step
    return f"{int(seconds)} y"


def span(seconds: float | None) -> str:
    """A duration as exactly as people want it: `0.4 s`, `3 min 12 s`, `2 h 5 min`."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(count: int | None) -> str:
    """Bytes in the unit that fits: `12.3 kB`."""
    if count is None:
        return "–"
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def moment(seconds: float) -> str:
    """A moment by the calendar, in UTC: `2026-11-21 15:04:05 UTC`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def stamp(seconds: float) -> str:
    """A moment as `<time>` wants it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def status(name: str) -> str:
    """A status in words."""
    return _STATUSES.get(name, name)


def short(commit: str) -> str:
    """A commit as people write it."""
    return commit[:10]


def percent(rate: float | None) -> str:
    """A share of one: `83 %`."""
    return "–" if rate is None else f"{rate * 100:.0f} %"


def clock(seconds: float) -> str:
    """Time since a build's start: `0:07`, `12:30`, `1:02:03`."""
    whole = max(0, int(seconds))
    hours, rest = divmod(whole, 3600)
    if hours:
        return f"{hours}:{rest // 60:02}:{rest % 60:02}"
    return f"{rest // 60}:{rest % 60:02}"
