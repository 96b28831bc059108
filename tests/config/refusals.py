"""What the tests of both configs share: read a text, and read what it was refused for."""

from pathlib import Path
from typing import Any

import pytest

from sloth_ci.bed import VALIDATORS
from sloth_ci.config import AppConfig, Section, ServerConfig, parse_app, parse_server
from sloth_ci.errors import ConfigInvalid
from sloth_ci.registry import find


def find_options(name: str) -> type[Section]:
    """The options of a real provider."""
    options: type[Section] = find(VALIDATORS, name).Options
    return options


def read_app(text: str, base_dir: Path = Path("/nowhere")) -> AppConfig:
    """An app's config."""
    return parse_app(text, base_dir=base_dir, find_options=find_options)


def read_server(text: str, base_dir: Path = Path("/nowhere")) -> ServerConfig:
    """A server's config."""
    return parse_server(text, base_dir=base_dir)


def refusals(read: Any, text: str, base_dir: Path = Path("/nowhere")) -> list[tuple[Any, ...]]:
    """Each problem of a refused text, as line, column and sentence."""
    with pytest.raises(ConfigInvalid) as caught:
        read(text, base_dir)
    return [
        (found["line"], found["column"], found["problem"])
        for found in caught.value.details["problems"]
    ]
