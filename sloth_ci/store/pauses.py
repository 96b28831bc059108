"""Pauses: builds go on being queued, and none starts."""

import sqlite3
from functools import partial

from sloth_ci.store.ends import Clock
from sloth_ci.store.rows import Pause, make_storable
from sloth_ci.store.verbs import Verbs


class PauseVerbs(Verbs):
    """What the store does about pauses of apps and of the server; they outlive it."""

    def pause(self, app_id: int | None, *, reason: str, by: str) -> None:
        """Let no build of the app start from now on; of no app, with None."""
        self._writer.run_first(
            partial(_pause, app_id=app_id, reason=reason, by=by, clock=self._writer.moment)
        )

    def resume(self, app_id: int | None) -> None:
        """End the pause of the app, or the server's own."""
        self._writer.run_first(partial(_set, app_id=app_id, values=(None, None, None)))

    def pauses(self) -> list[Pause]:
        """All pauses there are, the server's own first."""
        rows = self._reader.rows(
            "SELECT NULL, '', paused, paused_by, paused_at FROM server WHERE paused IS NOT NULL"
            " UNION ALL"
            " SELECT id, listen_point, paused, paused_by, paused_at FROM apps"
            " WHERE paused IS NOT NULL"
        )
        return [Pause(*row) for row in rows]


def _pause(
    db: sqlite3.Connection, *, app_id: int | None, reason: str, by: str, clock: Clock
) -> None:
    _set(db, app_id=app_id, values=(make_storable(reason), make_storable(by), clock()))


def _set(db: sqlite3.Connection, *, app_id: int | None, values: tuple[object, ...]) -> None:
    columns = "SET paused = ?, paused_by = ?, paused_at = ?"
    if app_id is None:
        db.execute(f"UPDATE server {columns}", values)
    else:
        db.execute(f"UPDATE apps {columns} WHERE id = ?", (*values, app_id))
