"""The kinds of value a config knows, each with one clear sentence when something else came."""

import re
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_network
from os import environ
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainValidator, ValidationInfo, model_validator

Network = IPv4Network | IPv6Network

_LISTEN_POINT = re.compile(r"[A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FLAGS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMG]?)B?", re.IGNORECASE)
_UNITS = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000}


class Section(BaseModel):
    """A mapping of a config with known keys; frozen, and an unknown key is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_a_mapping(cls, data: Any) -> Any:
        return {} if data is None else data

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        self.check()
        return self

    def check(self) -> None:
        """Refuse values that don't go together: raise ValueError, to be read behind the name."""


class Secret(str):
    """Text that must not be shown to anybody: its `repr` hides it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret('***')"


def came(value: Any) -> str:
    """What stands in the config, in words that fit behind 'not'."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return f"'{value if len(value) <= 60 else value[:57] + '...'}'"
    return f"a value tagged {value.tag}" if hasattr(value, "tag") else repr(value)


def read_text(value: Any) -> str:
    """Text as it was written."""
    if isinstance(value, str):
        return value
    raise ValueError(f"must be text, not {came(value)}")


def read_secret(value: Any, info: ValidationInfo) -> Secret:
    """Text, or `{env: NAME}`, or `{file: path}`: the value from outside."""
    if isinstance(value, str):
        return Secret(value)
    return _from_outside(value, _base_dir(info))


def read_value(value: Any, info: ValidationInfo) -> str:
    """As `read_secret`, but text that stands in the config itself is no secret."""
    return value if isinstance(value, str) else _from_outside(value, _base_dir(info))


def read_secrets(value: Any, info: ValidationInfo) -> tuple[Secret, ...]:
    """One secret, or a list of them while they are being changed."""
    items = value if isinstance(value, list) else [value]
    secrets = tuple(read_secret(item, info) for item in items)
    if not secrets or not all(secrets):
        raise ValueError("must be a secret or a list of secrets, none of them empty")
    return secrets


def read_seconds(value: Any) -> float:
    """A number of seconds above 0."""
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = -1
    if not 0 < seconds < 1e9:
        raise ValueError(f"must be a number of seconds above 0, not {came(value)}")
    return seconds


def read_flag(value: Any) -> bool:
    """true or false."""
    if isinstance(value, str) and value.lower() in _FLAGS:
        return _FLAGS[value.lower()]
    raise ValueError(f"must be true or false, not {came(value)}")


def read_size(value: Any) -> int:
    """A number of bytes, plain or with k, M or G behind it."""
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"must be a size such as 500k or 16M, not {came(value)}")
    return int(float(match[1]) * _UNITS[match[2].lower()])


def read_texts(value: Any) -> tuple[str, ...]:
    """A list of texts; a single text is a list of one."""
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) and item for item in items):
        raise ValueError(f"must be a list of texts, not {came(value)}")
    return tuple(items)


def read_networks(value: Any) -> tuple[Network, ...]:
    """A list of IP addresses and networks, such as 192.0.2.0/24."""
    try:
        return tuple(ip_network(item) for item in read_texts(value))
    except ValueError as error:
        raise ValueError(
            f"must be a list of IP addresses or networks such as 192.0.2.0/24: {error}"
        ) from error


def read_listen_point(value: Any) -> str:
    """Segments joined by '/', none of them '.', '..' or a leading '-'."""
    text = read_text(value)
    segments = text.split("/")
    if (
        not _LISTEN_POINT.fullmatch(text)
        or {".", ".."} & set(segments)
        or segments[0] == "-"
        or len(text) > 200
    ):
        raise ValueError(
            "must be segments of letters, digits and . _ ~ - joined by '/'"
            f" (no '.' or '..', not starting with '-/', at most 200 characters), not {came(value)}"
        )
    return text


def read_names(value: Any) -> dict[str, Any]:
    """A mapping whose keys can be names of shell variables."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"must be a mapping, not {came(value)}")
    for name in value:
        if not _IDENTIFIER.fullmatch(name):
            raise ValueError(
                f"has the name '{name}'; names are letters, digits and _, not starting with a digit"
            )
    return value


def optional(reader: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A reader that takes null for 'without'."""

    def read_optional(value: Any) -> Any:
        return None if value is None else reader(value)

    return read_optional


def whole_number(least: int, most: int) -> Callable[[Any], int]:
    """A reader of whole numbers from `least` to `most`."""

    def read_number(value: Any) -> int:
        number = int(value) if isinstance(value, str) and value.isdecimal() else None
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


Text = Annotated[str, PlainValidator(read_text)]
SecretText = Annotated[Secret, PlainValidator(read_secret)]
Secrets = Annotated[tuple[Secret, ...], PlainValidator(read_secrets)]
Value = Annotated[str, PlainValidator(read_value)]
Seconds = Annotated[float, PlainValidator(read_seconds)]
OptionalSeconds = Annotated[float | None, PlainValidator(optional(read_seconds))]
OptionalText = Annotated[str | None, PlainValidator(optional(read_text))]
Flag = Annotated[bool, PlainValidator(read_flag)]
Size = Annotated[int, PlainValidator(read_size)]
Texts = Annotated[tuple[str, ...], PlainValidator(read_texts)]
Networks = Annotated[tuple[Network, ...], PlainValidator(read_networks)]
ListenPoint = Annotated[str, PlainValidator(read_listen_point)]
Names = Annotated[dict[str, Value], BeforeValidator(read_names)]


def _base_dir(info: ValidationInfo) -> Path:
    return Path((info.context or {}).get("base_dir", "."))


def _from_outside(value: Any, base_dir: Path) -> Secret:
    source = next(iter(value.items())) if isinstance(value, dict) and len(value) == 1 else None
    match source:
        case ("env", str(name)):
            if name not in environ:
                raise ValueError(f"wants the environment variable {name}, which is not set")
            return Secret(environ[name])
        case ("file", str(name)):
            path = base_dir / Path(name).expanduser()
            try:
                return Secret(path.read_text(encoding="utf-8").rstrip("\r\n"))
            except (OSError, ValueError) as error:
                raise ValueError(f"wants the file {name}, which can't be read") from error
    raise ValueError(f"must be text, {{env: NAME}} or {{file: path}}, not {came(value)}")
