"""The queue, which is the table of builds: accept, claim, finish, and what else changes a build."""

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from sloth_ci.builds import BuildStatus, Result
from sloth_ci.errors import BuildNotFound, SlothError
from sloth_ci.store.acceptance import Acceptance, Room, accept_all
from sloth_ci.store.backlog import Joint
from sloth_ci.store.deliveries import DeliveryVerbs
from sloth_ci.store.ends import Clock, count_waiting, end_build
from sloth_ci.store.pending import Pending
from sloth_ci.store.rows import Accepted, Cause, Claimed, NewDelivery


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
        begin: bool = False,
    ) -> Accepted:
        """Queue a build of `total` actions for each set of params; safe on the disk on return.

        With `begin`, when no build of the app runs, the first one is claimed at once, unless one
        waits or there is a pause.
        Raises QueueFull, Unavailable or DatabaseUnavailable; then nothing was queued.
        """
        wanted = Acceptance(
            app_id, listen_point, cause, params, total, actor, delivery, begin=begin
        )
        return self.accepting(wanted).result()

    def accepting(self, wanted: Acceptance) -> Pending[Accepted]:
        """Do what `accept` does, and don't wait for it.

        Raises DatabaseUnavailable; whoever asks for the result hears of the rest.
        """
        pending = self._writer.start(Joint(self._accept_all, wanted))
        return pending.then(partial(self._keep_sent, wanted.app_id, wanted.delivery))

    def claim(self, app_id: int) -> Claimed | None:
        """Take the app's oldest waiting build and mark it running.

        None when none waits, or when the app or the server is paused.
        """
        return self._writer.run_first(partial(_claim, app_id=app_id, clock=self._writer.moment))

    def finish(
        self,
        *,
        app_id: int,
        build_id: int,
        result: Result,
        total: int,
        then_claim: int | None = None,
    ) -> Claimed | None:
        """Give a running build its final status, behind all its records.

        Then, in the same commit, take the oldest waiting build of that app, as `claim` does.
        """
        claimed = self._writer.run(
            partial(
                _finish,
                app_id=app_id,
                build_id=build_id,
                result=result,
                total=total,
                then_claim=then_claim,
                clock=self._writer.moment,
            )
        )
        self._note_growth(app_id)
        return claimed

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

    def _accept_all(
        self, db: sqlite3.Connection, wanted: Sequence[Acceptance]
    ) -> list[Accepted | SlothError]:
        return accept_all(db, wanted, room=self._room, now=self._writer.moment())


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
    db: sqlite3.Connection,
    *,
    app_id: int,
    build_id: int,
    result: Result,
    total: int,
    then_claim: int | None,
    clock: Clock,
) -> Claimed | None:
    now = clock()
    end_build(db, app_id, build_id, result, total, now)
    return None if then_claim is None else _claim(db, app_id=then_claim, clock=clock)


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
    again = Acceptance(
        app_id,
        listen_point,
        Cause.RERUN,
        (json.loads(params),),
        total,
        actor,
        rerun_of=build_id,
        config_id=config_id,
    )
    (accepted,) = accept_all(db, (again,), room=room, now=now)
    if isinstance(accepted, SlothError):
        raise accepted
    return accepted.builds[0]


def _is_kept(db: sqlite3.Connection, config_id: int | None) -> bool:
    if config_id is None:
        return True
    return bool(db.execute("SELECT 1 FROM configs WHERE id = ?", (config_id,)).fetchone())
