"""The manual of an extension is its module's docstring; all that it shows loads."""

import re
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

import pytest

from sloth_ci.bed.equipment import Equipment
from sloth_ci.config import parse_server
from sloth_ci.extension.finding import EXTENSIONS, find_server_options, known_modules
from sloth_ci.journal import Journal
from sloth_ci.shell import ShellRunner
from sloth_ci.store import Store

_FENCE = re.compile(r"^```yaml( server| after server|)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def module_of(name: str) -> ModuleType:
    (point,) = (one for one in entry_points(group=EXTENSIONS.group) if one.name == name)
    return import_module(point.module)


@pytest.mark.parametrize("name", known_modules())
def test_a_manual_shows_a_complete_config_that_loads(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manual = module_of(name).__doc__ or ""
    fences = _FENCE.findall(manual)
    for variable in re.findall(r"\{env: (\w+)\}", manual):
        monkeypatch.setenv(variable, "a-secret-for-the-test")
    server = "".join(text for kind, text in fences if kind == " server") or "{}"
    config = parse_server(server, base_dir=tmp_path, find_extension=find_server_options)
    store = Store(tmp_path / "sloth.db")
    try:
        equipment = Equipment(
            store=store,
            journal=Journal(store),
            base_dir=tmp_path,
            config=config,
            shell=ShellRunner(),
            trigger=lambda *_given: 1,
            apps=list,
        )
        plain = Equipment(
            store=store,
            journal=Journal(store),
            base_dir=tmp_path,
            config=parse_server("{}", base_dir=tmp_path),
            shell=ShellRunner(),
            trigger=lambda *_given: 1,
            apps=list,
        )
        used = [one.module for one in config.extensions.values()]
        for kind, text in fences:
            if kind != " server":
                made = (equipment if kind else plain).parse(text, tmp_path)
                used += [one.module for one in made.extensions.values()]
    finally:
        store.close()
    assert name in used


@pytest.mark.parametrize("name", known_modules())
def test_a_manual_begins_with_what_the_extension_does(name: str) -> None:
    assert re.match(rf"`{name}` [a-z]", module_of(name).__doc__ or "")
