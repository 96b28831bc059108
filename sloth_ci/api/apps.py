"""Apps: made, bound, changed, removed, told of."""

from typing import Any

from sloth_ci.api.server import Server
from sloth_ci.api.shapes import show_pause
from sloth_ci.app import App
from sloth_ci.parameters import EMPTY, Answer, ApiAction, Parameter
from sloth_ci.store import Pause

LISTEN_POINT = Parameter("listen_point", "the app's listen point", required=True)


def bind(server: Server, *, listen_point: str, config_file: str) -> Answer:
    """Bind an app with the file that its config came from."""
    server.bed.bind(listen_point, config_file)
    return EMPTY


def create(server: Server, *, config_string: str) -> Answer:
    """Make an app."""
    return Answer(server.bed.create(config_string).listen_point)


def remove(server: Server, *, listen_point: str) -> Answer:
    """Remove an app."""
    server.bed.remove(listen_point)
    return EMPTY


def update(server: Server, *, listen_point: str, config_string: str | None) -> Answer:
    """Swap an app's config."""
    server.bed.update(listen_point, config_string)
    return EMPTY


def info(server: Server, *, listen_points: tuple[str, ...]) -> Answer:
    """The state of apps, the last built first."""
    bed = server.bed
    apps = [bed.find(name) for name in dict.fromkeys(listen_points)] or bed.apps()
    pauses = {pause.app_id: pause for pause in server.store.pauses()}
    told = [_tell(app, pauses.get(app.id)) for app in apps]
    return Answer(sorted(told, key=lambda one: -one["last_build_timestamp"]))


def list_apps(server: Server) -> Answer:
    """The listen points of all apps, sorted."""
    return Answer([app.listen_point for app in server.bed.apps()])


def _tell(app: App, pause: Pause | None) -> dict[str, Any]:
    info = app.info()
    return {
        "listen_point": info.listen_point,
        "config_file": info.config_file,
        "last_build_status": info.last_build_status,
        "last_build_status_message": info.last_build_status,
        "last_build_status_level": info.last_build_level,
        "last_build_timestamp": info.last_build_timestamp,
        "last_build_id": info.last_build_id,
        "paused": show_pause(pause),
        "extensions": app.extensions.info(),
    }


ROWS = (
    ApiAction(
        "bind",
        200,
        "Bind an app with a config file.",
        bind,
        (
            LISTEN_POINT,
            Parameter("config_file", "absolute path of the file, on the server", required=True),
        ),
        changes_state=True,
        example={"listen_point": "web", "config_file": "/srv/ci/web.yml"},
    ),
    ApiAction(
        "create",
        201,
        "Create an app and get its listen point.",
        create,
        (Parameter("config_string", "the app's config, in YAML", required=True),),
        changes_state=True,
        example={"config_string": "{listen_point: docs, actions: [echo hello]}"},
    ),
    ApiAction(
        "remove",
        204,
        "Remove an app.",
        remove,
        (LISTEN_POINT,),
        changes_state=True,
        example={"listen_point": "docs"},
    ),
    ApiAction(
        "update",
        200,
        "Give an app a new config, or that of its config file, without losing builds.",
        update,
        (
            LISTEN_POINT,
            Parameter("config_string", "the new config; its config file's if not given"),
        ),
        changes_state=True,
        example={"listen_point": "web"},
    ),
    ApiAction(
        "info",
        200,
        "Get the state of apps, the last built first.",
        info,
        (Parameter("listen_points", "an app's listen point; all apps if not given", many=True),),
        example={"listen_points": "web"},
    ),
    ApiAction("list", 200, "Get the listen points of all apps.", list_apps),
)
