"""Things found by name: built-in ones first, then those of installed packages (entry points)."""

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from sloth_ci.source import shorten, suggest


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of thing that can be named in a config."""

    word: str
    #: Entry point group, and the package of the built-in ones.
    group: str
    #: The constant in a built-in module that holds the thing.
    constant: str
    built_in: tuple[str, ...]
    #: What such a thing must be a subclass of.
    parent: type = object


def find(kind: Kind, name: str) -> Any:
    """The thing of that name; raises LookupError with a sentence that names the nearest one."""
    if name in kind.built_in:
        return getattr(import_module(f"{kind.group}.{name}"), kind.constant)
    installed = _installed(kind.group)
    if name in installed:
        return _load(kind, installed[name])
    known = sorted({*kind.built_in, *installed})
    raise LookupError(
        f"there is no {kind.word} '{shorten(name)}'.{suggest(name, known)}"
        f" Known: {', '.join(known)}."
    )


@cache
def _installed(group: str) -> dict[str, EntryPoint]:
    """Looked up once: it reads every installed package, which takes milliseconds."""
    return {point.name: point for point in entry_points(group=group)}


def _load(kind: Kind, point: EntryPoint) -> Any:
    try:
        thing = point.load()
    # Somebody else's module may raise anything, and what ends a program must not end the server.
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        reason = f"{type(error).__name__}: {error}"
        raise LookupError(f"the {kind.word} '{point.name}' can't be loaded: {reason}") from error
    if isinstance(thing, type) and issubclass(thing, kind.parent):
        return thing
    raise LookupError(
        f"the {kind.word} '{point.name}' can't be used: {point.value} is no subclass of"
        f" {kind.parent.__module__}.{kind.parent.__qualname__}"
    )
