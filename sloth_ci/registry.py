"""Things found by name: built-in ones first, then those of installed packages (entry points)."""

from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from sloth_ci.source import suggest


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of thing that can be named in a config."""

    word: str
    #: Entry point group, and the package of the built-in ones.
    group: str
    #: The constant in a built-in module that holds the thing.
    constant: str
    built_in: tuple[str, ...]


def find(kind: Kind, name: str) -> Any:
    """The thing of that name; raises LookupError with a sentence that names the nearest one."""
    if name in kind.built_in:
        return getattr(import_module(f"{kind.group}.{name}"), kind.constant)
    installed = {point.name: point for point in entry_points(group=kind.group)}
    if name in installed:
        try:
            return installed[name].load()
        except (ImportError, AttributeError) as error:
            raise LookupError(f"the {kind.word} '{name}' can't be loaded: {error}") from error
    known = sorted({*kind.built_in, *installed})
    raise LookupError(
        f"there is no {kind.word} '{name}'.{suggest(name, known)} Known: {', '.join(known)}."
    )
