"""The kinds of value a config knows, each with one clear sentence when something else came."""

import re
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainValidator,
    model_validator,
)

from sloth_ci.config.secret import Secret, list_secrets, read_secret, read_value
from sloth_ci.config.wording import came, kind_of

Network = IPv4Network | IPv6Network

#: The largest size that can be configured, in bytes.
MAX_BYTES = 10**15

_LISTEN_POINT = re.compile(r"[A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PAGE_NAME = re.compile(r"[A-Za-z0-9_-]{1,60}")
_FLAGS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_SIZE = re.compile(r"([0-9]{1,15})(\.[0-9]{1,15})?\s*([kMG]?)B?", re.IGNORECASE)
_UNITS = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000}
_UNTRACKED: frozenset[str] = frozenset()
_WHOLE = re.compile(r"[0-9]{1,15}")
_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{0,15})?|\.[0-9]{1,15}")


class Section(BaseModel):
    """A mapping of a config with known keys; frozen, and an unknown key is refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True
    )

    @model_validator(mode="before")
    @classmethod
    def _empty_is_a_mapping(cls, data: Any) -> Any:
        return {} if data is None else data

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        self.check()
        # Nobody asks which keys were written, and the set takes a fifth of a config's memory.
        object.__setattr__(self, "__pydantic_fields_set__", _UNTRACKED)
        return self

    def check(self) -> None:
        """Refuse values that don't go together: raise ValueError, to be read behind the name."""


def read_text(value: Any) -> str:
    """Text as it was written."""
    if not isinstance(value, str):
        raise ValueError(f"must be text, not {came(value)}")
    if "\0" in value:
        raise ValueError("must be text without a NUL character")
    return value


def read_filled(value: Any) -> str:
    """Text that is not empty."""
    text = read_text(value)
    if not text:
        raise ValueError(f"must be text, not {came(text)}")
    return text


def read_path(value: Any) -> str:
    """A path; one that starts with `~` names a home directory that there is."""
    text = read_filled(value)
    if not text.startswith("~"):
        return text
    try:
        Path(text).expanduser()
    except RuntimeError as error:
        raise ValueError(f"must be a path, and {came(text)} names no user's home") from error
    return text


def read_seconds(value: Any) -> float:
    """A number of seconds above 0."""
    seconds = float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else 0
    if not 0 < seconds < 1e9:
        raise ValueError(f"must be a number of seconds above 0, not {came(value)}")
    return seconds


def read_flag(value: Any) -> bool:
    """true or false."""
    if isinstance(value, str) and value.lower() in _FLAGS:
        return _FLAGS[value.lower()]
    raise ValueError(f"must be true or false, not {came(value)}")


def read_size(value: Any) -> int:
    """A number of bytes above 0, plain or with k, M or G behind it."""
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    unit = _UNITS[match[3].lower()] if match else 0
    size = int(match[1]) * unit + int(float(match[2] or 0) * unit) if match else 0
    if not 0 < size <= MAX_BYTES:
        raise ValueError(f"must be a size above 0 such as 500k or 16M, not {came(value)}")
    return size


def list_texts(value: Any) -> list[Any]:
    """A list of texts; a single text is a list of one."""
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list):
        raise ValueError(f"must be a list of texts, not {came(value)}")
    return items


def read_network(value: Any) -> Network:
    """An IP address or network, such as 192.0.2.0/24."""
    try:
        return ip_network(read_filled(value))
    except ValueError as error:
        raise ValueError(
            "must be an IP address or a network such as 192.0.2.0/24,"
            f" not {came(value)}{_suggest_network(value)}"
        ) from error


def read_listen_point(value: Any) -> str:
    """Segments joined by '/', none of them '.', '..' or a leading '-'."""
    text = read_text(value)
    segments = text.split("/")
    if (
        len(text) > 200
        or not _LISTEN_POINT.fullmatch(text)
        or {".", ".."} & set(segments)
        or segments[0] == "-"
    ):
        raise ValueError(
            "must be segments of letters, digits and . _ ~ - joined by '/'"
            f" (no '.' or '..', not starting with '-/', at most 200 characters), not {came(value)}"
        )
    return text


def read_identifier(value: Any) -> str:
    """What can be the name of a shell variable."""
    if isinstance(value, str) and _IDENTIFIER.fullmatch(value):
        return value
    raise ValueError("must have a name of letters, digits and _, not starting with a digit")


def read_page_name(value: Any) -> str:
    """A word that can stand in a path."""
    if isinstance(value, str) and _PAGE_NAME.fullmatch(value):
        return value
    raise ValueError(f"must be letters, digits, - and _, not {came(value)}")


def read_mapping(value: Any) -> dict[str, Any]:
    """A mapping; nothing is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"must be a mapping, not {kind_of(value)}")
    return value


def optional(reader: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A reader that takes null for 'without'."""

    def read_optional(value: Any) -> Any:
        return None if value is None else reader(value)

    return read_optional


def whole_number(least: int, most: int) -> Callable[[Any], int]:
    """A reader of whole numbers from `least` to `most`."""

    def read_number(value: Any) -> int:
        number = int(value) if isinstance(value, str) and _WHOLE.fullmatch(value) else None
        if number is None or not least <= number <= most:
            raise ValueError(f"must be a whole number from {least} to {most}, not {came(value)}")
        return number

    return read_number


def checked_by(reader: Callable[[Any], Any]) -> Any:
    """What makes `Annotated[type, ...]` a kind of value of its own; bad ones raise ValueError."""
    return PlainValidator(reader)


def one_of(*words: str) -> Any:
    """The kind of value that is one of these words."""

    def read_word(value: Any) -> str:
        if isinstance(value, str) and value in words:
            return value
        raise ValueError(f"must be one of {', '.join(words)}, not {came(value)}")

    return PlainValidator(read_word)


PageName = Annotated[str, PlainValidator(read_page_name)]
Text = Annotated[str, PlainValidator(read_text)]
Filled = Annotated[str, PlainValidator(read_filled)]
OptionalFilled = Annotated[str | None, PlainValidator(optional(read_filled))]
PathText = Annotated[str, PlainValidator(read_path)]
OptionalPath = Annotated[str | None, PlainValidator(optional(read_path))]
SecretText = Annotated[Secret, PlainValidator(read_secret)]
Secrets = Annotated[tuple[SecretText, ...], BeforeValidator(list_secrets)]
Value = Annotated[str, PlainValidator(read_value)]
Seconds = Annotated[float, PlainValidator(read_seconds)]
OptionalSeconds = Annotated[float | None, PlainValidator(optional(read_seconds))]
Flag = Annotated[bool, PlainValidator(read_flag)]
Size = Annotated[int, PlainValidator(read_size)]
OptionalSize = Annotated[int | None, PlainValidator(optional(read_size))]
Texts = Annotated[tuple[Filled, ...], BeforeValidator(list_texts)]
PathTexts = Annotated[tuple[PathText, ...], BeforeValidator(list_texts)]
Networks = Annotated[
    tuple[Annotated[Network, PlainValidator(read_network)], ...], BeforeValidator(list_texts)
]
ListenPoint = Annotated[str, PlainValidator(read_listen_point)]
Identifier = Annotated[str, PlainValidator(read_identifier)]
Names = Annotated[dict[Identifier, Value], BeforeValidator(read_mapping)]


def _suggest_network(value: Any) -> str:
    """The network whose address has bits set that its prefix length leaves out, as a question."""
    try:
        return f". Did you mean '{ip_network(value, strict=False)}'?"
    except ValueError:
        return ""
