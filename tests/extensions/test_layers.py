"""Extensions stand on what everybody's may use, and bring their own libraries only."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sloth_ci_extensions

HOUSE = Path(sloth_ci_extensions.__file__).parent
#: What the extensions may see of Sloth CI.
SHOWN = {
    "",
    "builds",
    "command",
    "config",
    "errors",
    "extension",
    "hooks",
    "logs",
    "masking",
    "outgoing",
    "parameters",
    "records",
    "request",
    "shell",
    "source",
    "store",
    "template",
}
#: What `sci dev` needs to know which names are taken.
FURTHER = {"dev.py": {"bed", "registry"}}
#: Outside libraries, and whose they are.
LIBRARIES = {
    "apprise": "notifications",
    "cronsim": "schedule",
    "docker": "docker",
    "paramiko": "ssh",
    "prometheus_client": "metrics",
    # Raised by docker's client.
    "urllib3": "docker",
}
#: Of the standard library, but rooms of Sloth CI's own do it better.
FORBIDDEN = {"http", "requests", "sqlite3", "subprocess"}


def modules() -> list[str]:
    return sorted(str(file.relative_to(HOUSE)) for file in HOUSE.rglob("*.py"))


def family(module: str) -> str:
    """Which extension a module belongs to: `_ssh_host.py` to that of `ssh_exec.py`."""
    return Path(module).parts[0].removesuffix(".py").lstrip("_").partition("_")[0]


def imports(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""


def astray(module: str, source: str) -> list[str]:
    """Its imports that are not for it."""
    wrong = []
    for name in imports(source):
        first, _, rest = name.partition(".")
        if first == "sloth_ci":
            allowed = rest.partition(".")[0] in SHOWN | FURTHER.get(module, set())
        elif first == "sloth_ci_extensions":
            allowed = family(rest) == family(module)
        elif first in sys.stdlib_module_names:
            allowed = first not in FORBIDDEN
        else:
            allowed = LIBRARIES.get(first) == family(module)
        if not allowed:
            wrong.append(name)
    return wrong


@pytest.mark.parametrize("module", modules())
def test_an_extension_imports_what_it_may(module: str) -> None:
    assert astray(module, (HOUSE / module).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "line",
    ["import subprocess", "from sloth_ci.bed import Bed", "import paramiko", "import yaml"],
)
def test_what_an_extension_may_not_import_is_noticed(line: str) -> None:
    assert astray("badge.py", line)


def test_what_belongs_to_another_extension_is_noticed() -> None:
    assert astray("badge.py", "from sloth_ci_extensions.git import Git")
    assert not astray("ssh_exec.py", "from sloth_ci_extensions._ssh_host import Host")


@pytest.mark.parametrize("library", LIBRARIES)
def test_no_library_is_listed_that_nobody_uses(library: str) -> None:
    used = {
        name.partition(".")[0]
        for module in modules()
        for name in imports((HOUSE / module).read_text(encoding="utf-8"))
    }
    assert library in used
