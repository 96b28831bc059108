"""A delivery's body as data: asked for by path, clear about what is missing."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from sloth_ci.errors import BadBody, BadPayload
from sloth_ci.request import Request

#: Levels of objects and lists in a body; real payloads have less than fifteen.
MAX_DEPTH = 100
MAX_FIELDS = 1_000
#: Characters of one value; a build's environment takes no more than 128 kB of one.
MAX_TEXT = 8_000
MAX_MESSAGE = 30_000

Steps = tuple[str, ...]

_COMMIT = re.compile(r"[0-9a-fA-F]{40}([0-9a-fA-F]{24})?")
_SHORT_COMMIT = re.compile(r"[0-9a-fA-F]{12,64}")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEP_DOWN = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Number:
    """A JSON number as it was written: 1.10 is not 1.1."""

    text: str


class Payload:
    """A JSON value of a delivery; every reader raises BadPayload that names the field.

    Paths are keys and list positions joined by dots, such as `push.changes.0.new.name`.
    """

    __slots__ = ("_at", "_data", "_provider")

    def __init__(self, provider: str, data: Any, *, at: Steps = ()) -> None:
        self._provider = provider
        self._data = data
        self._at = at

    def has(self, path: str) -> bool:
        """Whether there is a value other than null."""
        return self._find(_steps(path)) is not None

    def text(self, path: str) -> str:
        """The text there; not empty."""
        value = self._find(_steps(path))
        if type(value) is not str or not value:
            self._refuse(_steps(path), "text", value)
        return self._checked(_steps(path), value)

    def optional_text(self, path: str) -> str:
        """The text there, '' when there is none or null."""
        value = self._find(_steps(path))
        if value is None:
            return ""
        if type(value) is not str:
            self._refuse(_steps(path), "text", value)
        return self._checked(_steps(path), value)

    def optional_message(self, path: str) -> str:
        """As `optional_text`, but a long text is cut and not refused."""
        value = self._find(_steps(path))
        if type(value) is not str:
            return self.optional_text(path)
        return self._checked(_steps(path), value[:MAX_MESSAGE], most=MAX_MESSAGE)

    def first_text(self, *paths: str) -> str:
        """The first text that is there and not empty, '' when none is."""
        return next(filter(None, map(self.optional_text, paths)), "")

    def commit(self, path: str) -> str:
        """A full commit hash: 40 or 64 hex digits."""
        return self._hash(path, _COMMIT, "a commit hash of 40 or 64 hex digits")

    def optional_commit(self, path: str) -> str:
        """A full commit hash, '' when there is none, null or an empty text."""
        return self.commit(path) if self.optional_text(path) else ""

    def short_commit(self, path: str) -> str:
        """A commit hash that may be cut to its first twelve digits."""
        return self._hash(path, _SHORT_COMMIT, "a commit hash of at least 12 hex digits")

    def flag(self, path: str) -> bool:
        """true or false; false when there is none or null."""
        value = self._find(_steps(path))
        if value is None:
            return False
        if not isinstance(value, bool):
            self._refuse(_steps(path), "true or false", value)
        return value

    def number(self, path: str) -> Number:
        """The number there."""
        value = self._find(_steps(path))
        if not isinstance(value, Number):
            self._refuse(_steps(path), "a number", value)
        return value

    def part(self, path: str) -> "Payload":
        """The object there; its readers' paths start in it."""
        value = self._find(_steps(path))
        if not isinstance(value, dict):
            self._refuse(_steps(path), "an object", value)
        return Payload(self._provider, value, at=(*self._at, *_steps(path)))

    def parts(self, path: str) -> list["Payload"]:
        """The objects of the list there."""
        value = self._find(_steps(path))
        if not isinstance(value, list):
            self._refuse(_steps(path), "a list", value)
        return [self.part(f"{path}.{position}") for position in range(len(value))]

    def optional_scalar(self, steps: Steps) -> str | None:
        """Text, a number or true/false as text; None when there is none or null."""
        value = self._find(steps)
        if isinstance(value, Number):
            value = value.text
        if isinstance(value, bool):
            value = str(value).lower()
        if value is None:
            return None
        if type(value) is not str:
            self._refuse(steps, "text, a number, true or false", value)
        return self._checked(steps, value, most=MAX_MESSAGE)

    def scalar(self, steps: Steps) -> str:
        """Text, a number or true/false, as text."""
        value = self.optional_scalar(steps)
        if value is None:
            self._refuse(steps, "text, a number, true or false", None)
        return value

    def texts(self) -> Mapping[str, str]:
        """The texts that stand in this object itself, unchecked."""
        return {key: value for key, value in self._data.items() if type(value) is str}

    def _hash(self, path: str, pattern: re.Pattern[str], wanted: str) -> str:
        value = self.text(path)
        if not pattern.fullmatch(value):
            self._refuse(_steps(path), wanted, value)
        return value

    def _find(self, steps: Steps) -> Any:
        value = self._data
        for depth, step in enumerate(steps):
            if isinstance(value, dict):
                value = value.get(step)
            elif isinstance(value, list) and step.isascii() and step.isdecimal():
                value = value[int(step)] if len(step) < 10 and int(step) < len(value) else None
            else:
                self._refuse(steps[:depth], "an object", value)
            if value is None:
                return None
        return value

    def _checked(self, steps: Steps, value: str, *, most: int = MAX_TEXT) -> str:
        return check_text(value, provider=self._provider, field=self._name(steps), most=most)

    def _refuse(self, steps: Steps, wanted: str, value: Any) -> NoReturn:
        raise BadPayload(
            provider=self._provider, field=self._name(steps), wanted=wanted, came=describe(value)
        )

    def _name(self, steps: Steps) -> str:
        return ".".join((*self._at, *steps)) or "body"


