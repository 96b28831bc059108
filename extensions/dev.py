"""What `sci dev` does: it writes a new package for an extension, a validator or a runner.

The package has a manual, a passing test and the entry point by which a server finds it, and is
ready for `pip install -e`.
"""

import keyword
import re
from argparse import ArgumentParser
from collections.abc import Mapping
from enum import StrEnum
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sloth_ci.command import Command, Terminal
from sloth_ci.errors import SlothError

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_MARK = "@name@"
#: What the samples' names end with, so that nothing takes them for code.
_SUFFIX = ".in"


class Kind(StrEnum):
    """What a package can be for."""

    EXTENSION = "extension"
    VALIDATOR = "validator"
    RUNNER = "runner"


class BadName(SlothError):
    """'{name}' can't name a package: small letters, digits and single _ are wanted: my_checks."""


class NameTaken(SlothError):
    """There is something called '{name}' already, so a server could not tell them apart."""


class FolderThere(SlothError):
    """{folder} is there already, and 'sci dev' overwrites nothing. Choose another name."""


def write_package(name: str, *, kind: Kind, parent: Path) -> Path:
    """Write the package of that name into a new folder below `parent`; gives the folder.

    Raises BadName, NameTaken or FolderThere, and OSError when the folder can't be written.
    """
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise BadName(name=name)
    # The second are packages, such as our own sloth_ci_extensions.
    if name in _known(kind) or find_spec(f"sloth_ci_{name}"):
        raise NameTaken(name=name)
    folder = parent / f"sloth-ci-{name.replace('_', '-')}"
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise FolderThere(folder=folder) from error
    for sample in (files("sloth_ci") / "samples" / "dev" / kind).iterdir():
        target = folder / sample.name.removesuffix(_SUFFIX).replace(_MARK, name)
        target.write_text(sample.read_text("utf-8").replace(_MARK, name), encoding="utf-8")
    return folder


def _known(kind: Kind) -> list[str]:
    # Not at the top: `sci --help` reads this module, and has no time for pydantic.
    from sloth_ci.bed import VALIDATORS
    from sloth_ci.extension.finding import known_modules
    from sloth_ci.registry import names

    return names(VALIDATORS) if kind is Kind.VALIDATOR else known_modules()


def _declare(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the new package's name, such as my_checks")
    parser.add_argument(
        "-k",
        "--kind",
        choices=[str(kind) for kind in Kind],
        default=str(Kind.EXTENSION),
        help="what it is for (default: extension)",
    )
    parser.add_argument(
        "-i", "--into", metavar="FOLDER", default=".", help="where to (default: this folder)"
    )


def _run(arguments: Mapping[str, Any], terminal: Terminal) -> int:
    kind = Kind(arguments["kind"])
    folder = write_package(arguments["name"], kind=kind, parent=Path(arguments["into"]))
    terminal.show(
        {"folder": str(folder), "kind": kind},
        f"Wrote the {kind} {folder}.\nNext:\n  cd {folder}\n  pip install -e '.[tests]'\n  pytest"
        "\n  sci restart                # so that the server finds it",
    )
    return 0


COMMAND = Command("Write a package for a new extension, validator or runner.", _run, _declare)
