"""The server's state, one file, as `sci` sees it: copy it, put a copy back, check all of it.

The rooms of the server take long to import, and so come in only when they are wanted.
"""

from collections.abc import Callable
from pathlib import Path
from time import time
from typing import Any, NamedTuple

from sloth_ci.render import show_size


class Saved(NamedTuple):
    """A copy of a database: where it is, and what it holds."""

    file: Path
    size: int
    apps: int
    builds: int

    def __str__(self) -> str:
        apps, builds = _count(self.apps, "app"), _count(self.builds, "build")
        return f"{self.file} ({show_size(self.size)}: {apps}, {builds})"


def save(database: Path, target: Path) -> Saved:
    """Copy the database, in use or not, to a new file.

    Raises DatabaseRefused.
    """
    from sloth_ci.store import backup

    backup(database, target)
    return _describe(target)


def put_back(source: Path, database: Path) -> tuple[Saved, Path | None]:
    """Put a checked copy in the database's place; gives too where the old one is kept, if any.

    Raises DatabaseRefused, while a server runs on it too.
    """
    from sloth_ci.store import restore

    aside = restore(source, database)
    return _describe(database), aside


def examine(config_file: Path, ask_version: Callable[[], str]) -> list[dict[str, Any]]:
    """Every finding about the server of that config file."""
    from sloth_ci import doctor

    found = doctor.examine(config_file, ask_version=ask_version, now=time())
    return [{"check": one.check, "state": one.state.value, "advice": one.advice} for one in found]


def _describe(database: Path) -> Saved:
    from sloth_ci.store.inspection import look_into

    contents = look_into(database)
    size = database.stat().st_size
    return Saved(database.absolute(), size, len(contents.apps), contents.builds)


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
