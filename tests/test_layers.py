"""The house stands on its ground: imports go down only, each outside library has its room."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent / "sloth_ci"

#: From the ground up: a room may import those before it, and nothing of those behind it.
LAYERS = (
    "errors",
    "records",
    "masking",
    "request",
    "logs",
    "source",
    "alarms",
    "background",
    "parameters",
    "template",
    "builds",
    "config",
    "shell",
    "store",
    "registry",
    "hooks",
    "journal",
    "executors",
    "validators",
    "outgoing",
    "extension",
    "trial",
    "deliveries",
    "app",
    "bed",
    "api",
    "page",
    "web",
    "server",
    "client",
    "command",
    "render",
    "doctor",
    "cli",
    "__main__",
)
#: Outside libraries, and the only rooms, or modules of rooms, that may import them.
ROOMS = {
    "argon2": {"web.login", "cli.passwords"},
    "cheroot": {"web"},
    "cherrypy": {"web", "server"},
    "cliar": {"cli"},
    "colorama": {"render"},
    "jinja2": {"page"},
    "markupsafe": {"page"},
    "multipart": {"web.parameters"},
    "pluggy": {"hooks"},
    "pydantic": {"config"},
    "pydantic_core": {"config"},
    "tabulate": {"render"},
    "urllib3": {"client", "outgoing"},
    "yaml": {"source"},
    # Of the standard library, but no less worth a room.
    "sqlite3": {"store"},
    "subprocess": {"shell"},
}


@dataclass(frozen=True)
class Import:
    """One name that one module imports, wherever in its text that stands."""

    #: Both without `sloth_ci.` in front where they are ours.
    importer: str
    imported: str
    ours: bool


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name, `sloth_ci` itself excepted."""
    found = {}
    for file in sorted(HOUSE.rglob("*.py")):
        steps = file.relative_to(HOUSE).with_suffix("").parts
        name = ".".join(step for step in steps if step != "__init__")
        if name:
            found[name] = file
    return found


def imports(importer: str, source: str, known: set[str]) -> Iterator[Import]:
    """What a module's source imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _read(importer, alias.name, known)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{importer} has a relative import"
            for alias in node.names:
                yield from _read(importer, f"{node.module}.{alias.name}", known)


def _read(importer: str, name: str, known: set[str]) -> Iterator[Import]:
    first, _, rest = name.partition(".")
    if first != "sloth_ci":
        yield Import(importer, name, ours=False)
        return
    # `from sloth_ci.store import changes` means a module, `… import Store` a name in one.
    while rest and rest not in known:
        rest = rest.rpartition(".")[0]
    if rest:
        yield Import(importer, rest, ours=True)


def room(module: str) -> str:
    """The room that a module is in."""
    return module.partition(".")[0]


def upward(found: list[Import]) -> list[str]:
    """Those imports that go up."""
    return [
        f"{one.importer} imports {one.imported}, which is above it"
        for one in found
        if one.ours and LAYERS.index(room(one.imported)) > LAYERS.index(room(one.importer))
    ]


def astray(found: list[Import]) -> list[str]:
    """Those imports of outside libraries that are not in their room."""
    wrong = []
    for one in found:
        library = room(one.imported)
        if one.ours or (library in sys.stdlib_module_names and library not in ROOMS):
            continue
        allowed = ROOMS.get(library, set())
        if not any(one.importer == place or room(one.importer) == place for place in allowed):
            wrong.append(f"{one.importer} imports {library}, which may be in {sorted(allowed)}")
    return wrong


@pytest.fixture(scope="module")
def house() -> list[Import]:
    """All imports of the package."""
    known = modules()
    return [
        one
        for name, file in known.items()
        for one in imports(name, file.read_text(encoding="utf-8"), set(known))
    ]


def test_every_room_has_its_layer_and_every_layer_its_room() -> None:
    assert sorted({room(name) for name in modules()}) == sorted(LAYERS)


def test_no_import_goes_up(house: list[Import]) -> None:
    assert upward(house) == []


def test_no_modules_import_each_other_in_a_circle(house: list[Import]) -> None:
    needs: dict[str, set[str]] = {}
    for one in house:
        if one.ours:
            needs.setdefault(one.importer, set()).add(one.imported)
    try:
        tuple(TopologicalSorter(needs).static_order())
    except CycleError as error:
        pytest.fail(f"these import each other: {' <- '.join(error.args[1])}")


def test_each_outside_library_stays_in_its_room(house: list[Import]) -> None:
    assert astray(house) == []


def test_no_library_has_a_room_that_does_not_use_it(house: list[Import]) -> None:
    used = {(room(one.imported), one.importer) for one in house if not one.ours}
    used |= {(library, room(importer)) for library, importer in used}

    unused = [(name, place) for name, places in ROOMS.items() for place in places]
    assert [pair for pair in unused if pair not in used] == []


@pytest.mark.parametrize(
    ("importer", "source"),
    [
        ("errors", "from sloth_ci.store import Store"),
        ("store.rows", "import sloth_ci.web.wsgi"),
        ("template", "def late():\n    from sloth_ci import config"),
    ],
    ids=["from a name", "a whole module", "inside a function"],
)
def test_an_upward_import_is_noticed(importer: str, source: str) -> None:
    assert upward(list(imports(importer, source, set(modules()))))


@pytest.mark.parametrize(
    ("importer", "source"),
    [
        ("config", "import yaml"),
        ("web", "from argon2 import PasswordHasher"),
        ("journal", "import sqlite3"),
        ("cli", "import subprocess"),
        ("client", "import requests"),
        ("app", "import sloth_ci_extensions"),
    ],
    ids=lambda value: value,
)
def test_a_library_outside_its_room_is_noticed(importer: str, source: str) -> None:
    assert astray(list(imports(importer, source, set(modules()))))
