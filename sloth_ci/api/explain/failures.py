"""The action that a build failed by, what it printed, and since when it has failed that way."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain

from sloth_ci.api.explain.error_lines import clean, find_error, likeness
from sloth_ci.builds import BuildStatus, OutcomeStatus
from sloth_ci.records import LogRecord
from sloth_ci.store import Store, StoredAction, StoredBuild

#: Lines of an action that are looked at, from its beginning and from its end.
MOST_LINES = 1_000
#: Records read at a time; one may have 64 kB.
PIECE = 200
#: Characters of a line that are kept.
MAX_LINE = 2_000
#: Lines shown of the end.
LAST_LINES = 20
#: Earlier builds that are looked at.
MOST_BACK = 20

#: An order ended them, so that they tell nothing of the commit.
_UNTELLING = (BuildStatus.CANCELLED, BuildStatus.INTERRUPTED)


@dataclass(frozen=True, slots=True)
class Failure:
    """How a build failed."""

    action: StoredAction
    #: The positions of other actions that failed.
    others: tuple[int, ...]
    #: The first line that looks like an error.
    error: LogRecord | None
    last_lines: tuple[LogRecord, ...]

    def is_like(self, other: "Failure") -> bool:
        """Whether the same action failed with the same end and, but for numbers, the same error."""
        mine, its = self.action, other.action
        return (
            # A param makes another command, a new config another position.
            (mine.command == its.command or mine.position == its.position)
            and (mine.status, mine.exit_code, mine.signal)
            == (its.status, its.exit_code, its.signal)
            and _likeness(self.error) == _likeness(other.error)
        )


@dataclass(frozen=True, slots=True)
class Streak:
    """How often in a row, before it, the app's builds failed as a build did."""

    times: int
    #: The first of the row; the build itself when it is the only one.
    first: StoredBuild
    #: There may be more before it, which were not looked at.
    cut: bool


def find_failure(store: Store, build: StoredBuild) -> Failure | None:
    """The action that the build failed by; None when none did.

    The one that ended the build, else the first of those that failed.
    """
    actions = store.actions(build.id)
    failed = [one for one in actions if one.status not in (None, OutcomeStatus.COMPLETED)]
    if not failed:
        return None
    is_last = actions[-1] is failed[-1]
    # Of a build that failed although some actions completed, the last one was critical.
    ended_it = len(actions) < build.total or (
        build.status is not BuildStatus.PARTIAL and build.completed > 0
    )
    chosen = failed[-1] if is_last and ended_it else failed[0]
    others = tuple(one.position for one in failed if one is not chosen)
    head, tail = _read_ends(store, chosen)
    lines = head + tail
    number = find_error(line.message for line in lines)
    error = None if number is None else lines[number]
    return Failure(chosen, others, error, tuple(tail[-LAST_LINES:]))


def find_streak(store: Store, build: StoredBuild, failure: Failure) -> Streak:
    """How often in a row the app's builds before failed the same way."""
    times, first, before = 0, build, build
    for _step in range(MOST_BACK):
        found = store.previous(before.id)
        if found is None:
            return Streak(times, first, cut=False)
        before = found
        if found.status in _UNTELLING:
            continue
        earlier = find_failure(store, found)
        if earlier is None or not failure.is_like(earlier):
            return Streak(times, first, cut=False)
        times, first = times + 1, found
    return Streak(times, first, cut=True)


def last_lines(store: Store, build: StoredBuild) -> tuple[LogRecord, ...]:
    """What the build printed last, whichever action it was."""
    newest = store.records(build_id=build.id, most=PIECE).records
    return tuple(_lines(reversed(newest)))[-LAST_LINES:]


def _read_ends(store: Store, action: StoredAction) -> tuple[list[LogRecord], list[LogRecord]]:
    """An action's first and last lines, in order; all are in the second when they are few."""
    if action.first_record is None:
        return [], []
    end = action.last_record
    after, before = action.first_record - 1, None if end is None else end + 1
    pieces: list[list[LogRecord]] = []
    for _piece in range(MOST_LINES // PIECE):
        page = store.records(build_id=action.build_id, after=after, before=before, most=PIECE)
        pieces.append(list(_lines(reversed(page.records))))
        before = page.cursor
        if before is None:
            break
    tail = list(chain.from_iterable(reversed(pieces)))
    return _read_head(store, action.build_id, after=after, before=before) if before else [], tail


def _read_head(store: Store, build_id: int, *, after: int, before: int) -> list[LogRecord]:
    found: list[LogRecord] = []
    for _piece in range(MOST_LINES // PIECE):
        page = store.records(
            build_id=build_id, after=after, before=before, oldest_first=True, most=PIECE
        )
        found += _lines(page.records)
        if page.cursor is None:
            break
        after = page.cursor
    return found


def _lines(records: Iterable[LogRecord]) -> Iterator[LogRecord]:
    """What an action printed, without colours, and no longer than people read."""
    for record in records:
        if record.stream is not None:
            yield replace(record, message=clean(record.message[:MAX_LINE]))


def _likeness(error: LogRecord | None) -> str:
    return likeness(error.message) if error else ""
