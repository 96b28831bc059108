"""The manual of an extension is its module's docstring, and what it shows has to load."""

import re
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from sloth_ci.bed import VALIDATORS
from sloth_ci.config import AppConfig, Section, parse_app
from sloth_ci.registry import find

_YAML = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def configs_in(module: ModuleType, *, base_dir: Path) -> list[AppConfig]:
    """Every app config that the manual shows, with all options checked."""
    texts = _YAML.findall(module.__doc__ or "")
    return [
        parse_app(text, base_dir=base_dir, find_options=_find_options, find_extension=_find)
        for text in texts
    ]


def options_in(module: ModuleType, *, base_dir: Path) -> list[Any]:
    """The module's own options in every app config of its manual."""
    name = module.__name__.rpartition(".")[2]
    return [
        declared.options
        for config in configs_in(module, base_dir=base_dir)
        for declared in config.extensions.values()
        if declared.module == name
    ]


def read_options(module: ModuleType, said: dict[str, Any], base_dir: Path) -> Any:
    """Options as a config says them, checked."""
    return module.EXTENSION.Options.model_validate(said, context={"base_dir": base_dir})


def _find_options(name: str) -> type[Section]:
    options: type[Section] = find(VALIDATORS, name).Options
    return options


def _find(name: str) -> type[Section]:
    options: type[Section] = import_module(f"sloth_ci_extensions.{name}").EXTENSION.Options
    return options
