"""What comes at the same time is accepted together: a few statements, however many they are."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from logging import DEBUG

from sloth_ci.builds import BuildStatus
from sloth_ci.errors import QueueFull, SlothError, Unavailable
from sloth_ci.records import Logger
from sloth_ci.store.backlog import RECORD
from sloth_ci.store.deliveries import find_repeated
from sloth_ci.store.ends import count_waiting
from sloth_ci.store.inserting import insert_rows
from sloth_ci.store.rows import Accepted, Cause, Claimed, NewDelivery, make_storable

#: Characters of a branch's and a commit's name that lists have: they hold thousands of builds.
MOST_NAME = 500

_DELIVERY = (
    "deliveries (id, app, received, method, replay_of, status, delivery_id, event, address, reason)"
)
_BUILD = (
    "builds (id, app, delivery, cause, status, params, total, queued, started, config, actor,"
    " rerun_of, branch, commit_id, queued_record, first_record)"
)
#: What is known of apps, and, the same in each row, of all of them.
_STATE = (
    "SELECT apps.id, apps.waiting, apps.paused IS NOT NULL, config_id, coalesce(hash, ''),"
    " (SELECT coalesce(max(id), 0) FROM deliveries),"
    " coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'builds'), 0),"
    " coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'records'), 0),"
    " (SELECT waiting FROM queue), (SELECT paused FROM server) IS NOT NULL"
    " FROM apps LEFT JOIN configs ON configs.id = config_id"
    " WHERE apps.id IN (SELECT value FROM json_each(?))"
)


@dataclass(frozen=True, slots=True)
class Room:
    """How many builds may wait: of one app, and of all."""

    app: int
    total: int


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What is to be accepted: one build for each set of params, all or none."""

    app_id: int
    listen_point: str
    cause: Cause
    params: Sequence[Mapping[str, str]]
    #: Actions of each.
    total: int
    actor: str = ""
    delivery: NewDelivery | None = None
    #: Begin the first build with it, if nothing stands before it.
    begin: bool = False
    rerun_of: int | None = None
    config_id: int | None = None


def accept_all(
    db: sqlite3.Connection, wanted: Sequence[Acceptance], *, room: Room | None, now: float
) -> list[Accepted | SlothError]:
    """Accept these in order, each with what it leads to; an error where nothing was queued."""
    batch = _Batch(db, wanted, room, now)
    outcomes = [batch.accept(one) for one in wanted]
    batch.write(db)
    return outcomes


@dataclass(slots=True)
class _Queue:
    """What an app's builds meet."""

    waiting: int
    is_paused: bool
    config_id: int | None
    config_hash: str
    #: Builds that wait since the batch began.
    more: int = 0


class _Batch:
    """Gives ids to what is new and holds it until it is written."""

    def __init__(
        self,
        db: sqlite3.Connection,
        wanted: Sequence[Acceptance],
        room: Room | None,
        now: float,
    ) -> None:
        self._room, self._now = room, now
        delivered = [(one.app_id, one.delivery) for one in wanted if one.delivery]
        self._repeated = find_repeated(db, delivered, now) if delivered else {}
        app_ids = json.dumps(list({one.app_id for one in wanted}))
        rows = db.execute(_STATE, (app_ids,)).fetchall()
        self._queues = {app_id: _Queue(*found[:4]) for app_id, *found in rows}
        # The writer is the only one that gives ids.
        self._delivery: int
        self._build: int
        self._record: int
        self._delivery, self._build, self._record, self._waiting, self._is_paused = rows[0][5:]
        self._deliveries: list[tuple[object, ...]] = []
        self._builds: list[tuple[object, ...]] = []
        self._records: list[tuple[object, ...]] = []

    def accept(self, one: Acceptance) -> Accepted | SlothError:
        """Take one in; nothing of it where it is refused, or came before."""
        queue, delivery = self._queues[one.app_id], one.delivery
        key = delivery and delivery.key(one.app_id)
        if key and (earlier := self._repeated.get(key)):
            return earlier
        if one.params and (refusal := self._refuse(one, queue)):
            return refusal
        row = None if delivery is None else self._deliver(one.app_id, delivery)
        claimed = self._claim(one, queue)
        first = self._build + 1
        for params in one.params:
            self._add(one, params, row, queue, claimed if self._build < first else None)
        builds = tuple(range(first, self._build + 1))
        reason = delivery.reason if delivery else ""
        if key:
            self._repeated[key] = Accepted(builds, reason, repeated=True, delivery=row)
        return Accepted(builds, reason, delivery=row, claimed=claimed)

    def write(self, db: sqlite3.Connection) -> None:
        """Write all that was taken in."""
        insert_rows(db, _DELIVERY, self._deliveries)
        insert_rows(db, _BUILD, self._builds)
        insert_rows(db, RECORD, self._records)
        for app_id, queue in self._queues.items():
            count_waiting(db, app_id, queue.more)

    def _refuse(self, one: Acceptance, queue: _Queue) -> SlothError | None:
        if self._room is None:
            return None
        if queue.waiting + queue.more + len(one.params) > self._room.app:
            return QueueFull(listen_point=one.listen_point, limit=self._room.app)
        if self._waiting + len(one.params) > self._room.total:
            return Unavailable(reason=f"{self._waiting} builds wait over all apps")
        return None

    def _deliver(self, app_id: int, delivery: NewDelivery) -> int:
        self._delivery += 1
        texts = (delivery.delivery_id, delivery.event, delivery.address, delivery.reason)
        self._deliveries.append(
            (
                self._delivery,
                app_id,
                self._now,
                delivery.method,
                delivery.replay_of,
                200 if delivery.reason else 202,
                *(None if text is None else make_storable(text) for text in texts),
            )
        )
        return self._delivery

    def _claim(self, one: Acceptance, queue: _Queue) -> Claimed | None:
        """The first build of these, which comes next, if it begins at once."""
        is_held = queue.is_paused or self._is_paused
        if not (one.begin and one.params) or queue.waiting + queue.more or is_held:
            return None
        return Claimed(
            self._build + 1,
            dict(one.params[0]),
            one.cause,
            one.total,
            queue.config_id,
            queue.config_hash,
        )

    def _add(
        self,
        one: Acceptance,
        params: Mapping[str, str],
        delivery: int | None,
        queue: _Queue,
        claimed: Claimed | None,
    ) -> None:
        """Add a build that waits, or the one that is claimed."""
        self._build += 1
        self._record += 1
        if claimed is None:
            queue.more += 1
            self._waiting += 1
        self._builds.append(
            (
                self._build,
                one.app_id,
                delivery,
                one.cause,
                BuildStatus.RUNNING if claimed else BuildStatus.QUEUED,
                json.dumps(dict(params)),
                one.total,
                self._now,
                self._now if claimed else None,
                claimed.config_id if claimed else one.config_id,
                make_storable(one.actor),
                one.rerun_of,
                make_storable(params.get("branch", ""))[:MOST_NAME],
                make_storable(params.get("commit", ""))[:MOST_NAME],
                self._record,
                self._record + 1 if claimed else None,
            )
        )
        sentence = BuildStatus.QUEUED.describe(completed=0, total=one.total)
        self._records.append(
            (one.app_id, self._build, Logger.BUILD, DEBUG, None, self._now, sentence)
        )
