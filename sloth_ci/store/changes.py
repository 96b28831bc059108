"""The transactions: each function is one change, made as a whole or not at all."""

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from logging import DEBUG
from typing import Any

from sloth_ci.builds import BuildStatus, Result
from sloth_ci.errors import ListenPointTaken, QueueFull, Unavailable
from sloth_ci.records import Logger
from sloth_ci.store.rows import Accepted, Cause, Claimed, NewDelivery, Origin, make_storable
from sloth_ci.store.writer import INSERT_RECORD

#: Tells the time of the change, when it is made.
Clock = Callable[[], float]

#: How long the same delivery id means the same delivery, in seconds.
SAME_DELIVERY = 7 * 24 * 3600


def add_app(
    db: sqlite3.Connection, *, listen_point: str, origin: Origin, config: str, file: str | None
) -> int:
    """Keep a new app; its id is that of the listen point's history, if there is one."""
    row = db.execute(
        "SELECT id, origin FROM apps WHERE listen_point = ?", (listen_point,)
    ).fetchone()
    if row is None:
        cursor = db.execute(
            "INSERT INTO apps (listen_point, origin, config, config_file) VALUES (?, ?, ?, ?)",
            (listen_point, origin, config, file),
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid
    if row[1] is not None:
        raise ListenPointTaken(listen_point=listen_point)
    set_app(db, app_id=row[0], origin=origin, config=config, file=file)
    return int(row[0])


def set_app(
    db: sqlite3.Connection, *, app_id: int, origin: Origin, config: str, file: str | None
) -> None:
    """Keep an app's new config."""
    db.execute(
        "UPDATE apps SET origin = ?, config = ?, config_file = ? WHERE id = ?",
        (origin, config, file, app_id),
    )


def remove_app(db: sqlite3.Connection, *, app_id: int, clock: Clock) -> None:
    """Forget an app, all but its history; what still waits is cancelled."""
    now = clock()
    waiting = db.execute(
        "SELECT id, total FROM builds WHERE app = ? AND status = 'queued' ORDER BY id", (app_id,)
    ).fetchall()
    for build_id, total in waiting:
        _end(db, app_id, build_id, Result(BuildStatus.CANCELLED, 0), total, now)
    _count(db, app_id, -len(waiting))
    db.execute(
        "UPDATE apps SET origin = NULL, config = NULL, config_file = NULL WHERE id = ?", (app_id,)
    )


def accept(
    db: sqlite3.Connection,
    *,
    app_id: int,
    listen_point: str,
    cause: Cause,
    params: Sequence[Mapping[str, str]],
    total: int,
    delivery: NewDelivery | None,
    max_queue: int,
    max_queue_total: int,
    clock: Clock,
) -> Accepted:
    """Queue one build for each set of params, all or none, and note the delivery they came by."""
    now = clock()
    delivery_row = None
    if delivery is not None:
        earlier = _find_delivery(db, app_id, delivery, now)
        if earlier is not None:
            return earlier
        delivery_row = _add_delivery(db, app_id, delivery, now)
    _check_queue(db, app_id, listen_point, len(params), max_queue, max_queue_total)
    builds = tuple(
        _queue(db, app_id, delivery_row, cause, one_build, total, now) for one_build in params
    )
    _count(db, app_id, len(builds))
    return Accepted(builds, delivery.reason if delivery else "")


def claim(db: sqlite3.Connection, *, app_id: int, clock: Clock) -> Claimed | None:
    """Take the app's oldest waiting build; None when there is none."""
    now = clock()
    row = db.execute(
        "SELECT id, params, cause, total FROM builds WHERE app = ? AND status = 'queued'"
        " ORDER BY id LIMIT 1",
        (app_id,),
    ).fetchone()
    if row is None:
        return None
    db.execute(
        "UPDATE builds SET status = 'running', started = max(?, queued),"
        " first_record = (SELECT coalesce(max(id), 0) + 1 FROM records) WHERE id = ?",
        (now, row[0]),
    )
    _count(db, app_id, -1)
    return Claimed(id=row[0], params=json.loads(row[1]), cause=Cause(row[2]), total=row[3])


def finish(
    db: sqlite3.Connection, *, app_id: int, build_id: int, result: Result, total: int, clock: Clock
) -> None:
    """Give a running build its final status."""
    now = clock()
    _end(db, app_id, build_id, result, total, now)


def recover(db: sqlite3.Connection, *, clock: Clock) -> tuple[tuple[int, int], ...]:
    """End what ran when the last server went down; gives pairs of build id and app id."""
    now = clock()
    running = db.execute(
        "SELECT id, app, completed, total FROM builds WHERE status = 'running' ORDER BY id"
    ).fetchall()
    for build_id, app_id, completed, total in running:
        result = Result(BuildStatus.INTERRUPTED, completed)
        _end(db, app_id, build_id, result, total, now)
    return tuple((build_id, app_id) for build_id, app_id, _completed, _total in running)


def requeue(db: sqlite3.Connection, *, build_id: int, total: int, clock: Clock) -> int:
    """Queue a build again with the params it had."""
    now = clock()
    app_id, params = db.execute(
        "SELECT app, params FROM builds WHERE id = ?", (build_id,)
    ).fetchone()
    again = _queue(db, app_id, None, Cause.RERUN, json.loads(params), total, now)
    _count(db, app_id, 1)
    return again


def _find_delivery(
    db: sqlite3.Connection, app_id: int, delivery: NewDelivery, now: float
) -> Accepted | None:
    if delivery.delivery_id is None:
        return None
    row = db.execute(
        "SELECT id, reason FROM deliveries WHERE app = ? AND delivery_id = ? AND received > ?"
        " ORDER BY id LIMIT 1",
        (app_id, make_storable(delivery.delivery_id), now - SAME_DELIVERY),
    ).fetchone()
    if row is None:
        return None
    builds = db.execute("SELECT id FROM builds WHERE delivery = ? ORDER BY id", (row[0],))
    return Accepted(tuple(build_id for (build_id,) in builds), row[1], repeated=True)


def _add_delivery(
    db: sqlite3.Connection, app_id: int, delivery: NewDelivery, now: float
) -> int | None:
    texts = (delivery.delivery_id, delivery.event, delivery.address, delivery.reason)
    cursor = db.execute(
        "INSERT INTO deliveries (app, received, delivery_id, event, address, reason)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (app_id, now, *(None if text is None else make_storable(text) for text in texts)),
    )
    return cursor.lastrowid


def _queue(
    db: sqlite3.Connection,
    app_id: int,
    delivery_row: int | None,
    cause: Cause,
    params: Mapping[str, str],
    total: int,
    now: float,
) -> int:
    cursor = db.execute(
        "INSERT INTO builds (app, delivery, cause, status, params, total, queued)"
        " VALUES (?, ?, ?, 'queued', ?, ?, ?)",
        (app_id, delivery_row, cause, json.dumps(dict(params)), total, now),
    )
    build_id = cursor.lastrowid
    assert build_id is not None
    sentence = BuildStatus.QUEUED.describe(completed=0, total=total)
    record = _record(db, app_id, build_id, DEBUG, sentence, now)
    db.execute("UPDATE builds SET queued_record = ? WHERE id = ?", (record, build_id))
    return build_id


def _end(
    db: sqlite3.Connection, app_id: int, build_id: int, result: Result, total: int, now: float
) -> None:
    sentence = result.status.describe(completed=result.completed, total=total)
    record = _record(db, app_id, build_id, result.status.level, sentence, now)
    db.execute(
        "UPDATE builds SET status = ?, completed = ?, finished = max(?, coalesce(started, queued)),"
        " last_record = ?, first_record = coalesce(first_record, ?) WHERE id = ?",
        (result.status, result.completed, now, record, record, build_id),
    )


def _record(
    db: sqlite3.Connection, app_id: int, build_id: int, level: int, message: str, now: float
) -> int | None:
    row: tuple[Any, ...] = (app_id, build_id, Logger.BUILD, level, None, now, message)
    return db.execute(INSERT_RECORD, row).lastrowid


def _count(db: sqlite3.Connection, app_id: int, more: int) -> None:
    if more:
        db.execute("UPDATE apps SET waiting = waiting + ? WHERE id = ?", (more, app_id))
        db.execute("UPDATE queue SET waiting = waiting + ?", (more,))


def _check_queue(
    db: sqlite3.Connection,
    app_id: int,
    listen_point: str,
    more: int,
    max_queue: int,
    max_queue_total: int,
) -> None:
    if not more:
        return
    waiting = db.execute("SELECT waiting FROM apps WHERE id = ?", (app_id,)).fetchone()[0]
    if waiting + more > max_queue:
        raise QueueFull(listen_point=listen_point, limit=max_queue)
    waiting = db.execute("SELECT waiting FROM queue").fetchone()[0]
    if waiting + more > max_queue_total:
        raise Unavailable(reason=f"{waiting} builds wait over all apps")
