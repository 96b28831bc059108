"""Extensions are made of what a config declares, opened, and closed; each with its context."""

import logging
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from logging import ERROR
from pathlib import Path
from sys import exc_info
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from sloth_ci.alarms import Alarms
from sloth_ci.background import Background, Line
from sloth_ci.config import Declared
from sloth_ci.errors import BadParam, SlothError
from sloth_ci.extension import Context, Extension
from sloth_ci.extension.finding import find_extension
from sloth_ci.hooks import NO_HOOKS, HookRefused, Hooks, Page, Specs, make_hooks
from sloth_ci.journal import Journal
from sloth_ci.request import Reply, Request
from sloth_ci.shell import ShellRunner
from sloth_ci.store import Store

LOG = logging.getLogger("sloth_ci.extension")

Given = TypeVar("Given")
AnyExtension = TypeVar("AnyExtension", bound=Extension)

#: Where pages are, below the listen point.
_PAGES = "/-/"
#: What the store's notes say of the server's extensions has this app's id.
_SERVER = 0
#: Somebody else's code may raise anything, and what ends a program must not end the server.
_ANYTHING = (Exception, SystemExit, KeyboardInterrupt)


@dataclass(frozen=True, slots=True)
class Ground:
    """What all extensions of a server stand on."""

    store: Store
    journal: Journal
    alarms: Alarms
    background: Background
    shell: ShellRunner
    #: The server's address as others reach it, or ''.
    url: str
    trigger: Callable[[str, Mapping[str, str], str], int]
    apps: Callable[[], Sequence[str]]
    #: Work in the background, by listen point and extension: an extension that takes another's
    #: place goes on in its line.
    lines: MutableMapping[tuple[str, str], Line] = field(default_factory=WeakValueDictionary)

    def line(self, place: "Place", name: str) -> Line:
        """The line of an extension's work."""
        key = (place.listen_point, name)
        line = self.lines.get(key)
        if line is None:
            line = self.background.line(lambda reason: _complain(self, place, name, reason))
            self.lines[key] = line
        return line


class Place:
    """Whose extensions they are: an app's, or the server's when its listen point is ''."""

    __slots__ = ("app_id", "base_dir", "listen_point", "mask")

    def __init__(
        self,
        *,
        app_id: int | None,
        listen_point: str,
        base_dir: Path,
        mask: Callable[[str], str],
    ) -> None:
        #: None for the server, and for an app while it is new.
        self.app_id = app_id
        self.listen_point = listen_point
        self.base_dir = base_dir
        self.mask = mask

    @property
    def owner(self) -> int:
        """The app's id, or what stands for the server."""
        return _SERVER if self.app_id is None else self.app_id


class Extensions:
    """The extensions of one app, or of the server."""

    __slots__ = ("_by_name", "_ground", "_pages", "_place", "hooks")

    def __init__(
        self,
        by_name: Mapping[str, Extension],
        hooks: Hooks,
        *,
        place: Place | None = None,
        ground: Ground | None = None,
    ) -> None:
        self._by_name = by_name
        self._place = place
        self._ground = ground
        #: These, and beyond them the server's.
        self.hooks = hooks
        self._pages = self._find_pages()

    def require(self, spec: Callable[[Specs], Given]) -> dict[str, Given]:
        """What each of them answers, by its name; raises HookRefused when one fails."""
        return self.hooks.require(spec) if self._by_name else {}

    def find_page(self, path: str) -> Page | None:
        """The page for that path, which begins with `/` and counts from the listen point."""
        while path and path not in self._pages:
            path = path.rstrip("/")
            path = path[: path.rfind("/") + 1]
        return self._pages.get(path)

    def info(self) -> dict[str, Mapping[str, Any]]:
        """What they say of their app, by their names."""
        return self.hooks.ask(Specs.app_info) if self._by_name else {}

    def open(self, app_id: int | None) -> None:
        """Let them begin, for the app that now has that id; one that fails is complained of."""
        if self._place is None:
            return
        self._place.app_id = app_id
        for name, extension in self._by_name.items():
            extension.context = replace(extension.context, app_id=app_id)
            try:
                extension.open()
            except _ANYTHING as error:
                self.complain(name, f"could not begin: {type(error).__name__}: {error}")

    def close(self) -> None:
        """Let them end, the last one first."""
        for name, extension in reversed(list(self._by_name.items())):
            try:
                extension.close()
            except _ANYTHING as error:
                self.complain(name, f"could not end: {type(error).__name__}: {error}")

    def kind_of(self, name: str) -> type[Extension]:
        """What the extension of that name is an instance of."""
        return type(self._by_name[name])

    def pick(self, kind: type[AnyExtension], name: str | None = None) -> list[AnyExtension]:
        """Those of that kind, or the one of that name, for an action of the API.

        Raises BadParam when there is none.
        """
        found = {one: made for one, made in self._by_name.items() if isinstance(made, kind)}
        if name is None and found:
            return list(found.values())
        if name in found:
            return [found[name]]
        known = ", ".join(found) or "none is declared here"
        wanted = f"the name of one of the {kind.__name__.lower()} ({known})"
        raise BadParam(param="name", wanted=wanted, came=name or "")

    def complain(self, name: str, reason: str) -> None:
        """Say in the app's log, or the server's, what an extension did wrong."""
        if self._place is not None and self._ground is not None:
            _complain(self._ground, self._place, name, reason)

    def _find_pages(self) -> dict[str, Page]:
        """Raises HookRefused when a page can't be where it is to be, or two want the same path."""
        found: dict[str, Page] = {}
        shown_by: dict[str, str] = {}
        for name, pages in self.require(Specs.pages).items():
            for page in pages:
                path = page.path if page.path.startswith("/") else f"{_PAGES}{page.path}"
                if path == "/" or (path == page.path and self._place and self._place.listen_point):
                    raise HookRefused(name, f"can't show a page at '{page.path}'")
                if path in found:
                    also = f"can't show the page '{page.path}': {shown_by[path]} does"
                    raise HookRefused(name, also)
                found[path] = replace(page, answer=partial(self._answer, name, page))
                shown_by[path] = name
        return found

    def _answer(self, name: str, page: Page, request: Request) -> Reply:
        try:
            return page.answer(request)
        except SlothError:
            raise
        except _ANYTHING as error:
            self.complain(name, f"can't show {page.path}: {type(error).__name__}: {error}")
            raise SlothError from error


