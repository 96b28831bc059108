"""How builds, records and pauses look in answers."""

import statistics
from typing import Any

from sloth_ci.api.server import Server
from sloth_ci.app import App
from sloth_ci.builds import BuildStatus
from sloth_ci.errors import AppNotFound, BuildNotFound
from sloth_ci.masking import Mask
from sloth_ci.records import LEVEL_NAMES, LogRecord
from sloth_ci.source import suggest
from sloth_ci.store import Pause, Store, StoredBuild

#: Builds whose median duration is the usual one.
USUAL = 20


class AppNames:
    """The listen points of apps by id, of those that are gone too."""

    def __init__(self, server: Server) -> None:
        self._store = server.store
        self._known = {app.id: app.listen_point for app in server.bed.apps()}

    def __call__(self, app_id: int) -> str:
        """The app's listen point."""
        if app_id not in self._known:
            self._known[app_id] = self._store.listen_point(app_id)
        return self._known[app_id]


def find_build(server: Server, build_id: int) -> StoredBuild:
    """The build of that id.

    Raises BuildNotFound.
    """
    build = server.store.find_build(build_id)
    if build is None:
        raise BuildNotFound(id=build_id)
    return build


def find_app_id(server: Server, listen_point: str) -> int:
    """The id of a listen point that has or had an app.

    Raises AppNotFound.
    """
    app_id = server.store.find_app_id(listen_point)
    if app_id is None:
        known = [app.listen_point for app in server.bed.apps()]
        raise AppNotFound(listen_point=listen_point, hint=suggest(listen_point, known))
    return app_id


def mask_of(server: Server, build: StoredBuild) -> Mask:
    """What keeps the secrets of the build's app out of texts; an app that is gone has none."""
    app = find_app(server, build)
    return app.mask if app else Mask()


def find_app(server: Server, build: StoredBuild) -> App | None:
    """The build's app, None when it is gone."""
    try:
        return server.bed.find(build.listen_point)
    except AppNotFound:
        return None


def usual_duration(store: Store, app_id: int) -> float | None:
    """The median duration, in seconds, of the app's last good builds; None when there are none."""
    good = store.builds(app_id=app_id, statuses=(BuildStatus.COMPLETE,), most=USUAL)
    durations = [
        one for build in good if (one := between(build.started, build.finished)) is not None
    ]
    return round(statistics.median(durations), 6) if durations else None


def between(begin: float | None, end: float | None) -> float | None:
    """The seconds from one moment to another, None when one of them isn't known."""
    if begin is None or end is None:
        return None
    return round(max(0.0, end - begin), 6)


def show_build(server: Server, build: StoredBuild) -> dict[str, Any]:
    """A build as lists and events have it; what came from outside is masked."""
    mask = mask_of(server, build)
    return {
        "id": build.id,
        "listen_point": build.listen_point,
        "status": build.status,
        "message": build.status.describe(completed=build.completed, total=build.total),
        "level": build.status.level,
        "cause": build.cause,
        "actions": build.total,
        "completed": build.completed,
        "queued": build.queued,
        "started": build.started,
        "finished": build.finished,
        "duration": between(build.started, build.finished),
        "waited": between(build.queued, build.started),
        "actor": build.actor,
        "reason": mask(build.reason),
        "branch": mask(build.branch),
        "commit": mask(build.commit_id),
        "rerun_of": build.rerun_of,
        "delivery": build.delivery_id,
    }


def show_record(record: LogRecord, listen_point: str) -> dict[str, Any]:
    """A record as the contract has it, with its id, its build, and the stream of a printed line."""
    shown = {
        "timestamp": record.timestamp,
        "logger_name": record.logger.name_for(listen_point),
        "level_name": LEVEL_NAMES[record.level],
        "level_number": record.level,
        "message": record.message,
        "id": record.id,
        "build": record.build_id,
    }
    if record.stream is not None:
        shown["stream"] = record.stream.name.lower()
    return shown


def show_pause(pause: Pause | None) -> dict[str, Any] | None:
    """Why, by whom and since when something is paused; None while it isn't."""
    if pause is None:
        return None
    return {"reason": pause.reason, "by": pause.by, "since": pause.since}


def find_pause(server: Server, app_id: int | None) -> Pause | None:
    """The pause of that app, or of the server; None while it isn't paused."""
    return next((one for one in server.store.pauses() if one.app_id == app_id), None)
