"""An action of the API as data: what it takes, how a request's texts become that, what it gives."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from sloth_ci.errors import BadParam, MissingParam, RepeatedParam, UnknownParam
from sloth_ci.source import suggest

#: Numbers above this are no page, no level and no id.
MAX_NUMBER = 1_000_000_000

Params = Sequence[tuple[str, str]]


class Kind(Enum):
    """What a parameter's text stands for."""

    TEXT = "text"
    NUMBER = "a whole number from 1"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of an action."""

    name: str
    about: str
    kind: Kind = Kind.TEXT
    required: bool = False
    #: May be given any number of times.
    many: bool = False
    default: Any = None


class Stream(Protocol):
    """An answer that goes on: it is asked for more whenever something may have happened."""

    #: The media type of the whole.
    content_type: str

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""

    def pull(self) -> bytes:
        """What is new, b'' when nothing is; never waits."""

    def close(self) -> bytes:
        """The last words when the server ends it: b'' for none."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an action gives back: a JSON value, nothing at all when `empty`, or a `stream`."""

    value: Any = None
    empty: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    stream: Stream | None = None


EMPTY = Answer(empty=True)


@dataclass(frozen=True, slots=True)
class ApiAction:
    """One thing that the API can be asked for."""

    name: str
    #: The HTTP status of its success.
    status: int
    about: str
    run: Callable[..., Answer]
    parameters: tuple[Parameter, ...] = ()
    changes_state: bool = False
    #: Every further parameter belongs to the user's actions and comes in `params`.
    open: bool = False


def bind(action: ApiAction, params: Params) -> dict[str, Any]:
    """The arguments of the action's function, checked.

    Raises MissingParam, RepeatedParam, UnknownParam or BadParam.
    """
    given: dict[str, list[str]] = {}
    for name, value in params:
        given.setdefault(name, []).append(value)
    del given["action"]
    arguments = {
        parameter.name: _bind_one(action, parameter, given.pop(parameter.name, []))
        for parameter in action.parameters
    }
    if action.open:
        arguments["params"] = {name: _once(action, name, values) for name, values in given.items()}
    elif given:
        name = next(iter(given))
        known = [parameter.name for parameter in action.parameters]
        raise UnknownParam(action=action.name, param=name, hint=_known(name, known))
    return arguments


def _bind_one(action: ApiAction, parameter: Parameter, values: list[str]) -> Any:
    if parameter.many:
        return tuple(values)
    text = _once(action, parameter.name, values) if values else ""
    if not text:
        if parameter.required:
            raise MissingParam(param=parameter.name, action=action.name)
        if not values or parameter.kind is Kind.TEXT:
            return parameter.default
    return _number(parameter, text) if parameter.kind is Kind.NUMBER else text


def _once(action: ApiAction, name: str, values: list[str]) -> str:
    if len(values) > 1:
        raise RepeatedParam(param=name, times=len(values), action=action.name)
    return values[0]


def _number(parameter: Parameter, text: str) -> int:
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 12 else 0
    if not 1 <= number <= MAX_NUMBER:
        raise BadParam(param=parameter.name, wanted=parameter.kind.value, came=text[:40])
    return number


def _known(name: str, known: list[str]) -> str:
    listing = f" It takes: {', '.join(known)}." if known else " It takes none."
    return suggest(name, known) + listing
