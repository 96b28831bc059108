"""Things found by name: built-in ones first, then those of installed packages (entry points).

The name in front of an entry point is the one in configs; what is behind it is the thing, or the
module that has it as its constant.
"""

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

from sloth_ci.source import shorten, suggest


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of thing that can be named in a config."""

    word: str
    #: Entry point group, and the package of the built-in ones.
    group: str
    #: The constant in a module that holds the thing.
    constant: str
    built_in: tuple[str, ...]
    #: What such a thing must be a subclass, or an instance, of.
    parent: type = object


def find(kind: Kind, name: str) -> Any:
    """The thing of that name; raises LookupError with a sentence that names the nearest one."""
    if name in kind.built_in:
        return getattr(import_module(f"{kind.group}.{name}"), kind.constant)
    installed = _installed(kind.group)
    if name in installed:
        return _load(kind, installed[name])
    known = names(kind)
    raise LookupError(
        f"there is no {kind.word} '{shorten(name)}'.{suggest(name, known)}"
        f" Known: {', '.join(known)}."
    )


def names(kind: Kind) -> list[str]:
    """All names of that kind, sorted."""
    return sorted({*kind.built_in, *_installed(kind.group)})


@cache
def _installed(group: str) -> dict[str, EntryPoint]:
    """Looked up once: it reads every installed package, which takes milliseconds."""
    return {point.name: point for point in entry_points(group=group)}


def _load(kind: Kind, point: EntryPoint) -> Any:
    try:
        thing = point.load()
        if isinstance(thing, ModuleType):
            thing = getattr(thing, kind.constant)
    # Somebody else's module may raise anything, and what ends a program must not end the server.
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        raise LookupError(_describe(kind, point, error)) from error
    if issubclass(thing if isinstance(thing, type) else type(thing), kind.parent):
        return thing
    raise LookupError(
        f"the {kind.word} '{point.name}' can't be used: {point.value} is no"
        f" {kind.parent.__module__}.{kind.parent.__qualname__}"
    )


def _describe(kind: Kind, point: EntryPoint, error: BaseException) -> str:
    """Why it can't be loaded, and the extra to install when that is what its module lacks.

    An entry point names its extra as in `ssh_exec = sloth_ci_extensions.ssh_exec [ssh]`.
    """
    lacks = error.name if isinstance(error, ModuleNotFoundError) else None
    if lacks and not point.module.startswith(lacks) and point.extras and point.dist:
        return (
            f"the {kind.word} '{point.name}' needs {lacks}, which is not installed:"
            f" pip install '{point.dist.name}[{','.join(point.extras)}]'"
        )
    reason = f"{type(error).__name__}: {error}"
    return f"the {kind.word} '{point.name}' can't be loaded: {reason}"
