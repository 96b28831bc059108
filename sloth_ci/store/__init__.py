"""The store: one SQLite file of apps, queue, builds, deliveries, records; the room of sqlite3.

Verbs go in, dataclasses come out. Every change is one transaction of the one writing thread
(`writer.py`, `changes.py`); every question is one short read on a connection of the asking thread
(`reader.py`). The queue is the builds table.
"""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from time import time

from sloth_ci.builds import Result
from sloth_ci.records import LogRecord
from sloth_ci.store import changes, reader
from sloth_ci.store.connections import FileWatch, connect, hold, open_database
from sloth_ci.store.copies import backup, check, restore
from sloth_ci.store.retention import Keep, Retention
from sloth_ci.store.rows import (
    Accepted,
    Cause,
    Claimed,
    NewDelivery,
    Origin,
    StoredApp,
    StoredBuild,
    make_storable,
)
from sloth_ci.store.writer import Writer

__all__ = [
    "Accepted",
    "Cause",
    "Claimed",
    "Keep",
    "NewDelivery",
    "Origin",
    "Store",
    "StoredApp",
    "StoredBuild",
    "backup",
    "check",
    "restore",
]


class Store:
    """The server's memory.

    Without a `path` it lives in a temporary file, keeps no log records, and is gone when closed.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        clock: Callable[[], float] = time,
        max_queue: int = 10_000,
        max_queue_total: int = 100_000,
        keep: Keep | None = None,
    ) -> None:
        self._max_queue = max_queue
        self._max_queue_total = max_queue_total
        self.keeps_records = path is not None
        self._temporary = None if path else tempfile.TemporaryDirectory(prefix="sloth-ci-")
        self._path = path or Path(self._temporary.name if self._temporary else "") / "sloth.db"
        self._guard = hold(self._path)
        try:
            connection = open_database(self._path, self._guard)
        except BaseException:
            os.close(self._guard)
            raise
        self._reader = reader.Reader(partial(connect, self._path))
        self._watch = FileWatch(self._path, self._guard)
        self._writer = Writer(
            connection,
            clock=clock,
            watch=self._watch,
            on_put_back=self._reader.reconnect,
        )
        self._retention = Retention(
            keep or Keep(), writer=self._writer, reader=self._reader, clock=clock
        )

    @property
    def token(self) -> str:
        """What tells this file from all others on the machine, copies of it included."""
        identity = self._reader.rows("SELECT token FROM identity")[0][0]
        return sha256(f"{identity} {self._path.resolve()}".encode()).hexdigest()[:16]

    # Apps

    def add_app(self, *, listen_point: str, origin: Origin, config: str, file: str | None) -> int:
        """Keep a new app and give its id.

        Raises ListenPointTaken.
        """
        return self._writer.run(
            partial(
                changes.add_app, listen_point=listen_point, origin=origin, config=config, file=file
            )
        )

    def set_app(self, *, app_id: int, origin: Origin, config: str, file: str | None) -> None:
        """Keep an app's changed config or config file."""
        self._writer.run(
            partial(changes.set_app, app_id=app_id, origin=origin, config=config, file=file)
        )

    def remove_app(self, app_id: int) -> None:
        """Forget an app, all but its history; its waiting builds are cancelled."""
        self._writer.run(partial(changes.remove_app, app_id=app_id, clock=self._writer.moment))

    def apps(self) -> list[StoredApp]:
        """Every app there is, in order of its making."""
        return reader.apps(self._reader)

    def app(self, app_id: int) -> StoredApp:
        """The app of that id, which must exist."""
        return reader.app(self._reader, app_id)

    def find_app_id(self, listen_point: str) -> int | None:
        """The id of a listen point ever seen, None for a new one."""
        return reader.find_app_id(self._reader, listen_point)

    # Queue

    def accept(
        self,
        *,
        app_id: int,
        listen_point: str,
        cause: Cause,
        params: Sequence[Mapping[str, str]],
        total: int,
        delivery: NewDelivery | None = None,
    ) -> Accepted:
        """Queue a build of `total` actions for each set of params; safe on the disk on return.

        Raises QueueFull, Unavailable or DatabaseUnavailable; then nothing was queued.
        """
        return self._writer.run_first(
            partial(
                changes.accept,
                app_id=app_id,
                listen_point=listen_point,
                cause=cause,
                params=params,
                total=total,
                delivery=delivery,
                max_queue=self._max_queue,
                max_queue_total=self._max_queue_total,
                clock=self._writer.moment,
            )
        )

    def claim(self, app_id: int) -> Claimed | None:
        """Take the app's oldest waiting build and mark it running; None when none waits."""
        return self._writer.run_first(
            partial(changes.claim, app_id=app_id, clock=self._writer.moment)
        )

    def finish(self, *, app_id: int, build_id: int, result: Result, total: int) -> None:
        """Give a running build its final status, behind all its records."""
        self._writer.run(
            partial(
                changes.finish,
                app_id=app_id,
                build_id=build_id,
                result=result,
                total=total,
                clock=self._writer.moment,
            )
        )
        self._retention.note_growth(app_id)

    def recover(self) -> tuple[tuple[int, int], ...]:
        """Mark what ran when the last server went down as interrupted: (build id, app id) pairs."""
        return self._writer.run(partial(changes.recover, clock=self._writer.moment))

    def requeue(self, *, build_id: int, total: int) -> int:
        """Queue a build again with its params and give the new build's id."""
        return self._writer.run(
            partial(changes.requeue, build_id=build_id, total=total, clock=self._writer.moment)
        )

    def waiting_apps(self) -> list[int]:
        """The ids of apps with waiting builds, the longest waiting first."""
        return reader.waiting_apps(self._reader)

    # Records

    def write(self, record: LogRecord) -> None:
        """Keep a record soon; records keep their order, and stand before a later `finish`.

        What a build says may have to wait for room; what an app says never waits.
        """
        if not self.keeps_records:
            return
        write = self._writer.offer if record.build_id is None else self._writer.append
        write(
            (
                record.app_id,
                record.build_id,
                record.logger,
                record.level,
                record.stream,
                record.timestamp,
                make_storable(record.message),
            )
        )

    def note_progress(self, *, build_id: int, completed: int) -> None:
        """Keep soon how many actions of a running build have completed."""
        self._writer.progress(build_id, completed)

    def flush(self) -> None:
        """Wait until everything written so far can be read."""
        self._writer.flush()

    def logs(self, *, app_id: int, level: int, skip: int, most: int) -> list[LogRecord]:
        """The app's records of at least that level, newest first."""
        return reader.logs(self._reader, app_id=app_id, level=level, skip=skip, most=most)

    def history(self, *, app_id: int, level: int, skip: int, most: int) -> list[LogRecord]:
        """The records of the statuses of the app's builds, newest first."""
        return reader.history(self._reader, app_id=app_id, level=level, skip=skip, most=most)

    def last_build(self, app_id: int) -> StoredBuild | None:
        """The app's newest build."""
        return reader.last_build(self._reader, app_id)

    def find_build(self, build_id: int) -> StoredBuild | None:
        """The build of that id."""
        return reader.find_build(self._reader, build_id)

    def sweep(self) -> int:
        """Forget now what is older or more than is to be kept; gives the number of builds."""
        return self._retention.sweep()

    def close(self) -> None:
        """Write what waits and let go of the file."""
        self._retention.close()
        self._writer.close()
        self._reader.close()
        self._watch.close()
        os.close(self._guard)
        if self._temporary:
            self._temporary.cleanup()
