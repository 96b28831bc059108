"""The queue, which is the table of builds: accept, claim, finish, and what else changes a build."""

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from logging import DEBUG

from sloth_ci.builds import BuildStatus, Result
from sloth_ci.errors import BuildNotFound, QueueFull, Unavailable
from sloth_ci.store.deliveries import DeliveryVerbs, add_delivery, find_repeated
from sloth_ci.store.ends import Clock, add_record, count_waiting, end_build
from sloth_ci.store.rows import Accepted, Cause, Claimed, NewDelivery, make_storable

#: Characters of a branch's and a commit's name that lists have: they hold thousands of builds.
MOST_NAME = 500


@dataclass(frozen=True, slots=True)
class Room:
    """How many builds may wait: of one app, and of all."""

    app: int
    total: int


@dataclass(frozen=True, slots=True)
class _New:
    """What builds that are queued together have in common."""

    app_id: int
    cause: Cause
    total: int
    actor: str
    rerun_of: int | None = None
    config_id: int | None = None


class QueueVerbs(DeliveryVerbs):
    """What the store does with builds that wait or run."""

    _room: Room
    #: Told of each app that has one finished build more.
    _note_growth: Callable[[int], None]

    def accept(
        self,
        *,
        app_id: int,
        listen_point: str,
        cause: Cause,
        params: Sequence[Mapping[str, str]],
        total: int,
        delivery: NewDelivery | None = None,
        actor: str = "",
    ) -> Accepted:
        """Queue a build of `total` actions for each set of params; safe on the disk on return.

        Raises QueueFull, Unavailable or DatabaseUnavailable; then nothing was queued.
        """
        accepted = self._writer.run_first(
            partial(
                _accept,
                new=_New(app_id, cause, total, actor),
                listen_point=listen_point,
                params=params,
                delivery=delivery,
                room=self._room,
                clock=self._writer.moment,
            )
        )
        if delivery and delivery.sent:
            self._keep_sent(app_id, delivery, accepted)
        return accepted

    def claim(self, app_id: int) -> Claimed | None:
        """Take the app's oldest waiting build and mark it running.

        None when none waits, or when the app or the server is paused.
        """
        return self._writer.run_first(partial(_claim, app_id=app_id, clock=self._writer.moment))

    def finish(self, *, app_id: int, build_id: int, result: Result, total: int) -> None:
        """Give a running build its final status, behind all its records."""
        self._writer.run(
            partial(
                _finish,
                app_id=app_id,
                build_id=build_id,
                result=result,
                total=total,
                clock=self._writer.moment,
            )
        )
        self._note_growth(app_id)

    def cancel(self, build_id: int, *, reason: str) -> BuildStatus:
        """Cancel a build that waits; gives the status that the build had until now.

        One that has begun is left as it is: its executor halts it. Raises BuildNotFound.
        """
        return self._writer.run_first(
            partial(_cancel, build_id=build_id, reason=reason, clock=self._writer.moment)
        )

    def rerun(
        self, build_id: int, *, total: int, config_id: int | None = None, actor: str = ""
    ) -> int:
        """Queue a build of `total` actions with the params of another; gives its id.

        It runs with the config of that id, or with the one that its app has then. Raises
        BuildNotFound when the build or the config is forgotten, or what `accept` raises.
        """
        return self._writer.run_first(
            partial(
                _rerun,
                build_id=build_id,
                total=total,
                config_id=config_id,
                actor=actor,
                room=self._room,
                clock=self._writer.moment,
            )
        )

    def requeue(self, *, build_id: int, total: int) -> int:
        """Queue an interrupted build again, however many wait; gives the new build's id."""
        return self._writer.run(
            partial(
                _rerun,
                build_id=build_id,
                total=total,
                config_id=None,
                actor="restart",
                room=None,
                clock=self._writer.moment,
            )
        )

    def recover(self) -> tuple[tuple[int, int], ...]:
        """Mark what ran when the last server went down as interrupted: (build id, app id) pairs."""
        return self._writer.run(partial(_recover, clock=self._writer.moment))

    def waiting_apps(self) -> list[int]:
        """The ids of apps with waiting builds, the longest waiting first."""
        rows = self._reader.rows(
            "SELECT app FROM builds WHERE status = 'queued' GROUP BY app ORDER BY min(id)"
        )
        return [app_id for (app_id,) in rows]


def _accept(
    db: sqlite3.Connection,
    *,
    new: _New,
    listen_point: str,
    params: Sequence[Mapping[str, str]],
    delivery: NewDelivery | None,
    room: Room,
    clock: Clock,
) -> Accepted:
    """Queue one build for each set of params, all or none, and note the delivery they came by."""
    now = clock()
    row = None
    if delivery is not None:
        earlier = find_repeated(db, new.app_id, delivery, now)
        if earlier is not None:
            return earlier
        row = add_delivery(db, new.app_id, delivery, now)
    _check_queue(db, new.app_id, listen_point, len(params), room)
    builds = tuple(_queue(db, new, one_build, row, now) for one_build in params)
    count_waiting(db, new.app_id, len(builds))
    return Accepted(builds, delivery.reason if delivery else "", delivery=row)