def read_json(request: Request, *, provider: str) -> Payload:
    """The body, which must be one JSON object.

    Refused with BadBody: anything but UTF-8 without a byte order mark, a key given twice, NaN and
    the infinities, more than MAX_DEPTH levels.
    """
    return Payload(provider, _load_object(request.body))


def read_json_or_form(request: Request, *, provider: str) -> Payload:
    """The body, a JSON object by itself or in the form field `payload`."""
    if not is_form(request):
        return read_json(request, provider=provider)
    fields = read_form(request)
    if "payload" not in fields:
        raise BadPayload(
            provider=provider, field="payload", wanted="a form field", came=describe(None)
        )
    return Payload(provider, _load_object(fields["payload"].encode()))


def is_form(request: Request) -> bool:
    """Whether the content type says that the body is a form."""
    kind = request.header("Content-Type").partition(";")[0].strip().lower()
    return kind == "application/x-www-form-urlencoded"


def read_form(request: Request) -> Mapping[str, str]:
    """The body's form fields; raises BadBody, also for a field given twice."""
    try:
        pairs = parse_qsl(
            request.body.decode("utf-8"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except UnicodeDecodeError as error:
        raise BadBody(wanted="a form", reason="it is not UTF-8 text") from error
    except ValueError as error:
        raise BadBody(wanted="a form", reason=f"it has more than {MAX_FIELDS} fields") from error
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise BadBody(wanted="a form", reason="a field stands twice")
    return fields


def check_text(value: str, *, provider: str, field: str, most: int = MAX_TEXT) -> str:
    """The value, unless it is too long or has characters that no environment can carry."""
    if len(value) > most:
        wanted, came = f"at most {most} characters", f"{len(value)}"
    elif "\0" in value:
        wanted, came = "text without NUL characters", describe(value)
    elif not _is_unicode(value):
        wanted, came = "valid Unicode text", describe(value)
    else:
        return value
    raise BadPayload(provider=provider, field=field, wanted=wanted, came=came)


def describe(value: Any) -> str:
    """A value in words that fit behind 'not'."""
    if value is None:
        return "nothing"
    if isinstance(value, Number):
        return "a number"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value if len(value) <= 60 else value[:57] + "...")
    return "a list" if isinstance(value, list) else "an object"


def _load_object(body: bytes) -> dict[str, Any]:
    wanted = "a JSON object"
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadBody(wanted=wanted, reason="it is not UTF-8 text") from error
    if text.startswith("\ufeff"):
        raise BadBody(wanted=wanted, reason="it starts with a byte order mark")
    # Few brackets can't go deep, and are counted far faster.
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _depth(body) > MAX_DEPTH:
        raise BadBody(wanted=wanted, reason=f"it is nested more than {MAX_DEPTH} levels deep")
    try:
        data = json.loads(
            text,
            object_pairs_hook=_read_pairs,
            parse_constant=_refuse_constant,
            parse_float=Number,
            parse_int=Number,
        )
    except ValueError as error:
        reason = "it is empty" if not body else str(error)
        raise BadBody(wanted=wanted, reason=reason) from error
    if not isinstance(data, dict):
        raise BadBody(wanted=wanted, reason=f"it is {describe(data)}")
    return data


def _depth(body: bytes) -> int:
    """How deep the brackets outside of strings go; exact up to the first fault of the JSON."""
    unescaped = body.replace(rb"\\", b"").replace(rb"\"", b"")
    brackets = b"".join(unescaped.split(b'"')[::2]).translate(None, delete=_NOT_BRACKETS)
    return max(accumulate(map(_STEP_DOWN.__getitem__, brackets)), default=0)


def _read_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {describe(twice)} stands twice")
    return data


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _is_unicode(value: str) -> bool:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _steps(path: str) -> Steps:
    return tuple(path.split("."))
