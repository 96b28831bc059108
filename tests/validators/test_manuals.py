"""Each provider's manual, its module's docstring, holds a config that works."""

import ast
import textwrap
from importlib import import_module
from pathlib import Path

import pytest
from deliveries import find_validator, parse

from sloth_ci.config import AppConfig
from sloth_ci.validators import BUILT_IN
from sloth_ci.validators import __file__ as package


def manual(provider: str) -> str:
    text = import_module(f"sloth_ci.validators.{provider}").__doc__
    assert text
    return text


def config(provider: str) -> AppConfig:
    """The indented part of the manual, as an app's config."""
    _, found, rest = manual(provider).partition("\n    listen_point:")
    lines = f"    listen_point:{rest}".splitlines()
    end = next(n for n, line in enumerate(lines) if line and not line.startswith("    "))
    assert found
    return parse(textwrap.dedent("\n".join(lines[:end])))


@pytest.mark.parametrize("provider", BUILT_IN)
def test_its_config_makes_a_validator(provider: str) -> None:
    app = config(provider)
    assert app.provider
    assert app.provider.name == provider
    assert app.actions
    assert find_validator(provider)(app.provider.options).options == app.provider.options


@pytest.mark.parametrize("provider", BUILT_IN)
def test_it_names_every_option_of_its_own(provider: str) -> None:
    own = set(find_validator(provider).Options.model_fields) - {"allow_unsigned", "trusted_ips"}
    if provider == "dummy":
        own = {"branches", "secret"}
    assert not {option for option in own if option not in manual(provider)}


def test_the_list_of_providers_is_complete() -> None:
    shared = {"__init__", "changes", "headers", "payload", "pushes", "rules", "signatures"}
    modules = {file.stem for file in Path(package).parent.glob("*.py")}
    assert modules - shared == set(BUILT_IN)


def test_nothing_but_the_shared_check_compares_secrets() -> None:
    for file in Path(package).parent.glob("*.py"):
        names = {
            node.attr
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.Attribute)
        }
        assert ("compare_digest" in names) == (file.stem == "signatures")