def _claim(db: sqlite3.Connection, *, app_id: int, clock: Clock) -> Claimed | None:
    now = clock()
    row = db.execute(
        "SELECT builds.id, params, cause, total, configs.id, configs.hash"
        " FROM builds JOIN apps ON apps.id = builds.app"
        " LEFT JOIN configs ON configs.id = coalesce(builds.config, config_id)"
        " WHERE builds.app = ? AND status = 'queued' AND apps.paused IS NULL"
        " AND (SELECT paused FROM server) IS NULL"
        " ORDER BY builds.id LIMIT 1",
        (app_id,),
    ).fetchone()
    if row is None:
        return None
    db.execute(
        "UPDATE builds SET status = 'running', started = max(?, queued), config = ?,"
        " first_record = (SELECT coalesce(max(id), 0) + 1 FROM records) WHERE id = ?",
        (now, row[4], row[0]),
    )
    count_waiting(db, app_id, -1)
    return Claimed(row[0], json.loads(row[1]), Cause(row[2]), row[3], row[4], row[5] or "")


def _finish(
    db: sqlite3.Connection, *, app_id: int, build_id: int, result: Result, total: int, clock: Clock
) -> None:
    now = clock()
    end_build(db, app_id, build_id, result, total, now)


def _cancel(db: sqlite3.Connection, *, build_id: int, reason: str, clock: Clock) -> BuildStatus:
    row = db.execute("SELECT app, status, total FROM builds WHERE id = ?", (build_id,)).fetchone()
    if row is None:
        raise BuildNotFound(id=build_id)
    app_id, was, total = row[0], BuildStatus(row[1]), row[2]
    if was is not BuildStatus.QUEUED:
        return was
    now = clock()
    end_build(db, app_id, build_id, Result(BuildStatus.CANCELLED, 0, reason), total, now)
    count_waiting(db, app_id, -1)
    return was


def _recover(db: sqlite3.Connection, *, clock: Clock) -> tuple[tuple[int, int], ...]:
    now = clock()
    running = db.execute(
        "SELECT id, app, completed, total FROM builds WHERE status = 'running' ORDER BY id"
    ).fetchall()
    for build_id, app_id, completed, total in running:
        end_build(db, app_id, build_id, Result(BuildStatus.INTERRUPTED, completed), total, now)
    return tuple((build_id, app_id) for build_id, app_id, _completed, _total in running)


def _rerun(
    db: sqlite3.Connection,
    *,
    build_id: int,
    total: int,
    config_id: int | None,
    actor: str,
    room: Room | None,
    clock: Clock,
) -> int:
    """Queue a build again with the params it had."""
    now = clock()
    row = db.execute(
        "SELECT app, params, listen_point FROM builds JOIN apps ON apps.id = app"
        " WHERE builds.id = ?",
        (build_id,),
    ).fetchone()
    if row is None or not _is_kept(db, config_id):
        raise BuildNotFound(id=build_id)
    app_id, params, listen_point = row
    if room is not None:
        _check_queue(db, app_id, listen_point, 1, room)
    new = _New(app_id, Cause.RERUN, total, actor, rerun_of=build_id, config_id=config_id)
    again = _queue(db, new, json.loads(params), None, now)
    count_waiting(db, app_id, 1)
    return again


def _is_kept(db: sqlite3.Connection, config_id: int | None) -> bool:
    if config_id is None:
        return True
    return bool(db.execute("SELECT 1 FROM configs WHERE id = ?", (config_id,)).fetchone())


def _queue(
    db: sqlite3.Connection, new: _New, params: Mapping[str, str], delivery: int | None, now: float
) -> int:
    cursor = db.execute(
        "INSERT INTO builds (app, delivery, cause, status, params, total, queued,"
        " config, actor, rerun_of, branch, commit_id)"
        " VALUES (?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            new.app_id,
            delivery,
            new.cause,
            json.dumps(dict(params)),
            new.total,
            now,
            new.config_id,
            make_storable(new.actor),
            new.rerun_of,
            make_storable(params.get("branch", ""))[:MOST_NAME],
            make_storable(params.get("commit", ""))[:MOST_NAME],
        ),
    )
    build_id = cursor.lastrowid
    assert build_id is not None
    sentence = BuildStatus.QUEUED.describe(completed=0, total=new.total)
    record = add_record(db, new.app_id, build_id, DEBUG, sentence, now)
    db.execute("UPDATE builds SET queued_record = ? WHERE id = ?", (record, build_id))
    return build_id


def _check_queue(
    db: sqlite3.Connection, app_id: int, listen_point: str, more: int, room: Room
) -> None:
    if not more:
        return
    waiting = db.execute("SELECT waiting FROM apps WHERE id = ?", (app_id,)).fetchone()[0]
    if waiting + more > room.app:
        raise QueueFull(listen_point=listen_point, limit=room.app)
    waiting = db.execute("SELECT waiting FROM queue").fetchone()[0]
    if waiting + more > room.total:
        raise Unavailable(reason=f"{waiting} builds wait over all apps")
