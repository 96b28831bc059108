"""The API: one table of actions, and one way from a request's parameters to an answer.

Docs, `sci` and tests are held against `ACTIONS`. Errors are raised; the web renders them.
"""

from sloth_ci.api.actions import ACTIONS, Life, Server
from sloth_ci.errors import ActionNotFound, MissingAction, RepeatedParam
from sloth_ci.parameters import EMPTY, Answer, ApiAction, Kind, Parameter, Params, bind
from sloth_ci.source import suggest

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
    "call",
    "find_action",
]


def call(server: Server, params: Params) -> tuple[int, Answer]:
    """Do what the request's parameters ask for; gives the status and the answer.

    Raises the error that the answer is to tell of.
    """
    action = find_action(params)
    return action.status, action.run(server, **bind(action, params))


def find_action(params: Params) -> ApiAction:
    """The action that the parameters name.

    Raises MissingAction, RepeatedParam or ActionNotFound.
    """
    names = [value for name, value in params if name == "action"]
    if not names or not names[0]:
        raise MissingAction(actions=", ".join(ACTIONS))
    if len(names) > 1:
        raise RepeatedParam(param="action", times=len(names), action=names[0])
    if names[0] not in ACTIONS:
        hint = suggest(names[0], ACTIONS) or f" Actions: {', '.join(ACTIONS)}."
        raise ActionNotFound(action=names[0], hint=hint)
    return ACTIONS[names[0]]
