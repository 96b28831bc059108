"""The ledger: what was sent with deliveries, written down behind their answers.

Accepted deliveries are in the database before they are answered; their headers, body and rules
follow. Refused ones stand here alone. A thread packs and writes them, for a twentieth of its time
at most, and only so much waits: who sends too much is dropped, and holds nobody up.
"""

import logging
import sqlite3
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from threading import Condition, RLock, Thread
from time import monotonic

from sloth_ci.errors import DatabaseUnavailable
from sloth_ci.store.ends import Clock
from sloth_ci.store.packing import Packed, pack
from sloth_ci.store.rows import NewDelivery, make_storable
from sloth_ci.store.writer import Writer

LOG = logging.getLogger("sloth_ci.store")

#: Deliveries that made nothing, which are kept: of one app, and of all.
SPARE_OF_APP = 200
SPARE = 2_000
#: Authentic deliveries without builds whose headers and bodies are kept, of one app.
IGNORED_OF_APP = 200
#: Bytes of a body that are kept: of one that was accepted, and of one that made nothing.
MAX_BODY = 1_000_000
MAX_SPARE_BODY = 64_000

#: What may wait: accepted ones, in bytes; others, in number of one app and of all.
_WAITING_BYTES = 16_000_000
_WAITING_OF_APP = 20
_WAITING = 200
#: How long an entry waits for company, in seconds, and how much is written at once.
_DELAY = 0.1
_BATCH = 50
_BATCH_BYTES = 1_000_000
#: Seconds to rest for each second of work, and at most.
_REST = 19
_LONGEST_REST = 5.0
_PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Kept:
    """One delivery to be kept: a new row, or what was sent with that of an accepted one."""

    app_id: int
    delivery: NewDelivery
    status: int
    code: str
    row: int | None = None

    @property
    def weight(self) -> int:
        """Bytes it takes while it waits, about."""
        return 1_000 + (len(self.delivery.sent.body) if self.delivery.sent else 0)


