"""The table of all actions; each theme's module has the functions and rows of its own."""

from collections.abc import Mapping

from sloth_ci.api import (
    apps,
    build,
    builds,
    deliveries,
    explain,
    export,
    following,
    logs,
    operations,
    stats,
)
from sloth_ci.api.machine import make_openapi, show_action
from sloth_ci.api.server import Server
from sloth_ci.errors import ActionNotFound
from sloth_ci.parameters import Answer, ApiAction, Parameter
from sloth_ci.source import suggest


def find(server: Server, name: str) -> ApiAction:
    """The action of that name.

    Raises ActionNotFound.
    """
    known = all_actions(server)
    if name not in known:
        hint = suggest(name, known) or f" Actions: {', '.join(known)}."
        raise ActionNotFound(action=name, hint=hint)
    return known[name]


def all_actions(server: Server) -> Mapping[str, ApiAction]:
    """Our own, and those of extensions, which take no name that is taken."""
    return {**server.further, **ACTIONS}


def _help(server: Server, *, name: str | None) -> Answer:
    chosen = all_actions(server).values() if name is None else [find(server, name)]
    return Answer({"actions": [show_action(action) for action in chosen]})


def _openapi(server: Server) -> Answer:
    return Answer(make_openapi(all_actions(server)))


_MACHINE = (
    ApiAction(
        "help",
        200,
        "Tell what can be asked for, and how.",
        _help,
        (Parameter("name", "an action; all of them if not given"),),
        example={"name": "trigger"},
    ),
    ApiAction("openapi", 200, "Describe the API as an OpenAPI 3.1 document.", _openapi),
)

ACTIONS: Mapping[str, ApiAction] = {
    action.name: action
    for rows in (
        apps.ROWS,
        builds.ROWS,
        build.ROWS,
        logs.ROWS,
        following.ROWS,
        explain.ROWS,
        stats.ROWS,
        export.ROWS,
        deliveries.ROWS,
        operations.ROWS,
        _MACHINE,
    )
    for action in rows
}