def no_extensions(beyond: Hooks) -> Extensions:
    """What all apps have that declare none."""
    return Extensions({}, beyond)


#: What they have where the server has none either.
NO_EXTENSIONS = no_extensions(NO_HOOKS)


def make_extensions(
    declared: Mapping[str, Declared], *, ground: Ground, place: Place, beyond: Hooks = NO_HOOKS
) -> Extensions:
    """Make the extensions that a config declares; `beyond` are the server's hooks.

    Raises HookRefused, which knows the extension's name, for one that can't be made.
    """
    by_name: dict[str, Extension] = {}
    for name, one in declared.items():
        context = _make_context(name, ground=ground, place=place)
        try:
            by_name[name] = find_extension(one.module)(one.options, context)
        except ValueError as error:
            raise HookRefused(name, str(error)) from error
        except LookupError as error:
            raise HookRefused(name, str(error.args[0])) from error
        except _ANYTHING as error:
            raise HookRefused(name, f"can't be made: {type(error).__name__}: {error}") from error

    if not by_name:
        return no_extensions(beyond)

    def complain(name: str, reason: str) -> None:
        _complain(ground, place, name, reason)

    hooks = make_hooks(by_name, complain=complain, beyond=beyond)
    return Extensions(by_name, hooks, place=place, ground=ground)


def pick_for_builds(declared: Mapping[str, Declared]) -> dict[str, Declared]:
    """Those that prepare or run builds.

    Raises HookRefused for one that isn't there any more.
    """
    return {name: one for name, one in declared.items() if _is_for_builds(name, one)}


def _is_for_builds(name: str, declared: Declared) -> bool:
    try:
        found = find_extension(declared.module)
    except LookupError as error:
        raise HookRefused(name, str(error.args[0])) from error
    return hasattr(found, Specs.prepare_build.__name__) or hasattr(found, Specs.run_action.__name__)


def _make_context(name: str, *, ground: Ground, place: Place) -> Context:
    def log(level: int, text: str) -> None:
        _say(ground, place, level, f"{name}: {text}")

    line = ground.line(place, name)

    def later(work: Callable[[], None]) -> None:
        line.add(lambda: _do(work, ground, place, name))

    return Context(
        name=name,
        listen_point=place.listen_point,
        app_id=place.app_id,
        base_dir=place.base_dir,
        url=ground.url,
        store=ground.store,
        notes=_StoredNotes(ground.store, place, name),
        log=log,
        later=later,
        at=ground.alarms.set,
        trigger=ground.trigger,
        apps=ground.apps,
        mask=place.mask,
        shell=ground.shell,
    )


def _do(work: Callable[[], None], ground: Ground, place: Place, name: str) -> None:
    """Work that fails is told of with the mask of whose it is; the line may be of one before it."""
    try:
        work()
    except _ANYTHING as error:
        reason = f"work in the background failed: {type(error).__name__}: {error}"
        _complain(ground, place, name, reason)


class _StoredNotes:
    """Notes in the store, of one extension."""

    __slots__ = ("_name", "_place", "_store")

    def __init__(self, store: Store, place: Place, name: str) -> None:
        self._store = store
        self._place = place
        self._name = name

    def get(self, key: str) -> str | None:
        """The text under that key."""
        return self._store.note(self._place.owner, self._name, key)

    def set(self, key: str, text: str) -> None:
        """Keep a text; safe on the disk on return."""
        self._store.set_note(self._place.owner, self._name, key, text)


def _say(ground: Ground, place: Place, level: int, text: str) -> None:
    ground.journal.extension_said(place.app_id, level, place.mask(text))


def _complain(ground: Ground, place: Place, name: str, reason: str) -> None:
    """Name the extension in the log of its place, and leave the traceback to the server's."""
    where = f" of {place.listen_point}" if place.listen_point else ""
    LOG.error("The extension %s%s %s", name, where, place.mask(reason), exc_info=exc_info())
    if place.app_id is not None:
        _say(ground, place, ERROR, f"{name} {reason}")
