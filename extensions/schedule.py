"""`schedule` starts builds at set times, by cron lines in a time zone.

A line has the five fields of cron: minute, hour, day of the month, month, day of the week (names
such as MON and JAN are understood, `L` is the last day, `FRI#2` the second Friday); one of six
begins with the seconds. `@hourly`, `@daily`, `@weekly`, `@monthly` and `@yearly` stand for the
usual lines. When clocks change, what falls into the missing hour runs right after it, and what
falls into the doubled one runs once.

What came due while the server was down is caught up with as `catch_up` says: `none`, `latest` (one
build for however many were missed) or `all` (one for each, at most 100); a schedule that is new,
or has other lines or another zone than before, has missed nothing. Builds have the param
`scheduled`: the moment they were due, such as `2030-01-31T03:00:00+01:00`. `info` tells the next
one.

```yaml
listen_point: nightly
actions:
  - make all
extensions:
  every_night:
    module: schedule
    cron: "0 3 * * MON-FRI"     # or a list of such lines
    zone: Europe/Berlin         # UTC when not given
    catch_up: latest            # none when not given
    params: {target: full}      # for the actions' placeholders
```

It needs the extra `schedule`: `pip install 'sloth-ci[schedule]'`.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from heapq import merge
from itertools import takewhile
from logging import ERROR, INFO
from threading import Lock
from time import time
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from sloth_ci.config import Names, Section, checked_by, one_of
from sloth_ci.errors import SlothError
from sloth_ci.extension import Context, Extension, hook

#: Builds that are caught up with at most.
MOST_MISSED = 100
#: Notes: the last moment that was built or passed by, and the schedule that it belongs to.
_LAST = "last"
_LINES = "lines"
#: Seconds before now that are looked at first for what was missed.
_SPAN = 3600.0
_SHORT = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * SUN",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


def read_lines(value: Any) -> tuple[str, ...]:
    """One cron line or a list of them, each of which comes due some day."""
    lines = [value] if isinstance(value, str) else value
    if not isinstance(lines, list) or not lines or not all(isinstance(one, str) for one in lines):
        raise ValueError("must be a cron line such as '0 3 * * *', or a list of them")
    return tuple(_read_line(line) for line in lines)


def read_zone(value: Any) -> ZoneInfo:
    """The name of a time zone."""
    try:
        return ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
        raise ValueError(
            f"must be the name of a time zone such as Europe/Berlin or UTC, not '{value}'"
        ) from error


class ScheduleOptions(Section):
    """When to build, and what with."""

    cron: Annotated[tuple[str, ...], checked_by(read_lines)]
    zone: Annotated[ZoneInfo, checked_by(read_zone)] = ZoneInfo("UTC")
    catch_up: Annotated[str, one_of("none", "latest", "all")] = "none"
    params: Names = {}  # noqa: RUF012  pydantic copies it


class Schedule(Extension):
    """Has the next moment called, triggers then, and has the one after that called."""

    Options = ScheduleOptions
    options: ScheduleOptions

    def __init__(
        self, options: ScheduleOptions, context: Context, *, clock: Callable[[], float] = time
    ) -> None:
        super().__init__(options, context)
        self._clock = clock
        self._take_back: Callable[[], None] = lambda: None
        self._next: datetime | None = None
        #: Held while it is said, on whichever thread, what to wait for.
        self._lock = Lock()
        self._is_closed = False

    def open(self) -> None:
        """Catch up, and wait for the next moment."""
        now = self._clock()
        self.context.later(lambda: self._catch_up(now))
        self._wait(self._at(now))

    def close(self) -> None:
        """Wait for nothing any more."""
        with self._lock:
            self._is_closed = True
            self._take_back()

    @hook
    def app_info(self) -> Mapping[str, Any]:
        """When the next build is due, in seconds since the epoch."""
        return {"next_run": self._next.timestamp() if self._next else None}

    def moments(self, after: datetime) -> Iterator[datetime]:
        """Every moment after that one, in order."""
        lines = [CronSim(line, after) for line in self.options.cron]
        latest = None
        for moment in merge(*lines, key=datetime.timestamp):
            if moment.timestamp() != latest:
                latest = moment.timestamp()
                yield moment

    def _at(self, moment: float) -> datetime:
        return datetime.fromtimestamp(moment, self.options.zone)

    def _wait(self, after: datetime) -> None:
        moment = next(self.moments(after))
        with self._lock:
            if not self._is_closed:
                self._next = moment
                self._take_back = self.context.at(
                    moment.timestamp(), lambda: self._come_due(moment)
                )

    def _come_due(self, moment: datetime) -> None:
        self.context.later(lambda: self._build(moment))
        # After a sleep of the machine, what came due meanwhile is one build, and not many.
        self._wait(max(moment, self._at(self._clock()), key=datetime.timestamp))

    def _catch_up(self, now: float) -> None:
        last = self.context.notes.get(_LAST)
        lines = "\n".join((*self.options.cron, self.options.zone.key))
        if last is None or self.context.notes.get(_LINES) != lines:
            self.context.notes.set(_LAST, str(now))
            self.context.notes.set(_LINES, lines)
            return
        since = float(last)
        for moment in self._missed(since, now):
            self.context.log(INFO, f"Caught up with what was due at {moment.isoformat()}")
            self._build(moment)
        self.context.notes.set(_LAST, str(max(now, since)))

    def _missed(self, since: float, now: float) -> list[datetime]:
        if self.options.catch_up == "none" or since >= now:
            return []
        most = 1 if self.options.catch_up == "latest" else MOST_MISSED
        # Looked for from the end, in ever longer spans: years of every second are too many to list.
        span = _SPAN
        while True:
            begin = max(since, now - span)
            due = takewhile(lambda moment: moment.timestamp() <= now, self.moments(self._at(begin)))
            newest = list(deque(due, maxlen=most))
            if len(newest) == most or begin == since:
                return newest
            span *= 10

    def _build(self, moment: datetime) -> None:
        params = {"scheduled": moment.isoformat(), **self.options.params}
        try:
            self.context.trigger(self.context.listen_point, params, self.context.name)
        except SlothError as error:
            self.context.log(ERROR, f"What was due at {moment.isoformat()} is not built: {error}")
        self.context.notes.set(_LAST, str(moment.timestamp()))


def _read_line(line: str) -> str:
    text = _SHORT.get(line.strip().lower(), line)
    try:
        next(CronSim(text, datetime.now(UTC)))
    except CronSimError as error:
        raise ValueError(
            f"has a line that is no cron line: '{line}' ({str(error).lower()}); five fields are"
            " wanted, such as '0 3 * * *'"
        ) from error
    except StopIteration as error:
        raise ValueError(f"has a line that never comes due: '{line}'") from error
    return text


EXTENSION = Schedule
