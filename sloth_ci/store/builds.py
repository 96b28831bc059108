"""What the store knows of builds and of their actions."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from functools import partial

from sloth_ci.builds import BuildStatus, Outcome, OutcomeStatus
from sloth_ci.store.reader import Row
from sloth_ci.store.rows import Cause, StoredAction, StoredBuild, make_storable
from sloth_ci.store.verbs import Verbs

FINAL = tuple(status for status in BuildStatus if status.final)
_BAD = frozenset(FINAL) - {BuildStatus.COMPLETE}
#: These are so few that they are rather sorted than all builds looked at.
_INDEXED = {
    BuildStatus.QUEUED: " INDEXED BY builds_queued",
    BuildStatus.RUNNING: " INDEXED BY builds_running",
}
#: Characters of a command that are kept of a build's action.
MAX_COMMAND = 8_000

_BUILDS = (
    "SELECT builds.id, app, listen_point, cause, status, total, completed,"
    " queued, started, finished, actor, rerun_of, reason, params, branch, commit_id,"
    " builds.config, delivery"
    " FROM builds JOIN apps ON apps.id = app"
)
_ACTIONS = (
    "SELECT build, position, command, status, reason, exit_code, signal, started, finished,"
    " cpu, memory, output, first_record, last_record FROM build_actions"
)


class BuildVerbs(Verbs):
    """What the store tells of builds, and notes of their actions."""

    def find_build(self, build_id: int) -> StoredBuild | None:
        """The build of that id."""
        rows = self._reader.rows(f"{_BUILDS} WHERE builds.id = ?", (build_id,))
        return _build(rows[0]) if rows else None

    def last_build(self, app_id: int) -> StoredBuild | None:
        """The app's newest build."""
        rows = self._reader.rows(
            f"{_BUILDS} WHERE app = ? ORDER BY builds.id DESC LIMIT 1", (app_id,)
        )
        return _build(rows[0]) if rows else None

    def builds(
        self,
        *,
        app_id: int | None = None,
        statuses: Sequence[BuildStatus] = (),
        branch: str | None = None,
        since: float | None = None,
        until: float | None = None,
        before: int | None = None,
        skip: int = 0,
        most: int,
    ) -> list[StoredBuild]:
        """Builds, the newest first.

        `since` and `until` (not with it) are when they were queued, `before` is a build's id.
        """
        oldest = None if since is None else self._reader.first_since("builds", "queued", since)
        if until is not None:
            end = self._reader.first_since("builds", "queued", until)
            before = end if before is None else min(before, end)
        terms = {
            "app = ?": app_id,
            "branch = ? AND branch <> ''": branch,
            "id >= ?": oldest,
            "id < ?": before,
        }
        given = {term: value for term, value in terms.items() if value is not None}
        by_branch = app_id is not None and branch is not None
        arms = _part(statuses, by_branch=by_branch)
        # Each arm walks an index in the order of ids, and SQLite merges them as it goes.
        ids = " UNION ALL ".join(
            f"SELECT id FROM builds{source}{_where([*given, *more])}"  # noqa: S608
            for source, more in arms
        )
        rows = self._reader.rows(
            f"{_BUILDS} WHERE builds.id IN ({ids} ORDER BY id DESC LIMIT ? OFFSET ?)"
            " ORDER BY builds.id DESC",
            (*list(given.values()) * len(arms), most, skip),
        )
        return [_build(row) for row in rows]

    def previous(self, build_id: int, *, status: BuildStatus | None = None) -> StoredBuild | None:
        """The app's newest build before that one with this status, or with any final one."""
        statuses = FINAL if status is None else (status,)
        rows = self._reader.rows("SELECT app FROM builds WHERE id = ?", (build_id,))
        if not rows:
            return None
        found = self.builds(app_id=rows[0][0], statuses=statuses, before=build_id, most=1)
        return found[0] if found else None

    def actions(self, build_id: int) -> list[StoredAction]:
        """The build's actions that have begun, in order."""
        rows = self._reader.rows(f"{_ACTIONS} WHERE build = ? ORDER BY position", (build_id,))
        return [_action(row) for row in rows]

    def note_progress(self, *, build_id: int, completed: int) -> None:
        """Keep soon how many actions of a running build have completed."""
        self._writer.note(
            lambda db, _record: db.execute(
                "UPDATE builds SET completed = ? WHERE id = ?", (completed, build_id)
            )
        )

    def note_action(self, *, build_id: int, position: int, command: str, started: float) -> None:
        """Keep soon that an action begins; its records follow. The command must be masked."""
        self._writer.note(
            partial(
                _begin_action,
                build_id=build_id,
                position=position,
                command=command,
                started=started,
            )
        )

    def note_outcome(
        self, *, build_id: int, position: int, outcome: Outcome, finished: float
    ) -> None:
        """Keep soon how an action ended; its records came before."""
        self._writer.note(
            partial(
                _end_action,
                build_id=build_id,
                position=position,
                outcome=outcome,
                finished=finished,
            )
        )


