"""An action of the API as data: what it takes, how a request's texts become that, what it gives."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from time import time
from typing import Any, Protocol

from sloth_ci.errors import BadParam, MissingParam, RepeatedParam, UnknownParam
from sloth_ci.source import suggest

#: Numbers above this are no page, no level and no id of a build.
MAX_NUMBER = 1_000_000_000
#: Records are counted further than builds; above this, JSON's readers round.
MAX_CURSOR = 2**53 - 1
#: The end of the year 9999.
MAX_MOMENT = 253_402_300_799

Params = Sequence[tuple[str, str]]
#: The header of that name, '' when the request has none.
Header = Callable[[str], str]


class Kind(Enum):
    """What a parameter's text stands for."""

    TEXT = "text"
    NUMBER = "a whole number from 1"
    #: A place in a list that goes on: what comes before or after that id.
    CURSOR = "a whole number from 0"
    SECONDS = "a number of seconds"
    MOMENT = (
        "a moment: seconds since 1970, a time such as 2026-03-01T14:30:00Z,"
        " or how long ago, such as 90s, 15m, 12h or 7d"
    )
    FLAG = "true or false"
    CHOICE = "one of"


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
    #: The words that a CHOICE has.
    choices: tuple[str, ...] = ()
    #: The greatest NUMBER or SECONDS.
    most: int | None = None

    @property
    def wanted(self) -> str:
        """What its text must be, as it stands in a sentence."""
        if self.kind is Kind.CHOICE:
            return f"one of {', '.join(self.choices)}"
        return self.kind.value if self.most is None else f"{self.kind.value} to {self.most}"


class Stream(Protocol):
    """An answer that goes on: it is asked for more whenever something may have happened."""

    #: The media type of the whole.
    content_type: str

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""

    def pull(self) -> bytes:
        """What is new, b'' when nothing is; never waits.

        Events and lines are whole, and it is a few hundred kB at most: the rest comes next time.
        """

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
    #: Does the same and does not wait, where that can be: gives what is pending, else None.
    begin: Callable[..., Any] | None = None
    changes_state: bool = False
    #: Every further parameter belongs to the user's actions and comes in `params`.
    open: bool = False
    #: Gets the name of who asks as `actor`, '' when nobody had to log in.
    wants_actor: bool = False
    #: Answered without login where the server config permits it (`open_health`).
    open_to_all: bool = False
    #: Parameters of a request that makes sense, for `help`.
    example: Mapping[str, str] = field(default_factory=dict)
    #: Headers, in lower case, that stand for a parameter and win over it.
    headers: Mapping[str, str] = field(default_factory=dict)


def bind(
    action: ApiAction,
    params: Params,
    *,
    header: Header = lambda _name: "",
    now: Callable[[], float] = time,
) -> dict[str, Any]:
    """The arguments of the action's function, checked.

    Raises MissingParam, RepeatedParam, UnknownParam or BadParam.
    """
    given: dict[str, list[str]] = {}
    for name, value in params:
        given.setdefault(name, []).append(value)
    del given["action"]
    given |= {name: [header(sent)] for sent, name in action.headers.items() if header(sent)}
    arguments = {
        parameter.name: _bind_one(action, parameter, given.pop(parameter.name, []), now)
        for parameter in action.parameters
    }
    if action.open:
        arguments["params"] = {name: _once(action, name, values) for name, values in given.items()}
    elif given:
        name = next(iter(given))
        known = [parameter.name for parameter in action.parameters]
        raise UnknownParam(action=action.name, param=name, hint=_known(name, known))
    return arguments


def _bind_one(
    action: ApiAction, parameter: Parameter, values: list[str], now: Callable[[], float]
) -> Any:
    if parameter.many:
        return tuple(_read(parameter, text, now) for text in values)
    text = _once(action, parameter.name, values) if values else ""
    if not text:
        if parameter.required:
            raise MissingParam(param=parameter.name, action=action.name)
        if not values or parameter.kind is Kind.TEXT:
            return parameter.default
    return _read(parameter, text, now)


def _once(action: ApiAction, name: str, values: list[str]) -> str:
    if len(values) > 1:
        raise RepeatedParam(param=name, times=len(values), action=action.name)
    return values[0]


def _read(parameter: Parameter, text: str, now: Callable[[], float]) -> Any:
    if parameter.kind is Kind.MOMENT:
        value = _read_moment(text, now)
    else:
        value = _READERS[parameter.kind](parameter, text)
    if value is None:
        raise BadParam(param=parameter.name, wanted=parameter.wanted, came=text[:40])
    return value


def _read_text(_parameter: Parameter, text: str) -> str:
    return text


def _read_number(parameter: Parameter, text: str) -> int | None:
    return _read_whole(text, 1, MAX_NUMBER if parameter.most is None else parameter.most)


def _read_cursor(_parameter: Parameter, text: str) -> int | None:
    return _read_whole(text, 0, MAX_CURSOR)


def _read_whole(text: str, least: int, most: int) -> int | None:
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 17 else -1
    return number if least <= number <= most else None


def _read_seconds(parameter: Parameter, text: str) -> float | None:
    seconds = float(text) if _DECIMAL.fullmatch(text) else -1.0
    return seconds if 0 <= seconds <= (parameter.most or MAX_NUMBER) else None


def _read_flag(_parameter: Parameter, text: str) -> bool | None:
    return _FLAGS.get(text.lower())


def _read_choice(parameter: Parameter, text: str) -> str | None:
    return text if text in parameter.choices else None


def _read_moment(text: str, now: Callable[[], float]) -> float | None:
    """Seconds since 1970; a time without an offset is UTC."""
    if age := _AGE.fullmatch(text):
        return max(0.0, now() - float(age[1]) * _UNITS[age[2]])
    if _DECIMAL.fullmatch(text):
        moment = float(text)
    else:
        try:
            read = datetime.fromisoformat(text)
            moment = (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            return None
    return moment if math.isfinite(moment) and 0 <= moment <= MAX_MOMENT else None


_DECIMAL = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")
_AGE = re.compile(r"([0-9]{1,9})([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_READERS: Mapping[Kind, Callable[[Parameter, str], Any]] = {
    Kind.TEXT: _read_text,
    Kind.NUMBER: _read_number,
    Kind.CURSOR: _read_cursor,
    Kind.SECONDS: _read_seconds,
    Kind.FLAG: _read_flag,
    Kind.CHOICE: _read_choice,
}


def _known(name: str, known: list[str]) -> str:
    listing = f" It takes: {', '.join(known)}." if known else " It takes none."
    return suggest(name, known) + listing