class Ledger:
    """Takes entries from many threads; one of its own, started with the first, writes them."""

    def __init__(self, writer: Writer, *, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock
        lock = RLock()
        self._changed = Condition(lock)
        #: Apart, so that what comes does not wake a thread that rests.
        self._roused = Condition(lock)
        self._accepted: deque[Kept] = deque()
        self._accepted_bytes = 0
        self._spare: deque[Kept] = deque()
        self._spare_of: Counter[int] = Counter()
        self._dropped = 0
        self._is_busy = False
        #: How many wait for it to be done.
        self._hurried = 0
        self._ending = False
        self._thread: Thread | None = None

    def keep(self, entry: Kept) -> None:
        """Write it soon, or drop it where too much waits; returns at once."""
        with self._changed:
            if self._ending or not self._begin() or not self._take_in(entry):
                self._dropped += 1
                return
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait until what came so far is written or dropped."""
        with self._changed:
            self._hurried += 1
            self._roused.notify_all()
            self._changed.wait_for(lambda: not self._waits() and not self._is_busy, _PATIENCE)
            self._hurried -= 1

    def close(self) -> None:
        """Write what waits and end the thread."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()
            self._roused.notify_all()
        if self._thread is not None:
            self._thread.join()
        if self._dropped:
            LOG.warning("%s deliveries came too fast to be kept for display", self._dropped)

    def _waits(self) -> bool:
        return bool(self._accepted or self._spare)

    def _begin(self) -> bool:
        """Whether there is a thread; what was accepted must not fail for want of one."""
        if self._thread is None:
            thread = Thread(target=self._work, name="store-ledger", daemon=True)
            try:
                thread.start()
            except (RuntimeError, MemoryError) as error:
                LOG.error("No thread to keep deliveries for display: %s", error)
                return False
            self._thread = thread
        return True

    def _take_in(self, entry: Kept) -> bool:
        if entry.row is not None:
            if self._accepted_bytes + entry.weight > _WAITING_BYTES:
                return False
            self._accepted.append(entry)
            self._accepted_bytes += entry.weight
            return True
        if self._spare_of[entry.app_id] >= _WAITING_OF_APP or len(self._spare) >= _WAITING:
            return False
        self._spare.append(entry)
        self._spare_of[entry.app_id] += 1
        return True

    def _work(self) -> None:
        while batch := self._next_batch():
            began = monotonic()
            self._write(batch)
            with self._changed:
                self._is_busy = False
                self._changed.notify_all()
                self._rest(min((monotonic() - began) * _REST, _LONGEST_REST))

    def _next_batch(self) -> list[Kept]:
        """What is to be written now; nothing when it is time to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waits() or self._ending)
            self._rest(_DELAY)
            batch: list[Kept] = []
            room = _BATCH_BYTES
            while self._waits() and len(batch) < _BATCH and room > 0:
                batch.append(self._pop())
                room -= batch[-1].weight
            self._is_busy = bool(batch)
            return batch

    def _pop(self) -> Kept:
        if self._accepted:
            entry = self._accepted.popleft()
            self._accepted_bytes -= entry.weight
            return entry
        entry = self._spare.popleft()
        self._spare_of[entry.app_id] -= 1
        if not self._spare_of[entry.app_id]:
            del self._spare_of[entry.app_id]
        return entry

    def _rest(self, seconds: float) -> None:
        until = monotonic() + seconds
        while not (self._ending or self._hurried) and (left := until - monotonic()) > 0:
            self._roused.wait(left)

    def _write(self, batch: list[Kept]) -> None:
        try:
            packed = [(entry, _pack(entry)) for entry in batch]
            self._writer.run(lambda db: _write(db, packed, self._clock()))
        except DatabaseUnavailable:
            # Accepted ones are safe without this; it is for display, and not worth the memory.
            self._dropped += len(batch)
        except Exception:
            # A validator from elsewhere may have noted anything; the thread is there for all.
            LOG.exception("%s deliveries can't be kept for display", len(batch))


def _pack(entry: Kept) -> Packed | None:
    sent = entry.delivery.sent
    if sent is None:
        return None
    return pack(sent, most=MAX_BODY if entry.row is not None else MAX_SPARE_BODY)


def _write(
    db: sqlite3.Connection, packed: Iterable[tuple[Kept, Packed | None]], now: float
) -> None:
    spare_of, ignoring = set(), set()
    for entry, sent in packed:
        if entry.row is None:
            _add_spare(db, entry, sent, now)
            spare_of.add(entry.app_id)
        elif sent is not None:
            _complete(db, entry.row, sent)
            if entry.delivery.reason:
                ignoring.add(entry.app_id)
    for app_id in spare_of:
        _forget_spare(db, "app = ? AND spare = 1", (app_id,), SPARE_OF_APP)
    if spare_of:
        _forget_spare(db, "spare = 1", (), SPARE)
    for app_id in ignoring:
        _forget_sent(db, app_id)


def _add_spare(db: sqlite3.Connection, entry: Kept, sent: Packed | None, now: float) -> None:
    delivery = entry.delivery
    db.execute(
        "INSERT INTO deliveries (app, received, method, replay_of, status, code, spare,"
        " delivery_id, event, address, reason, rules, headers, body_size, body)"
        " VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            entry.app_id,
            now,
            make_storable(delivery.method),
            delivery.replay_of,
            entry.status,
            entry.code,
            None if delivery.delivery_id is None else make_storable(delivery.delivery_id),
            make_storable(delivery.event),
            delivery.address,
            make_storable(delivery.reason),
            *((sent.rules, sent.headers, sent.body_size, sent.body) if sent else (None,) * 4),
        ),
    )


def _complete(db: sqlite3.Connection, row: int, sent: Packed) -> None:
    db.execute(
        "UPDATE deliveries SET rules = ?, headers = ?, body_size = ?, body = ? WHERE id = ?",
        (sent.rules, sent.headers, sent.body_size, sent.body, row),
    )


def _forget_spare(
    db: sqlite3.Connection, which: str, values: tuple[object, ...], most: int
) -> None:
    """Forget the oldest of those, so that no more than `most` are left."""
    db.execute(
        f"DELETE FROM deliveries WHERE {which} AND id <="  # noqa: S608
        f" (SELECT id FROM deliveries WHERE {which} ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (*values, *values, most),
    )


def _forget_sent(db: sqlite3.Connection, app_id: int) -> None:
    which = "app = ? AND status = 200 AND spare = 0 AND body IS NOT NULL"
    db.execute(
        f"UPDATE deliveries SET headers = NULL, rules = NULL, body = NULL WHERE {which} AND id <="  # noqa: S608
        f" (SELECT id FROM deliveries WHERE {which} ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (app_id, app_id, IGNORED_OF_APP),
    )
