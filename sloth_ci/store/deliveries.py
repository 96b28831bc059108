"""Deliveries: what providers sent, what it was held against, and what came of it."""

import json
import sqlite3
from collections.abc import Iterable
from itertools import chain

from sloth_ci.request import Rule
from sloth_ci.store.inserting import marks
from sloth_ci.store.ledger import Kept, Ledger
from sloth_ci.store.packing import unpack
from sloth_ci.store.reader import Row
from sloth_ci.store.rows import Accepted, NewDelivery, StoredDelivery
from sloth_ci.store.verbs import Verbs

#: How long the same delivery id means the same delivery, in seconds.
SAME_DELIVERY = 7 * 24 * 3600

_DELIVERIES = (
    "SELECT deliveries.id, app, listen_point, received, method, address, event, delivery_id,"
    " status, code, reason, replay_of, rules, headers, body_size"
    " FROM deliveries JOIN apps ON apps.id = app"
)


class DeliveryVerbs(Verbs):
    """What the store does about deliveries."""

    _ledger: Ledger

    def deliveries(
        self, *, app_id: int | None = None, before: int | None = None, most: int
    ) -> list[StoredDelivery]:
        """Deliveries, refused ones too, the newest first, without headers and bodies."""
        terms = {"app = ?": app_id, "deliveries.id < ?": before}
        given = {term: value for term, value in terms.items() if value is not None}
        where = f" WHERE {' AND '.join(given)}" if given else ""
        rows = self._reader.rows(
            f"{_DELIVERIES}{where} ORDER BY deliveries.id DESC LIMIT ?", (*given.values(), most)
        )
        builds = self._builds_of([row[0] for row in rows])
        return [_delivery((*row[:13], None, row[14]), builds.get(row[0], ()), None) for row in rows]

    def delivery(self, delivery_id: int) -> StoredDelivery | None:
        """The delivery of that number here, with its headers and body."""
        rows = self._reader.rows(f"{_DELIVERIES} WHERE deliveries.id = ?", (delivery_id,))
        if not rows:
            return None
        packed = self._reader.rows("SELECT body FROM deliveries WHERE id = ?", (delivery_id,))
        body = packed[0][0] if packed else None
        builds = self._builds_of([delivery_id]).get(delivery_id, ())
        return _delivery(rows[0], builds, None if body is None else unpack(body))

    def note_delivery(self, app_id: int, delivery: NewDelivery, *, status: int, code: str) -> None:
        """Keep soon that a delivery made nothing: it was refused, or came again.

        Never holds anybody up; under pressure it is dropped.
        """
        self._ledger.keep(Kept(app_id, delivery, status, code))

    def _keep_sent(self, app_id: int, delivery: NewDelivery | None, accepted: Accepted) -> Accepted:
        if delivery is None or delivery.sent is None:
            return accepted
        if accepted.repeated:
            self.note_delivery(app_id, delivery, status=200, code="")
        else:
            self._ledger.keep(Kept(app_id, delivery, 202, "", row=accepted.delivery))
        return accepted

    def _builds_of(self, ids: list[int]) -> dict[int, tuple[int, ...]]:
        if not ids:
            return {}
        rows = self._reader.rows(
            f"SELECT delivery, id FROM builds WHERE delivery IN {marks(len(ids), 1)} ORDER BY id",  # noqa: S608
            ids,
        )
        found: dict[int, tuple[int, ...]] = {}
        for delivery, build in rows:
            found[delivery] = (*found.get(delivery, ()), build)
        return found


def find_repeated(
    db: sqlite3.Connection, deliveries: Iterable[tuple[int, NewDelivery]], now: float
) -> dict[tuple[int, str], Accepted]:
    """What deliveries to apps (by id) led to when they came before; nothing of new ones."""
    keys = {key for app_id, delivery in deliveries if (key := delivery.key(app_id))}
    if not keys:
        return {}
    rows = db.execute(
        f"WITH wanted (app, delivery) AS (VALUES {marks(2, len(keys))})"  # noqa: S608
        " SELECT wanted.app, wanted.delivery, min(deliveries.id), reason"
        " FROM wanted CROSS JOIN deliveries"
        " ON deliveries.app = wanted.app AND delivery_id = wanted.delivery"
        " WHERE received > ? AND spare = 0 GROUP BY wanted.app, wanted.delivery",
        (*chain.from_iterable(keys), now - SAME_DELIVERY),
    ).fetchall()
    return {(app_id, key): _recall(db, row, reason) for app_id, key, row, reason in rows}


def _recall(db: sqlite3.Connection, delivery: int, reason: str) -> Accepted:
    builds = db.execute("SELECT id FROM builds WHERE delivery = ? ORDER BY id", (delivery,))
    ids = tuple(build_id for (build_id,) in builds)
    return Accepted(ids, reason, repeated=True, delivery=delivery)


def _delivery(row: Row, builds: tuple[int, ...], body: bytes | None) -> StoredDelivery:
    rules, headers, size = row[12:]
    return StoredDelivery(
        id=row[0],
        app_id=row[1],
        listen_point=row[2],
        received=row[3],
        method=row[4],
        address=row[5],
        event=row[6],
        delivery_id=row[7],
        status=row[8],
        code=row[9],
        reason=row[10],
        replay_of=row[11],
        builds=builds,
        rules=tuple(Rule(**rule) for rule in json.loads(rules or "[]")),
        headers=json.loads(headers or "{}"),
        body=body,
        body_size=size,
    )
