"""What the store forgets: the oldest builds, in steps so small that nobody has to wait for them."""

import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from threading import Event, Lock, Thread
from typing import Any

from sloth_ci.errors import DatabaseUnavailable
from sloth_ci.store.reader import Reader
from sloth_ci.store.writer import Writer

LOG = logging.getLogger("sloth_ci.store")

#: Time between two sweeps, and the pause after each step of one, in seconds.
INTERVAL = 30.0
PAUSE = 0.02
#: Rows that one step deletes at most, and pages that one gives back to the disk.
STEP = 1_000
PAGES = 100
#: Builds that did not complete are kept so many times as long.
FAILURES = 4
DAY = 24 * 3600.0
#: Delivery ids are known for a week whatever else is forgotten.
LEAST_DELIVERY_DAYS = 8

_GOOD = "status = 'complete'"
_BAD = "status IN ('partial', 'failed', 'timed_out', 'cancelled', 'interrupted')"
_BUILD = "SELECT id, app, finished, queued_record, first_record, last_record, delivery FROM builds"
#: What no app has now and no build had.
_IS_UNUSED = (
    "NOT EXISTS (SELECT 1 FROM apps WHERE apps.id = configs.app AND config_id = configs.id)"
    " AND NOT EXISTS (SELECT 1 FROM builds WHERE builds.app = configs.app AND config = configs.id)"
)


@dataclass(frozen=True, slots=True)
class Keep:
    """How much is kept: whatever limit is reached first counts."""

    days: float = 90.0
    #: Of each app: so many complete ones, and so many others.
    builds: int = 1_000
    #: Bytes of the whole file.
    size: int = 2_000_000_000


@dataclass(frozen=True, slots=True)
class _Old:
    """A build, and where its records are."""

    id: int
    app_id: int
    finished: float
    queued_record: int
    first_record: int
    last_record: int
    delivery: int | None


class Retention:
    """Sweeps now and then, in a thread of its own."""

    def __init__(
        self, keep: Keep, *, writer: Writer, reader: Reader, clock: Callable[[], float]
    ) -> None:
        self._keep = keep
        self._writer = writer
        self._reader = reader
        self._clock = clock
        self._lock = Lock()
        self._grown: set[int] = set()
        self._end = Event()
        self._thread = Thread(target=self._work, name="store-retention", daemon=True)
        self._thread.start()

    def note_growth(self, app_id: int) -> None:
        """Say that the app has one finished build more."""
        with self._lock:
            self._grown.add(app_id)

    def sweep(self) -> int:
        """Forget what is too old or too much; gives the number of builds forgotten."""
        forgotten = 0
        for old in self._too_much():
            if self._end.is_set():
                return forgotten
            self._forget(old)
            forgotten += 1
        self._forget_rows("records WHERE build IS NULL", "timestamp", self._keep.days)
        self._forget_rows(
            "deliveries WHERE NOT EXISTS (SELECT 1 FROM builds WHERE delivery = deliveries.id)",
            "received",
            max(self._keep.days, LEAST_DELIVERY_DAYS),
        )
        # What waits that long has nobody any more who would send it.
        self._forget_rows("outbox", "created", max(self._keep.days, LEAST_DELIVERY_DAYS))
        if forgotten:
            self._forget_configs()
        self._give_pages_back()
        return forgotten

    def close(self) -> None:
        """End the thread."""
        self._end.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._end.wait(INTERVAL):
            try:
                forgotten = self.sweep()
            except DatabaseUnavailable as error:
                LOG.warning("Old builds could not be forgotten: %s", error)
                continue
            if forgotten:
                LOG.info("Forgot %s old builds", forgotten)

    def _too_much(self) -> Iterator[_Old]:
        now = self._clock()
        for which, days in ((_GOOD, self._keep.days), (_BAD, self._keep.days * FAILURES)):
            while (old := self._oldest(which)) and old.finished < now - days * DAY:
                yield old
        with self._lock:
            grown, self._grown = self._grown, set()
        for app_id in grown:
            for which in (_GOOD, _BAD):
                yield from self._beyond_count(app_id, which)
        while self._is_too_large() and (old := self._oldest(_GOOD) or self._oldest(_BAD)):
            yield old

    def _oldest(self, which: str) -> _Old | None:
        return next(self._builds(f"WHERE {which} ORDER BY id LIMIT 1"), None)

    def _beyond_count(self, app_id: int, which: str) -> Iterator[_Old]:
        return self._builds(
            f"WHERE app = ? AND {which} ORDER BY id DESC LIMIT 10000 OFFSET ?",
            (app_id, self._keep.builds),
        )

    def _builds(self, where: str, values: Iterable[Any] = ()) -> Iterator[_Old]:
        return (_Old(*row) for row in self._reader.rows(f"{_BUILD} {where}", values))

    def _is_too_large(self) -> bool:
        pages, free, size = (
            self._reader.rows(f"PRAGMA {name}")[0][0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return bool((pages - free) * size > self._keep.size)

    def _forget(self, old: _Old) -> None:
        def forget_some(db: sqlite3.Connection) -> int:
            return db.execute(
                "DELETE FROM records WHERE id IN (SELECT id FROM records WHERE app = ?"
                " AND id BETWEEN ? AND ? AND build = ? LIMIT ?)",
                (old.app_id, old.first_record, old.last_record, old.id, STEP),
            ).rowcount

        def forget_rest(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM records WHERE id = ?", (old.queued_record,))
            db.execute("DELETE FROM build_actions WHERE build = ?", (old.id,))
            db.execute("DELETE FROM builds WHERE id = ?", (old.id,))
            # Its number is still needed, to know the same delivery again; what was sent is not.
            db.execute(
                "UPDATE deliveries SET headers = NULL, rules = NULL, body = NULL"
                " WHERE id = ? AND NOT EXISTS (SELECT 1 FROM builds WHERE delivery = ?)",
                (old.delivery, old.delivery),
            )

        while self._step(forget_some) == STEP:
            if self._end.is_set():
                return
        self._step(forget_rest)

    def _forget_rows(self, source: str, moment: str, days: float) -> None:
        """Forget the rows of a table that nothing else needs, the oldest first."""
        before = self._clock() - days * DAY
        table = source.split(maxsplit=1)[0]
        while not self._end.is_set():
            rows = self._reader.rows(
                f"SELECT id, {moment} FROM {source} ORDER BY id LIMIT {STEP}"  # noqa: S608
            )
            old = [(row_id,) for row_id, when in rows if when < before]
            if not old:
                return
            sql = f"DELETE FROM {table} WHERE id = ?"  # noqa: S608
            self._step(lambda db, sql=sql, old=old: db.executemany(sql, old))  # type: ignore[misc]

    def _forget_configs(self) -> None:
        def forget(db: sqlite3.Connection) -> None:
            db.executemany(
                f"DELETE FROM configs WHERE id = ? AND {_IS_UNUSED}",  # noqa: S608
                unused,
            )

        unused = self._reader.rows(f"SELECT id FROM configs WHERE {_IS_UNUSED}")  # noqa: S608
        if unused:
            self._step(forget)

    def _give_pages_back(self) -> None:
        def shrink(db: sqlite3.Connection) -> None:
            # Python steps the statement once, and each step gives back one page.
            for _ in range(PAGES):
                db.execute("PRAGMA incremental_vacuum(1)")

        while self._reader.rows("PRAGMA freelist_count")[0][0] > PAGES and not self._end.is_set():
            self._step(shrink)

    def _step(self, change: Callable[[sqlite3.Connection], Any]) -> Any:
        done = self._writer.run(change)
        self._end.wait(PAUSE)
        return done
