"""The server itself: paused and resumed, restarted and stopped, its health and state."""

import shutil
from collections.abc import Mapping
from typing import Any

from sloth_ci import __version__
from sloth_ci.api.server import Server
from sloth_ci.api.shapes import find_pause, show_build, show_pause, usual_duration
from sloth_ci.builds import BuildStatus
from sloth_ci.errors import SlothError, Unhealthy
from sloth_ci.parameters import EMPTY, Answer, ApiAction, Kind, Parameter

#: Bytes that must be free where the database is.
LEAST_FREE = 100_000_000
#: Seconds that a build may wait before something is wrong.
QUEUE_AGE = 3_600
#: Running builds that `status` tells of.
MOST_RUNNING = 1_000

_PAUSED = Parameter("listen_point", "an app's listen point; the whole server if not given")


def pause(server: Server, *, listen_point: str | None, reason: str | None, actor: str) -> Answer:
    """Start no more builds of an app, or of any."""
    server.bed.pause(listen_point, reason=reason or "", by=actor)
    return _tell_pause(server, listen_point)


def resume(server: Server, *, listen_point: str | None) -> Answer:
    """Start builds again."""
    server.bed.resume(listen_point)
    return _tell_pause(server, listen_point)


def restart(server: Server) -> Answer:
    """Ask the server to restart."""
    server.life.ask_restart()
    return EMPTY


def stop(server: Server) -> Answer:
    """Ask the server to stop."""
    server.life.ask_stop()
    return EMPTY


def version(server: Server) -> Answer:  # noqa: ARG001  every action gets the server
    """The server's version."""
    return Answer(__version__)


def status(server: Server) -> Answer:
    """What the server does at the moment, and how much it has."""
    store, now = server.store, server.clock()
    queue, sizes, pauses = store.queue(), store.sizes(), store.pauses()
    return Answer(
        {
            "version": __version__,
            "started": server.started,
            "uptime": round(max(0.0, now - server.started), 3),
            "paused": show_pause(find_pause(server, None)),
            "apps": len(server.bed.apps()),
            "paused_apps": sorted(one.listen_point for one in pauses if one.app_id is not None),
            "running": _show_running(server),
            "waiting": queue.waiting,
            "oldest_waiting": queue.oldest,
            "database": {
                "bytes": sizes.database,
                "wal_bytes": sizes.wal,
                "records": sizes.records,
                "builds": sizes.builds,
            },
            "last_record": store.last_record_id(),
        }
    )


def health(server: Server, *, queue_age: float) -> Answer:
    """Whether the server can do its work.

    Raises Unhealthy.
    """
    checks = {
        "database": _check_database(server),
        "disk": _check_disk(server),
        "queue": _check_queue(server, queue_age),
    }
    problems = [str(check["message"]) for check in checks.values() if not check["ok"]]
    if problems:
        raise Unhealthy(problems="; ".join(problems), checks=checks)
    return Answer({"healthy": True, "checks": checks})


def _tell_pause(server: Server, listen_point: str | None) -> Answer:
    app_id = None if listen_point is None else server.bed.find(listen_point).id
    return Answer({"listen_point": listen_point, "paused": show_pause(find_pause(server, app_id))})


def _show_running(server: Server) -> list[dict[str, Any]]:
    running = server.store.builds(statuses=(BuildStatus.RUNNING,), most=MOST_RUNNING)
    usual = {one: usual_duration(server.store, one) for one in {one.app_id for one in running}}
    return [{**show_build(server, one), "usual_duration": usual[one.app_id]} for one in running]


def _check_database(server: Server) -> Mapping[str, Any]:
    try:
        server.store.check_writing()
        server.store.last_record_id()
    except SlothError as error:
        return {"ok": False, "message": error.message}
    return {"ok": True, "message": "It can be read and written."}


def _check_disk(server: Server) -> Mapping[str, Any]:
    try:
        free = shutil.disk_usage(server.store.folder).free
    except OSError as error:
        return {
            "ok": False,
            "message": f"The disk can't be looked at: {error.strerror}",
            "free": None,
        }
    megabytes = f"{free // 1_000_000} MB of the disk are free"
    if free < LEAST_FREE:
        least = f"at least {LEAST_FREE // 1_000_000} MB are needed"
        return {"ok": False, "message": f"Only {megabytes}; {least}", "free": free}
    return {"ok": True, "message": "There is room on the disk.", "free": free}


def _check_queue(server: Server, queue_age: float) -> Mapping[str, Any]:
    try:
        queue = server.store.queue()
    except SlothError as error:
        return {"ok": False, "message": error.message, "waiting": None, "age": None}
    age = None if queue.oldest is None else round(max(0.0, server.clock() - queue.oldest), 3)
    told = {"waiting": queue.waiting, "age": age}
    if age is not None and age > queue_age and not server.store.pauses():
        message = f"A build has waited for {age:.0f} seconds; at most {queue_age:g} are expected"
        return {"ok": False, "message": message, **told}
    return {"ok": True, "message": f"{queue.waiting} builds wait.", **told}


ROWS = (
    ApiAction(
        "pause",
        200,
        "Start no more builds of an app, or of any; those that come wait.",
        pause,
        (_PAUSED, Parameter("reason", "why, for whoever wonders")),
        changes_state=True,
        wants_actor=True,
        example={"listen_point": "web", "reason": "the database is being moved"},
    ),
    ApiAction(
        "resume",
        200,
        "Start builds again.",
        resume,
        (_PAUSED,),
        changes_state=True,
        example={"listen_point": "web"},
    ),
    ApiAction("restart", 202, "Ask the server to restart.", restart, changes_state=True),
    ApiAction("stop", 202, "Ask the server to stop.", stop, changes_state=True),
    ApiAction("version", 200, "Get the server's version.", version),
    ApiAction("status", 200, "Tell what runs and waits, and how much the server has.", status),
    ApiAction(
        "health",
        200,
        "Tell whether the server can do its work.",
        health,
        (
            Parameter(
                "queue_age",
                "seconds that a build may wait, while nothing is paused",
                kind=Kind.SECONDS,
                default=QUEUE_AGE,
            ),
        ),
        open_to_all=True,
    ),
)
