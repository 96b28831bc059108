"""The actions: one small function each, plain values in, plain values out, and their table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sloth_ci import __version__
from sloth_ci.app import App
from sloth_ci.bed import Bed
from sloth_ci.errors import AppNotFound, BadParam, BuildNotFound, DatabaseOff
from sloth_ci.parameters import EMPTY, Answer, ApiAction, Kind, Parameter
from sloth_ci.records import LEVEL_NAMES, LogRecord
from sloth_ci.source import suggest
from sloth_ci.store import Store

#: Records that one answer holds at most.
MAX_RECORDS = 10_000


class Life(Protocol):
    """The server's life, as far as the API can ask for a change."""

    def ask_restart(self) -> None:
        """Restart as soon as this request is answered."""

    def ask_stop(self) -> None:
        """Stop as soon as this request is answered."""


@dataclass(frozen=True, slots=True)
class Server:
    """What the actions work on."""

    bed: Bed
    store: Store
    life: Life


def _bind(server: Server, *, listen_point: str, config_file: str) -> Answer:
    server.bed.bind(listen_point, config_file)
    return EMPTY


def _create(server: Server, *, config_string: str) -> Answer:
    return Answer(server.bed.create(config_string).listen_point)


def _remove(server: Server, *, listen_point: str) -> Answer:
    server.bed.remove(listen_point)
    return EMPTY


def _trigger(server: Server, *, listen_point: str, params: Mapping[str, str]) -> Answer:
    app = server.bed.find(listen_point)
    server.bed.check_taking()
    build_id = app.trigger(params)
    return Answer(
        empty=True,
        headers={"X-Build-Id": str(build_id), "Location": f"/?action=build&id={build_id}"},
    )


def _info(server: Server, *, listen_points: tuple[str, ...]) -> Answer:
    bed = server.bed
    apps = [bed.find(name) for name in dict.fromkeys(listen_points)] or bed.apps()
    told = [_tell(app) for app in apps]
    return Answer(sorted(told, key=lambda one: -one["last_build_timestamp"]))


def _tell(app: App) -> dict[str, Any]:
    info = app.info()
    return {
        "listen_point": info.listen_point,
        "config_file": info.config_file,
        "last_build_status": info.last_build_status,
        "last_build_status_message": info.last_build_status,
        "last_build_status_level": info.last_build_level,
        "last_build_timestamp": info.last_build_timestamp,
        "last_build_id": info.last_build_id,
    }


def _logs(
    server: Server,
    *,
    listen_point: str,
    from_page: int,
    to_page: int | None,
    per_page: int,
    level: int,
) -> Answer:
    if not server.store.keeps_records:
        raise DatabaseOff(action="logs")
    app = server.bed.find(listen_point)
    skip, most = _page(from_page, to_page, per_page)
    records = server.store.logs(app_id=app.id, level=level, skip=skip, most=most)
    return Answer([_show(record, listen_point) for record in records])


def _history(
    server: Server,
    *,
    listen_point: str,
    from_page: int,
    to_page: int | None,
    per_page: int,
    level: int,
) -> Answer:
    if not server.store.keeps_records:
        raise DatabaseOff(action="history")
    app_id = server.store.find_app_id(listen_point)
    if app_id is None:
        known = [app.listen_point for app in server.bed.apps()]
        raise AppNotFound(listen_point=listen_point, hint=suggest(listen_point, known))
    skip, most = _page(from_page, to_page, per_page)
    records = server.store.history(app_id=app_id, level=level, skip=skip, most=most)
    return Answer([_show(record, listen_point) for record in records])


def _page(from_page: int, to_page: int | None, per_page: int) -> tuple[int, int]:
    last = from_page if to_page is None else to_page
    if last < from_page:
        raise BadParam(param="to_page", wanted=f"at least from_page ({from_page})", came=last)
    most = (last - from_page + 1) * per_page
    if most > MAX_RECORDS:
        raise BadParam(
            param="per_page", wanted=f"at most {MAX_RECORDS} records in all", came=per_page
        )
    return (from_page - 1) * per_page, most


def _show(record: LogRecord, listen_point: str) -> dict[str, Any]:
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


def _build(server: Server, *, id: int) -> Answer:  # noqa: A002  the parameter's name
    build = server.store.find_build(id)
    if build is None:
        raise BuildNotFound(id=id)
    return Answer(
        {
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
        }
    )


def _restart(server: Server) -> Answer:
    server.life.ask_restart()
    return EMPTY


def _stop(server: Server) -> Answer:
    server.life.ask_stop()
    return EMPTY


def _list(server: Server) -> Answer:
    return Answer([app.listen_point for app in server.bed.apps()])


def _version(server: Server) -> Answer:  # noqa: ARG001  every action gets the server
    return Answer(__version__)


def _update(server: Server, *, listen_point: str, config_string: str | None) -> Answer:
    server.bed.update(listen_point, config_string)
    return EMPTY


_LISTEN_POINT = Parameter("listen_point", "the app's listen point", required=True)
_PAGES = (
    Parameter("from_page", "first page to get", kind=Kind.NUMBER, default=1),
    Parameter("to_page", "last page to get; from_page if not given", kind=Kind.NUMBER),
    Parameter("per_page", "records on a page", kind=Kind.NUMBER, default=10),
)

_ALL = (
    ApiAction(
        "bind",
        200,
        "Bind an app with a config file.",
        _bind,
        (
            _LISTEN_POINT,
            Parameter("config_file", "absolute path of the file, on the server", required=True),
        ),
        changes_state=True,
    ),
    ApiAction(
        "create",
        201,
        "Create an app and get its listen point.",
        _create,
        (Parameter("config_string", "the app's config, in YAML", required=True),),
        changes_state=True,
    ),
    ApiAction("remove", 204, "Remove an app.", _remove, (_LISTEN_POINT,), changes_state=True),
    ApiAction(
        "trigger",
        202,
        "Queue a build of an app; further parameters are its params.",
        _trigger,
        (_LISTEN_POINT,),
        changes_state=True,
        open=True,
    ),
    ApiAction(
        "info",
        200,
        "Get the state of apps, the last built first.",
        _info,
        (Parameter("listen_points", "an app's listen point; all apps if not given", many=True),),
    ),
    ApiAction(
        "logs",
        200,
        "Get log records of an app, the newest first.",
        _logs,
        (
            _LISTEN_POINT,
            *_PAGES,
            Parameter("level", "least level to get", kind=Kind.NUMBER, default=20),
        ),
    ),
    ApiAction(
        "history",
        200,
        "Get the statuses of an app's builds, the newest first.",
        _history,
        (
            _LISTEN_POINT,
            *_PAGES,
            Parameter("level", "least level to get", kind=Kind.NUMBER, default=10),
        ),
    ),
    ApiAction(
        "build",
        200,
        "Get the state of one build.",
        _build,
        (Parameter("id", "the build's number", kind=Kind.NUMBER, required=True),),
    ),
    ApiAction("restart", 202, "Ask the server to restart.", _restart, changes_state=True),
    ApiAction("stop", 202, "Ask the server to stop.", _stop, changes_state=True),
    ApiAction("list", 200, "Get the listen points of all apps.", _list),
    ApiAction("version", 200, "Get the server's version.", _version),
    ApiAction(
        "update",
        200,
        "Give an app a new config, or that of its config file, without losing builds.",
        _update,
        (
            _LISTEN_POINT,
            Parameter("config_string", "the new config; its config file's if not given"),
        ),
        changes_state=True,
    ),
)

ACTIONS: Mapping[str, ApiAction] = {action.name: action for action in _ALL}
