"""The registry: built-in things first, then those of installed packages, then the nearest name."""

from collections.abc import Callable
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from sloth_ci import registry
from sloth_ci.bed import VALIDATORS
from sloth_ci.registry import Kind, find
from sloth_ci.validators import BUILT_IN, Validator


class Installed(Validator):
    """What another package might bring."""


NOT_A_VALIDATOR = "text"
GROUP = VALIDATORS.group

Install = Callable[..., list[str]]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Pretend that packages with these entry points are installed: `install(name="module:it")`."""
    registry._installed.cache_clear()

    def pretend(**points: str) -> list[str]:
        asked: list[str] = []

        def entry_points(*, group: str) -> list[EntryPoint]:
            asked.append(group)
            return [EntryPoint(name, value, group) for name, value in points.items()]

        monkeypatch.setattr(registry, "entry_points", entry_points)
        return asked

    yield pretend
    registry._installed.cache_clear()


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_thing_is_found(name: str, install: Install) -> None:
    asked = install()
    assert issubclass(find(VALIDATORS, name), Validator)
    assert asked == []


def test_a_thing_of_an_installed_package_is_found(install: Install) -> None:
    install(other="tests.test_registry:Installed")
    assert find(VALIDATORS, "other").__name__ == "Installed"


def test_a_built_in_thing_can_not_be_replaced(install: Install) -> None:
    install(github="tests.test_registry:Installed")
    assert find(VALIDATORS, "github").__module__ == "sloth_ci.validators.github"


def test_installed_packages_are_looked_through_once(install: Install) -> None:
    asked = install(other="tests.test_registry:Installed")
    for _ in range(3):
        find(VALIDATORS, "other")
    assert asked == [GROUP]


def test_an_unknown_name_tells_the_nearest_and_all(install: Install) -> None:
    install(svnhub="tests.test_registry:Installed")
    kind = Kind(word="provider", group="x", constant="X", built_in=("github", "gogs"))
    with pytest.raises(LookupError) as caught:
        find(kind, "svmhub")
    assert caught.value.args == (
        "there is no provider 'svmhub'. Did you mean 'svnhub'? Known: github, gogs, svnhub.",
    )


def test_a_name_like_no_other_tells_all(install: Install) -> None:
    install()
    kind = Kind(word="provider", group="x", constant="X", built_in=("github", "gogs"))
    with pytest.raises(LookupError, match=r"^there is no provider 'zz'\. Known: github, gogs\.$"):
        find(kind, "zz")


@pytest.mark.parametrize("name", ["", "__init__", "../os", "os", "payload", "x\x1b" * 10_000])
def test_what_is_no_name_of_a_thing_imports_nothing(name: str, install: Install) -> None:
    install()
    with pytest.raises(LookupError) as caught:
        find(VALIDATORS, name)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("point", "reason"),
    [
        ("no_such_module_there:X", "ModuleNotFoundError: No module named 'no_such_module_there'"),
        ("tests.test_registry:Missing", "AttributeError"),
        ("tests.broken_on_import:X", "ZeroDivisionError"),
    ],
    ids=["its module is missing", "its name is missing", "its module fails"],
)
def test_a_thing_that_can_not_be_loaded_says_why(
    point: str, reason: str, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_point: EntryPoint) -> None:
        raise ZeroDivisionError("division by zero")

    if "broken" in point:
        monkeypatch.setattr(EntryPoint, "load", fail)
    install(other=point)
    with pytest.raises(LookupError) as caught:
        find(VALIDATORS, "other")
    assert str(caught.value).startswith(f"the provider 'other' can't be loaded: {reason}")
    assert caught.value.__cause__ is not None


def test_a_thing_whose_module_would_end_the_server_can_not_be_loaded(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(_point: EntryPoint) -> None:
        raise SystemExit("enough")

    monkeypatch.setattr(EntryPoint, "load", leave)
    install(other="tests.leaving_on_import:X")
    with pytest.raises(LookupError, match="can't be loaded: SystemExit: enough"):
        find(VALIDATORS, "other")


@pytest.mark.parametrize("name", ["NOT_A_VALIDATOR", "Kind"])
def test_a_thing_of_another_kind_is_refused(name: str, install: Install) -> None:
    install(other=f"tests.test_registry:{name}")
    with pytest.raises(LookupError) as caught:
        find(VALIDATORS, "other")
    assert str(caught.value) == (
        f"the provider 'other' can't be used: tests.test_registry:{name} is no"
        " sloth_ci.validators.Validator"
    )
