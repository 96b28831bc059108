"""The outbox: what extensions have to send, until it has arrived, and what became of it."""

import sqlite3
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

from sloth_ci.store.reader import Reader
from sloth_ci.store.rows import make_storable
from sloth_ci.store.writer import Writer

#: Entries without further steps that are kept for the log, of each extension.
KEPT = 200
#: Entries of one extension that wait; the oldest of more is given up.
MOST_WAITING = 10_000

_ENTRY = "id, app, extension, kind, body, created, attempts, due, state, answer"


class OutboxState(StrEnum):
    """Where an entry stands."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """One thing that is to be sent, or was; times in seconds since the epoch."""

    id: int
    #: 0 for an extension of the server.
    app_id: int
    #: The extension's name, as the config has it.
    extension: str
    kind: str
    body: str
    created: float
    #: How often it was tried.
    attempts: int
    #: When it is tried next; of one that doesn't wait, when it was tried last.
    due: float
    state: OutboxState
    #: What came of the last try, '' before the first.
    answer: str


class Outbox:
    """The entries of all extensions; every change is safe on the disk on return."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    def add(self, *, app_id: int, extension: str, kind: str, body: str, now: float) -> int | None:
        """Keep something to be sent at once; gives the id of one given up for it, if any."""
        return self._writer.run(
            partial(_add, app_id=app_id, extension=extension, kind=kind, body=body, now=now)
        )

    def heads(self) -> list[OutboxEntry]:
        """The oldest waiting entry of each extension, the first to be tried before the others."""
        return self._entries(
            "id IN (SELECT min(id) FROM outbox WHERE state = 'waiting' GROUP BY app, extension)"
            " ORDER BY due, id"
        )

    def postpone(self, entry_id: int, *, due: float, answer: str) -> None:
        """Note a try in vain; the next one is due then."""
        self._writer.run(
            lambda db: db.execute(
                "UPDATE outbox SET attempts = attempts + 1, due = ?, answer = ?"
                " WHERE id = ? AND state = 'waiting'",
                (due, make_storable(answer), entry_id),
            )
        )

    def settle(self, entry_id: int, *, state: OutboxState, answer: str, now: float) -> None:
        """Note the last try of an entry."""
        self._writer.run(
            partial(_settle, entry_id=entry_id, state=state, answer=answer, now=now, tries=1)
        )

    def give_up(self, *, app_id: int, extension: str, answer: str, now: float) -> int:
        """Give up all that waits for an extension; gives the number."""
        return self._writer.run(
            lambda db: (
                db.execute(
                    "UPDATE outbox SET state = 'given_up', due = ?, answer = ?"
                    " WHERE app = ? AND extension = ? AND state = 'waiting'",
                    (now, make_storable(answer), app_id, extension),
                ).rowcount
            )
        )

    def log(self, *, app_id: int, extension: str, most: int) -> list[OutboxEntry]:
        """The extension's entries, newest first."""
        return self._entries(
            "app = ? AND extension = ? ORDER BY id DESC LIMIT ?", app_id, extension, most
        )

    def _entries(self, where: str, *values: Any) -> list[OutboxEntry]:
        rows = self._reader.rows(f"SELECT {_ENTRY} FROM outbox WHERE {where}", values)  # noqa: S608
        return [_entry(row) for row in rows]


def _entry(row: tuple[Any, ...]) -> OutboxEntry:
    return OutboxEntry(
        id=row[0],
        app_id=row[1],
        extension=row[2],
        kind=row[3],
        body=row[4],
        created=row[5],
        attempts=row[6],
        due=row[7],
        state=OutboxState(row[8]),
        answer=row[9],
    )


def _add(
    db: sqlite3.Connection, *, app_id: int, extension: str, kind: str, body: str, now: float
) -> int | None:
    db.execute(
        "INSERT INTO outbox (app, extension, kind, body, created, attempts, due, state, answer)"
        " VALUES (?, ?, ?, ?, ?, 0, ?, 'waiting', '')",
        (app_id, extension, kind, make_storable(body), now, now),
    )
    surplus = db.execute(
        "SELECT id FROM outbox WHERE app = ? AND extension = ? AND state = 'waiting'"
        " ORDER BY id DESC LIMIT 1 OFFSET ?",
        (app_id, extension, MOST_WAITING),
    ).fetchone()
    if surplus is None:
        return None
    reason = f"more than {MOST_WAITING} newer ones wait"
    _settle(db, entry_id=surplus[0], state=OutboxState.GIVEN_UP, answer=reason, now=now, tries=0)
    return int(surplus[0])


def _settle(
    db: sqlite3.Connection,
    *,
    entry_id: int,
    state: OutboxState,
    answer: str,
    now: float,
    tries: int,
) -> None:
    row = db.execute(
        "UPDATE outbox SET attempts = attempts + ?, due = ?, state = ?, answer = ?"
        " WHERE id = ? AND state = 'waiting' RETURNING app, extension",
        (tries, now, state, make_storable(answer), entry_id),
    ).fetchone()
    if row is None:
        return
    db.execute(
        "DELETE FROM outbox WHERE app = ? AND extension = ? AND state != 'waiting' AND id <= ("
        "SELECT id FROM outbox WHERE app = ? AND extension = ? AND state != 'waiting'"
        " ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (*row, *row, KEPT),
    )
