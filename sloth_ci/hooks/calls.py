"""Sets of hooks: who is told and asked, in which order, and what becomes of those who fail."""

from collections.abc import Callable, Iterator, Mapping
from inspect import getmembers, isroutine, signature
from typing import Any, TypeVar

import pluggy

from sloth_ci.builds import Build, BuildJournal, Halt, Outcome, OutcomeStatus
from sloth_ci.hooks.specs import Specs, Unprepared
from sloth_ci.source import suggest

Event = TypeVar("Event")
Given = TypeVar("Given")

#: Told of an extension, by name, that failed, and how; called while its exception is handled.
Complain = Callable[[str, str], None]
#: An extension's name, and its method.
_Call = tuple[str, Callable[..., Any]]

#: Somebody else's method may raise anything, and what ends a program must not end the server.
_ANYTHING = (Exception, SystemExit, KeyboardInterrupt)
_PROJECT = "sloth_ci"
_HOOKS = {name: function for name, function in getmembers(Specs, isroutine) if name[0] != "_"}


class HookRefused(ValueError):
    """An extension's hooks can't be used; the text says why."""

    def __init__(self, extension: str, reason: str) -> None:
        super().__init__(reason)
        #: The name that the config gave it.
        self.extension = extension


class Hooks:
    """The hooks of an app's extensions, or of the server's; in the order of the config.

    Whoever fails is complained of, by name, and keeps nobody else from being told. `beyond` are
    told and asked after them: the server's, behind an app's. A set is false when there is nobody.
    """

    __slots__ = ("_beyond", "_calls", "_complain")

    def __init__(
        self, calls: Mapping[str, list[_Call]], *, complain: Complain, beyond: "Hooks | None"
    ) -> None:
        self._calls = calls
        self._complain = complain
        self._beyond = beyond or None

    def __bool__(self) -> bool:
        return bool(self._calls or self._beyond)

    def hears(self, spec: Callable[..., Any]) -> bool:
        """Whether anybody has that hook."""
        return any(spec.__name__ in hooks._calls for hooks in self._reach())

    def tell(self, spec: Callable[[Specs, Event], None], event: Event) -> None:
        """Tell everybody who has that hook."""
        for hooks in self._reach():
            for name, call in hooks._calls.get(spec.__name__, ()):
                try:
                    call(event)
                except _ANYTHING as error:
                    hooks._complain(name, f"{spec.__name__} failed: {_describe(error)}")

    def ask(self, spec: Callable[[Specs], Given]) -> dict[str, Given]:
        """What each extension of this set answers, by its name; without those that fail."""
        answers = {}
        for name, call in self._calls.get(spec.__name__, ()):
            try:
                answers[name] = call()
            except _ANYTHING as error:
                self._complain(name, f"{spec.__name__} failed: {_describe(error)}")
        return answers

    def require(self, spec: Callable[[Specs], Given]) -> dict[str, Given]:
        """As `ask`, but raises HookRefused when one fails."""
        answers = {}
        for name, call in self._calls.get(spec.__name__, ()):
            try:
                answers[name] = call()
            except _ANYTHING as error:
                reason = f"can't be used: {spec.__name__} failed: {_describe(error)}"
                raise HookRefused(name, reason) from error
        return answers

    def prepare_build(self, build: Build, halt: Halt, journal: BuildJournal) -> Build:
        """The build that is to run: the first that an extension gives, else the same.

        Raises Unprepared, and nothing else.
        """
        for hooks in self._reach():
            for name, call in hooks._calls.get("prepare_build", ()):
                try:
                    prepared: Build | None = call(build, halt, journal)
                except Unprepared as error:
                    raise Unprepared(f"{name}: {error}") from error
                except _ANYTHING as error:
                    hooks._complain(name, f"prepare_build failed: {_describe(error)}")
                    raise Unprepared(f"{name} failed: {_describe(error)}") from error
                if prepared is not None:
                    return prepared
        return build

    def run_action(
        self,
        build: Build,
        position: int,
        deadline: float | None,
        halt: Halt,
        journal: BuildJournal,
    ) -> Outcome | None:
        """The outcome of the first extension that runs the action, None when none does."""
        for hooks in self._reach():
            for name, call in hooks._calls.get("run_action", ()):
                try:
                    outcome: Outcome | None = call(
                        build=build,
                        position=position,
                        deadline=deadline,
                        halt=halt,
                        journal=journal,
                    )
                except _ANYTHING as error:
                    hooks._complain(name, f"run_action failed: {_describe(error)}")
                    reason = build.mask(f"{name} failed: {_describe(error)}")
                    return Outcome(OutcomeStatus.FAILED, reason)
                if isinstance(outcome, Outcome):
                    return outcome
                if outcome is not None:
                    reason = f"{name} failed: it gave {outcome!r}, which is no Outcome"
                    return Outcome(OutcomeStatus.FAILED, build.mask(reason))
        return None

    def _reach(self) -> Iterator["Hooks"]:
        yield self
        if self._beyond is not None:
            yield self._beyond


#: The one set of all who have no extensions.
NO_HOOKS = Hooks({}, complain=lambda _name, _reason: None, beyond=None)


def make_hooks(
    extensions: Mapping[str, object], *, complain: Complain, beyond: Hooks = NO_HOOKS
) -> Hooks:
    """The hooks of these extensions, which are named as in the config.

    Without any it is `beyond` itself. Raises HookRefused for a method that is marked as a hook and
    is none, or that takes other arguments.
    """
    if not extensions:
        return beyond
    registry = pluggy.PluginManager(_PROJECT)
    registry.add_hookspecs(Specs)
    for name, extension in extensions.items():
        _check(name, type(extension))
        registry.register(extension, name=name)
    calls: dict[str, list[_Call]] = {}
    for hook in _HOOKS:
        found = getattr(registry.hook, hook).get_hookimpls()
        if found:
            calls[hook] = [(impl.plugin_name, impl.function) for impl in found]
    return Hooks(calls, complain=complain, beyond=beyond)


def _check(name: str, extension: type) -> None:
    for method, function in getmembers(extension, isroutine):
        mark = getattr(function, f"{_PROJECT}_impl", None)
        if mark is None:
            if method in _HOOKS:
                raise HookRefused(name, f"can't be used: its {method} isn't marked with @hook")
            continue
        if method not in _HOOKS:
            hint = suggest(method, _HOOKS) or f" Hooks: {', '.join(_HOOKS)}."
            raise HookRefused(name, f"can't be used: there is no hook '{method}'.{hint}")
        if mark != _PLAIN:
            raise HookRefused(name, f"can't be used: @hook takes no options, as on its {method}")
        wanted, has = (_arguments(_HOOKS[method]), _arguments(function))
        if wanted != has:
            raise HookRefused(
                name,
                f"can't be used: its {method} must take ({', '.join(wanted)}),"
                f" not ({', '.join(has)})",
            )


def _arguments(function: Callable[..., Any]) -> list[str]:
    return [name for name in signature(function).parameters if name != "self"]


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


@pluggy.HookimplMarker(_PROJECT)
def _marked() -> None:
    """What a mark without options looks like."""


_PLAIN = _marked.sloth_ci_impl  # type: ignore[attr-defined]