def _part(statuses: Sequence[BuildStatus], *, by_branch: bool) -> list[tuple[str, list[str]]]:
    """Where builds of these statuses are found, in arms that each have an index, with its terms.

    There is one for those that wait, that run, that are complete, and one for all others, as those
    are few and don't change any more. Within it, and within an app's branch, statuses are looked
    at one by one; of one app there are never more builds than are kept.
    """
    wanted = set(statuses)
    if by_branch or not wanted:
        return [("", [f"status IN ({_list(wanted)})"] if wanted else [])]
    bad = wanted & _BAD
    alone = [
        (_INDEXED.get(status, ""), [f"status = '{status}'"]) for status in sorted(wanted - _BAD)
    ]
    failed = ("", [f"status IN ({_list(_BAD)})", f"+status IN ({_list(bad)})"])
    return [*alone, failed] if bad else alone


def _where(terms: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(terms)}" if terms else ""


def _list(statuses: Iterable[BuildStatus]) -> str:
    return ", ".join(f"'{status}'" for status in BuildStatus if status in statuses)


def _begin_action(
    db: sqlite3.Connection,
    record: int,
    *,
    build_id: int,
    position: int,
    command: str,
    started: float,
) -> None:
    db.execute(
        "INSERT OR REPLACE INTO build_actions (build, position, command, started, first_record)"
        " VALUES (?, ?, ?, ?, ?)",
        (build_id, position, make_storable(command[:MAX_COMMAND]), started, record),
    )


def _end_action(
    db: sqlite3.Connection,
    record: int,
    *,
    build_id: int,
    position: int,
    outcome: Outcome,
    finished: float,
) -> None:
    db.execute(
        "UPDATE build_actions SET status = ?, reason = ?, exit_code = ?, signal = ?,"
        " finished = max(?, started), cpu = ?, memory = ?, output = ?, last_record = ?"
        " WHERE build = ? AND position = ?",
        (
            outcome.status,
            make_storable(outcome.reason),
            outcome.exit_code,
            outcome.signal,
            finished,
            outcome.cpu,
            outcome.memory,
            outcome.output,
            record - 1,
            build_id,
            position,
        ),
    )


def _build(row: Row) -> StoredBuild:
    return StoredBuild(
        id=row[0],
        app_id=row[1],
        listen_point=row[2],
        cause=Cause(row[3]),
        status=BuildStatus(row[4]),
        total=row[5],
        completed=row[6],
        queued=row[7],
        started=row[8],
        finished=row[9],
        actor=row[10],
        rerun_of=row[11],
        reason=row[12],
        params=json.loads(row[13]),
        branch=row[14],
        commit_id=row[15],
        config_id=row[16],
        delivery_id=row[17],
    )


def _action(row: Row) -> StoredAction:
    status = None if row[3] is None else OutcomeStatus(row[3])
    return StoredAction(row[0], row[1], row[2], status, *row[4:])
