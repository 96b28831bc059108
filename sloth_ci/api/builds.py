"""Builds: queued, shown beforehand, listed, cancelled, run again."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from sloth_ci.api.apps import LISTEN_POINT
from sloth_ci.api.pages import BEFORE, PAGES, Part, read_part
from sloth_ci.api.server import Server
from sloth_ci.api.shapes import (
    find_app_id,
    find_build,
    find_pause,
    show_build,
    show_pause,
)
from sloth_ci.app import App
from sloth_ci.builds import BuildStatus
from sloth_ci.parameters import Answer, ApiAction, Kind, Parameter
from sloth_ci.store import Pending, StoredBuild

BUILD = Parameter("build", "the build's number", kind=Kind.NUMBER, required=True)
STATUSES = tuple(status.value for status in BuildStatus)
#: Builds read at a time.
PIECE = 100
STORED, CURRENT = "stored", "current"


def trigger(server: Server, *, listen_point: str, params: Mapping[str, str], actor: str) -> Answer:
    """Queue a build."""
    return _begin_trigger(_find_taking(server, listen_point), params, actor).result()


def begin_trigger(
    server: Server, *, listen_point: str, params: Mapping[str, str], actor: str
) -> Pending[Answer] | None:
    """Queue a build; None where extensions are to be told of it, which may take their time."""
    app = _find_taking(server, listen_point)
    return None if app.hooks else _begin_trigger(app, params, actor)


def preview(server: Server, *, listen_point: str, params: Mapping[str, str]) -> Answer:
    """What a trigger with these params would run."""
    app = server.bed.find(listen_point)
    pause = find_pause(server, None) or find_pause(server, app.id)
    return Answer({**show_preview(app, params), "paused": show_pause(pause)})


def show_preview(app: App, params: Mapping[str, str]) -> dict[str, Any]:
    """What a build of the app with these params would run; raises BadParam."""
    previewed = app.preview(params)
    return {
        "listen_point": app.listen_point,
        "params": [
            {"name": name, "value": value, "origin": "trigger" if name in params else "config"}
            for name, value in previewed.params.items()
        ],
        "actions": [
            {
                "position": one.position + 1,
                "command": one.command,
                "critical": one.critical,
                "detach": one.detach,
                "missing": one.missing,
            }
            for one in previewed.actions
        ],
    }


def list_builds(
    server: Server,
    *,
    listen_point: str | None,
    status: tuple[str, ...],
    branch: str | None,
    since: float | None,
    before: int | None,
    from_page: int,
    to_page: int | None,
    per_page: int,
) -> Answer:
    """Builds, the newest first."""
    part = read_part(from_page, to_page, per_page, before)
    ask = partial(
        server.store.builds,
        app_id=find_app_id(server, listen_point) if listen_point else None,
        statuses=tuple(BuildStatus(one) for one in status),
        branch=branch,
        since=since,
    )
    found = [show_build(server, one) for one in _read(ask, before, part)]
    following = found[part.most - 1]["id"] if len(found) > part.most else None
    return Answer({"builds": found[: part.most], "next": following})


def _read(
    ask: Callable[..., list[StoredBuild]], before: int | None, part: Part
) -> Iterator[StoredBuild]:
    """That part, and one more, in pieces: params, which no list shows, may be long."""
    left, skip = part.most + 1, part.skip
    while left:
        asked = min(PIECE, left)
        found = ask(before=before, skip=skip, most=asked)
        yield from found
        if len(found) < asked:
            return
        before, skip, left = found[-1].id, 0, left - asked


def cancel(server: Server, *, build: int, actor: str) -> Answer:
    """Cancel a build that waits or runs; what is over stays as it is."""
    server.bed.cancel(build, actor=actor)
    return Answer(show_build(server, find_build(server, build)))


def rerun(server: Server, *, build: int, config: str, actor: str) -> Answer:
    """Queue a build with the params of another one."""
    bed = server.bed
    run = bed.rerun_as_it_was if config == STORED else bed.rerun_with_todays_config
    build_id = run(build, actor=actor)
    return Answer({"build": build_id, "rerun_of": build}, headers=_headers(build_id))


def _find_taking(server: Server, listen_point: str) -> App:
    app = server.bed.find(listen_point)
    server.bed.check_taking()
    return app


def _begin_trigger(app: App, params: Mapping[str, str], actor: str) -> Pending[Answer]:
    return app.triggering(params, actor=actor).then(
        lambda build_id: Answer(empty=True, headers=_headers(build_id))
    )


def _headers(build_id: int) -> Mapping[str, str]:
    return {"X-Build-Id": str(build_id), "Location": f"/?action=build&id={build_id}"}


ROWS = (
    ApiAction(
        "trigger",
        202,
        "Queue a build of an app; further parameters are its params.",
        trigger,
        (LISTEN_POINT,),
        begin=begin_trigger,
        changes_state=True,
        open=True,
        wants_actor=True,
        example={"listen_point": "web", "branch": "release/3"},
    ),
    ApiAction(
        "preview",
        200,
        "Tell what a trigger would run, without running it; further parameters are its params.",
        preview,
        (LISTEN_POINT,),
        open=True,
        example={"listen_point": "web", "branch": "release/3"},
    ),
    ApiAction(
        "builds",
        200,
        "List builds, the newest first.",
        list_builds,
        (
            Parameter("listen_point", "an app's; those of all apps if not given"),
            Parameter(
                "status",
                "only those with that status",
                kind=Kind.CHOICE,
                many=True,
                choices=STATUSES,
            ),
            Parameter("branch", "only those of that branch"),
            Parameter("since", "only those queued since then", kind=Kind.MOMENT),
            BEFORE,
            *PAGES,
        ),
        example={"listen_point": "web", "status": "failed", "since": "7d"},
    ),
    ApiAction(
        "cancel",
        200,
        "Cancel a build that waits or runs.",
        cancel,
        (BUILD,),
        changes_state=True,
        wants_actor=True,
        example={"build": "17"},
    ),
    ApiAction(
        "rerun",
        202,
        "Queue a build with the params of another one.",
        rerun,
        (
            BUILD,
            Parameter(
                "config",
                "'stored' is the one that the build had, 'current' that of the app now",
                kind=Kind.CHOICE,
                choices=(STORED, CURRENT),
                default=STORED,
            ),
        ),
        changes_state=True,
        wants_actor=True,
        example={"build": "17", "config": "current"},
    ),
)
