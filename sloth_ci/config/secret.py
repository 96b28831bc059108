"""Secrets: text in the config, or values from outside it, which no message repeats."""

from os import environ
from pathlib import Path
from typing import Any

from pydantic import ValidationInfo

from sloth_ci.config.wording import kind_of
from sloth_ci.source import shorten

#: Characters of a file that `{file: path}` names.
MAX_SECRET = 64_000


class Secret(str):
    """Text that must not be shown to anybody: its `repr` hides it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret('***')"


def read_secret(value: Any, info: ValidationInfo) -> Secret:
    """Text, or `{env: NAME}`, or `{file: path}`: the value from outside; never empty."""
    secret = Secret(value) if isinstance(value, str) else _from_outside(value, _base_dir(info))
    if not secret:
        raise ValueError("must be a secret, and is an empty text")
    return secret


def read_value(value: Any, info: ValidationInfo) -> str:
    """As `read_secret`, but text that stands in the config itself is no secret; may be empty."""
    return value if isinstance(value, str) else _from_outside(value, _base_dir(info))


def list_secrets(value: Any) -> list[Any]:
    """One secret, or a list of them while they are being changed."""
    items = value if isinstance(value, list) else [value]
    if not items:
        raise ValueError("must be a secret or a list of secrets, not an empty list")
    return items


def _base_dir(info: ValidationInfo) -> Path:
    return Path((info.context or {}).get("base_dir", "."))


def _from_outside(value: Any, base_dir: Path) -> Secret:
    source = next(iter(value.items())) if isinstance(value, dict) and len(value) == 1 else None
    match source:
        case ("env", str(name)) if name:
            return _from_environment(name)
        case ("file", str(name)) if name and "\0" not in name:
            return _from_file(name, base_dir)
    raise ValueError(f"must be text, {{env: NAME}} or {{file: path}}, not {kind_of(value)}")


def _from_environment(name: str) -> Secret:
    if name not in environ:
        raise ValueError(f"wants the environment variable {shorten(name)}, which is not set")
    value = environ[name]
    if not _is_utf8(value):
        raise ValueError(f"wants the environment variable {shorten(name)}, which is no UTF-8 text")
    return Secret(value)


def _from_file(name: str, base_dir: Path) -> Secret:
    try:
        path = base_dir / Path(name).expanduser()
        if path.exists() and not path.is_file():
            raise ValueError(f"wants the file {shorten(name)}, which is no regular file")
        with path.open(encoding="utf-8") as file:
            text = file.read(MAX_SECRET + 1)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "it names no user's home"
        raise ValueError(
            f"wants the file {shorten(name)}, which can't be read: {reason}"
        ) from error
    except UnicodeDecodeError as error:
        raise ValueError(f"wants the file {shorten(name)}, which is no UTF-8 text") from error
    if len(text) > MAX_SECRET:
        raise ValueError(
            f"wants the file {shorten(name)}, which is longer than {MAX_SECRET} characters"
        )
    return Secret(text.rstrip("\r\n"))


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
