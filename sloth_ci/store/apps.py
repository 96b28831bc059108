"""The apps, and every config that they ever ran a build with."""

import sqlite3
from functools import partial

from sloth_ci.builds import BuildStatus, Result
from sloth_ci.errors import ListenPointTaken
from sloth_ci.store.ends import Clock, count_waiting, end_build
from sloth_ci.store.reader import Row
from sloth_ci.store.rows import Origin, StoredApp, hash_config
from sloth_ci.store.verbs import Verbs

_APPS = "SELECT id, listen_point, origin, config, config_file, config_id FROM apps"


class AppVerbs(Verbs):
    """What the store does about apps."""

    def add_app(self, *, listen_point: str, origin: Origin, config: str, file: str | None) -> int:
        """Keep a new app and give its id.

        Raises ListenPointTaken.
        """
        return self._writer.run(
            partial(_add, listen_point=listen_point, origin=origin, config=config, file=file)
        )

    def set_app(self, *, app_id: int, origin: Origin, config: str, file: str | None) -> None:
        """Keep an app's changed config or config file."""
        self._writer.run(partial(_set, app_id=app_id, origin=origin, config=config, file=file))

    def remove_app(self, app_id: int) -> tuple[int, ...]:
        """Forget an app, all but its history; gives its waiting builds, which are cancelled."""
        return self._writer.run(partial(_remove, app_id=app_id, clock=self._writer.moment))

    def apps(self) -> list[StoredApp]:
        """Every app there is, in order of its making."""
        rows = self._reader.rows(f"{_APPS} WHERE origin IS NOT NULL ORDER BY id")
        return [_app(row) for row in rows]

    def app(self, app_id: int) -> StoredApp:
        """The app of that id, which must exist."""
        return _app(self._reader.rows(f"{_APPS} WHERE id = ?", (app_id,))[0])

    def find_app_id(self, listen_point: str) -> int | None:
        """The id of a listen point ever seen, None for a new one."""
        rows = self._reader.rows("SELECT id FROM apps WHERE listen_point = ?", (listen_point,))
        return rows[0][0] if rows else None

    def listen_point(self, app_id: int) -> str:
        """The listen point of that id, which must exist; of an app that was removed too."""
        return str(self._reader.rows("SELECT listen_point FROM apps WHERE id = ?", (app_id,))[0][0])

    def config(self, config_id: int) -> str | None:
        """The text of a config, as it was sent: it may hold secrets. None when it is forgotten."""
        rows = self._reader.rows("SELECT text FROM configs WHERE id = ?", (config_id,))
        return rows[0][0] if rows else None


def _add(
    db: sqlite3.Connection, *, listen_point: str, origin: Origin, config: str, file: str | None
) -> int:
    """Keep a new app; its id is that of the listen point's history, if there is one."""
    row = db.execute(
        "SELECT id, origin FROM apps WHERE listen_point = ?", (listen_point,)
    ).fetchone()
    if row is None:
        cursor = db.execute("INSERT INTO apps (listen_point) VALUES (?)", (listen_point,))
        assert cursor.lastrowid is not None
        app_id = cursor.lastrowid
    elif row[1] is None:
        app_id = row[0]
    else:
        raise ListenPointTaken(listen_point=listen_point)
    _set(db, app_id=app_id, origin=origin, config=config, file=file)
    return app_id


def _set(
    db: sqlite3.Connection, *, app_id: int, origin: Origin, config: str, file: str | None
) -> None:
    db.execute(
        "UPDATE apps SET origin = ?, config = ?, config_file = ?, config_id = ? WHERE id = ?",
        (origin, config, file, _keep_config(db, app_id, config), app_id),
    )


def _keep_config(db: sqlite3.Connection, app_id: int, text: str) -> int:
    values = (app_id, hash_config(text))
    row = db.execute("SELECT id FROM configs WHERE app = ? AND hash = ?", values).fetchone()
    if row is None:
        row = db.execute(
            "INSERT INTO configs (app, hash, text) VALUES (?, ?, ?) RETURNING id", (*values, text)
        ).fetchone()
    return int(row[0])


def _remove(db: sqlite3.Connection, *, app_id: int, clock: Clock) -> tuple[int, ...]:
    now = clock()
    waiting = db.execute(
        "SELECT id, total FROM builds WHERE app = ? AND status = 'queued' ORDER BY id", (app_id,)
    ).fetchall()
    for build_id, total in waiting:
        cancelled = Result(BuildStatus.CANCELLED, 0, "The app was removed")
        end_build(db, app_id, build_id, cancelled, total, now)
    count_waiting(db, app_id, -len(waiting))
    db.execute(
        "UPDATE apps SET origin = NULL, config = NULL, config_file = NULL, config_id = NULL,"
        " paused = NULL, paused_by = NULL, paused_at = NULL WHERE id = ?",
        (app_id,),
    )
    db.execute("DELETE FROM notes WHERE app = ?", (app_id,))
    return tuple(build_id for build_id, _total in waiting)


def _app(row: Row) -> StoredApp:
    return StoredApp(row[0], row[1], Origin(row[2]), row[3], row[4], row[5])
