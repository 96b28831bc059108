"""Figures: how much there is, and what statistics are made of."""

from pathlib import Path

from sloth_ci.builds import BuildStatus
from sloth_ci.store.rows import ActionFigure, BuildFigure, Queue, Sizes, Statistics
from sloth_ci.store.verbs import Verbs

#: Builds that one answer looks at, the newest of those there are.
MOST_BUILDS = 20_000


class FigureVerbs(Verbs):
    """What the store tells in numbers."""

    _path: Path

    def statistics(self, *, app_id: int | None = None, since: float) -> Statistics:
        """What statistics need of the builds queued since then and finished; at most 20,000."""
        first = self._reader.first_since("builds", "queued", since)
        builds = self._figures(app_id, first)
        cut = len(builds) > MOST_BUILDS
        builds = builds[:MOST_BUILDS]
        actions = self._action_figures(app_id, builds[-1].id) if builds else ()
        return Statistics(tuple(builds), actions, cut)

    def sizes(self) -> Sizes:
        """How much the store holds."""
        wal = Path(f"{self._path}-wal")
        records, builds = (
            self._reader.rows(
                f"SELECT coalesce((SELECT max(id) FROM {table}) + 1"  # noqa: S608
                f" - (SELECT min(id) FROM {table}), 0)"
            )[0][0]
            for table in ("records", "builds")
        )
        return Sizes(
            database=self._path.stat().st_size,
            wal=wal.stat().st_size if wal.exists() else 0,
            records=records,
            builds=builds,
        )

    def queue(self) -> Queue:
        """What waits and what runs, over all apps."""
        waiting, running, oldest = self._reader.rows(
            "SELECT (SELECT waiting FROM queue),"
            " (SELECT count(*) FROM builds INDEXED BY builds_running WHERE status = 'running'),"
            " (SELECT queued FROM builds WHERE id = (SELECT min(id)"
            " FROM builds INDEXED BY builds_queued WHERE status = 'queued'))"
        )[0]
        return Queue(waiting, running, oldest)

    def _figures(self, app_id: int | None, first: int) -> list[BuildFigure]:
        of_app = "" if app_id is None else " AND app = ?"
        rows = self._reader.rows(
            "SELECT builds.id, app, listen_point, status, queued, started, finished,"  # noqa: S608
            " branch, commit_id FROM builds JOIN apps ON apps.id = app"
            f" WHERE builds.id >= ?{of_app} AND finished IS NOT NULL"
            " ORDER BY builds.id DESC LIMIT ?",
            (first, *([] if app_id is None else [app_id]), MOST_BUILDS + 1),
        )
        return [
            BuildFigure(
                id=row[0],
                app_id=row[1],
                listen_point=row[2],
                status=BuildStatus(row[3]),
                queued=row[4],
                started=row[5],
                finished=row[6],
                branch=row[7],
                commit_id=row[8],
            )
            for row in rows
        ]

    def _action_figures(self, app_id: int | None, first: int) -> tuple[ActionFigure, ...]:
        of_app = "" if app_id is None else " AND app = ?"
        rows = self._reader.rows(
            "WITH runs AS (SELECT app, position, max(build) AS newest, count(*) AS number,"  # noqa: S608
            " sum(build_actions.status <> 'completed') AS failed,"
            " avg(build_actions.finished - build_actions.started) AS mean,"
            " max(build_actions.finished - build_actions.started) AS longest"
            " FROM builds JOIN build_actions ON build = builds.id"
            f" WHERE builds.id >= ?{of_app} AND build_actions.finished IS NOT NULL"
            " GROUP BY app, position)"
            " SELECT app, listen_point, runs.position, command, number, failed, mean, longest"
            " FROM runs JOIN apps ON apps.id = app"
            " JOIN build_actions ON build = newest AND build_actions.position = runs.position"
            " ORDER BY app, runs.position",
            (first, *([] if app_id is None else [app_id])),
        )
        return tuple(ActionFigure(*row) for row in rows)
