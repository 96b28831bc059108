"""The API: one table of actions, and one way from a request's parameters to an answer.

Docs, `sci` and tests are held against `ACTIONS`. Errors are raised; the web renders them.
"""

from collections.abc import Mapping
from typing import Any

from sloth_ci.api.actions import ACTIONS
from sloth_ci.api.server import Life, Server
from sloth_ci.errors import ActionNotFound, MissingAction, RepeatedParam
from sloth_ci.parameters import (
    EMPTY,
    Answer,
    ApiAction,
    Header,
    Kind,
    Parameter,
    Params,
    bind,
)
from sloth_ci.source import suggest
from sloth_ci.store import Pending

__all__ = [
    "ACTIONS",
    "EMPTY",
    "Answer",
    "ApiAction",
    "Kind",
    "Life",
    "Parameter",
    "Params",
    "Server",
    "begin",
    "call",
    "find_action",
    "may_begin",
]

#: The names of the actions that need not be waited for.
_BEGUN = tuple(action.name.encode() for action in ACTIONS.values() if action.begin)


def call(
    server: Server, params: Params, *, actor: str = "", header: Header = lambda _name: ""
) -> tuple[int, Answer]:
    """Do what the request's parameters ask for; gives the status and the answer.

    `actor` is who asks, and `header` gives the request's headers. Raises the error that the
    answer is to tell of.
    """
    action = find_action(params, server.further)
    return action.status, action.run(server, **_bind(action, params, actor, header))


def begin(
    server: Server, params: Params, *, actor: str, header: Header
) -> Pending[tuple[int, Answer]] | None:
    """Do what `call` does, and don't wait; None, and nothing done, where that can't be.

    Raises what `call` raises.
    """
    action = find_action(params, server.further)
    if action.begin is None:
        return None
    pending: Pending[Answer] | None = action.begin(server, **_bind(action, params, actor, header))
    return None if pending is None else pending.then(lambda answer: (action.status, answer))


def may_begin(*texts: bytes | bytearray) -> bool:
    """Whether a request of this text may be one that `begin` does something about."""
    return any(name in text for text in texts for name in _BEGUN)


def _bind(action: ApiAction, params: Params, actor: str, header: Header) -> dict[str, Any]:
    arguments = bind(action, params, header=header)
    if action.wants_actor:
        arguments["actor"] = actor
    return arguments


def find_action(params: Params, further: Mapping[str, ApiAction]) -> ApiAction:
    """The action that the parameters name; `further` are those of extensions.

    Raises MissingAction, RepeatedParam or ActionNotFound.
    """
    names = [value for name, value in params if name == "action"]
    if not names or not names[0]:
        raise MissingAction(actions=", ".join((*ACTIONS, *further)))
    if len(names) > 1:
        raise RepeatedParam(param="action", times=len(names), action=names[0])
    action = ACTIONS.get(names[0]) or further.get(names[0])
    if action is None:
        known = (*ACTIONS, *further)
        hint = suggest(names[0], known) or f" Actions: {', '.join(known)}."
        raise ActionNotFound(action=names[0], hint=hint)
    return action
