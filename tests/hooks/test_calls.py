"""Sets of hooks: what is refused when they are made, who is told, and what a failure does."""

from collections.abc import Callable
from typing import Any

import pytest

from sloth_ci.builds import Halt, Outcome, OutcomeStatus
from sloth_ci.hooks import (
    NO_HOOKS,
    BuildEvent,
    HookedRun,
    HookRefused,
    Hooks,
    Specs,
    Unprepared,
    hook,
    make_hooks,
)
from sloth_ci.trial import TrialJournal, build, build_event

EVENT = build_event()
DONE = Outcome(OutcomeStatus.COMPLETED)


class Listener:
    """Notes what it is told, with its name."""

    def __init__(self, name: str, told: list[str]) -> None:
        self.name, self.told = name, told

    @hook
    def build_finished(self, build: BuildEvent) -> None:
        self.told.append(f"{self.name} {build.id}")


class Failing(Listener):
    """Fails where the others listen."""

    error: BaseException = ZeroDivisionError("no reason")

    @hook
    def build_finished(self, build: BuildEvent) -> None:
        raise self.error


class Complaints(list[tuple[str, str]]):
    def __call__(self, name: str, reason: str) -> None:
        self.append((name, reason))


def test_everybody_is_told_in_the_order_of_the_config() -> None:
    told: list[str] = []
    names = ["b", "a", "c"]
    hooks = make_hooks({name: Listener(name, told) for name in names}, complain=Complaints())
    hooks.tell(Specs.build_finished, EVENT)
    assert told == ["b 17", "a 17", "c 17"]


def test_those_of_the_server_are_told_after_those_of_the_app() -> None:
    told: list[str] = []
    server = make_hooks({"server": Listener("server", told)}, complain=Complaints())
    hooks = make_hooks({"app": Listener("app", told)}, complain=Complaints(), beyond=server)
    hooks.tell(Specs.build_finished, EVENT)
    assert told == ["app 17", "server 17"]


@pytest.mark.parametrize("error", [ZeroDivisionError("x"), SystemExit("x"), KeyboardInterrupt("x")])
def test_one_that_fails_is_named_and_keeps_nobody_from_being_told(error: BaseException) -> None:
    told: list[str] = []
    failing, complaints = Failing("failing", told), Complaints()
    failing.error = error
    hooks = make_hooks({"bad": failing, "good": Listener("good", told)}, complain=complaints)
    hooks.tell(Specs.build_finished, EVENT)
    assert told == ["good 17"]
    assert complaints == [("bad", f"build_finished failed: {type(error).__name__}: x")]


def test_each_set_complains_of_its_own() -> None:
    app, server = Complaints(), Complaints()
    beyond = make_hooks({"server": Failing("", [])}, complain=server)
    hooks = make_hooks({"app": Failing("", [])}, complain=app, beyond=beyond)
    hooks.tell(Specs.build_finished, EVENT)
    assert [name for name, _reason in app] == ["app"]
    assert [name for name, _reason in server] == ["server"]


def test_without_extensions_there_is_one_set_for_all() -> None:
    assert make_hooks({}, complain=Complaints()) is NO_HOOKS
    assert not NO_HOOKS
    assert not NO_HOOKS.hears(Specs.build_finished)
    server = make_hooks({"a": Listener("a", [])}, complain=Complaints())
    assert make_hooks({}, complain=Complaints(), beyond=server) is server


def test_a_set_hears_what_anybody_in_it_hears() -> None:
    server = make_hooks({"a": Listener("a", [])}, complain=Complaints())
    hooks = make_hooks({"b": object()}, complain=Complaints(), beyond=server)
    assert hooks
    assert hooks.hears(Specs.build_finished)
    assert not hooks.hears(Specs.build_started)


class Misspelt:
    @hook
    def build_finish(self, build: BuildEvent) -> None: ...


class Unheard:
    @hook
    def zzz(self) -> None: ...


class TooMuch:
    @hook
    def build_finished(self, build: BuildEvent, more: int) -> None: ...


class OtherName:
    @hook
    def build_finished(self, event: BuildEvent) -> None: ...


class TooLittle:
    @hook
    def build_finished(self) -> None: ...


class Unmarked:
    def build_finished(self, build: BuildEvent) -> None: ...


class Wrapping:
    @hook(wrapper=True)
    def build_finished(self, build: BuildEvent) -> Any:
        yield


@pytest.mark.parametrize(
    ("extension", "reason"),
    [
        (Misspelt, "there is no hook 'build_finish'. Did you mean 'build_finished'?"),
        (Unheard, "there is no hook 'zzz'. Hooks: action_finished, api_actions, "),
        (TooMuch, "its build_finished must take (build), not (build, more)"),
        (OtherName, "its build_finished must take (build), not (event)"),
        (TooLittle, "its build_finished must take (build), not ()"),
        (Unmarked, "its build_finished isn't marked with @hook"),
        (Wrapping, "@hook takes no options, as on its build_finished"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_what_can_never_be_called_is_refused(extension: type, reason: str) -> None:
    with pytest.raises(HookRefused) as caught:
        make_hooks({"mine": extension()}, complain=Complaints())
    assert str(caught.value).startswith(f"can't be used: {reason}")
    assert caught.value.extension == "mine"


class Info:
    def __init__(self, answer: Callable[[], Any]) -> None:
        self.answer = answer

    @hook
    def app_info(self) -> Any:
        return self.answer()


def test_those_who_are_asked_answer_by_name_and_a_failing_one_is_left_out() -> None:
    complaints = Complaints()
    hooks = make_hooks(
        {"a": Info(lambda: {"x": 1}), "b": Info(lambda: 1 / 0), "c": Info(dict)},
        complain=complaints,
    )
    assert hooks.ask(Specs.app_info) == {"a": {"x": 1}, "c": {}}
    assert complaints == [("b", "app_info failed: ZeroDivisionError: division by zero")]


def test_an_app_does_not_answer_for_the_server() -> None:
    server = make_hooks({"server": Info(dict)}, complain=Complaints())
    hooks = make_hooks({"app": object()}, complain=Complaints(), beyond=server)
    assert hooks.ask(Specs.app_info) == {}


def test_what_is_asked_once_must_be_answered() -> None:
    hooks = make_hooks({"a": Info(lambda: 1 / 0)}, complain=Complaints())
    with pytest.raises(HookRefused, match="app_info failed: ZeroDivisionError") as caught:
        hooks.require(Specs.app_info)
    assert caught.value.extension == "a"


class Runner:
    def __init__(self, run: Callable[[], Any]) -> None:
        self.run = run

    @hook
    def run_action(self, build, position, deadline, halt, journal):
        return self.run()


def run(hooks: Hooks, secret: str = "") -> Outcome:
    shell = Outcome(OutcomeStatus.COMPLETED, "by the shell")
    run_action = HookedRun(hooks, lambda *_given: shell, told=hooks, now=lambda: 1.0)
    return run_action(build("true"), 0, None, Halt(), TrialJournal())


def test_the_first_that_answers_runs_the_action() -> None:
    ran: list[int] = []
    hooks = make_hooks(
        {
            "passes": Runner(lambda: ran.append(1)),
            "runs": Runner(lambda: DONE),
            "late": Runner(lambda: ran.append(3)),
        },
        complain=Complaints(),
    )
    assert run(hooks) == DONE
    assert ran == [1]


def test_the_shell_runs_what_no_extension_runs() -> None:
    hooks = make_hooks({"passes": Runner(lambda: None)}, complain=Complaints())
    assert run(hooks).reason == "by the shell"


def test_a_runner_of_the_server_runs_what_none_of_the_app_runs() -> None:
    server = make_hooks({"server": Runner(lambda: DONE)}, complain=Complaints())
    hooks = make_hooks({"app": Runner(lambda: None)}, complain=Complaints(), beyond=server)
    assert run(hooks) == DONE


def test_a_runner_that_fails_fails_the_action_and_is_named() -> None:
    complaints = Complaints()
    hooks = make_hooks({"ssh": Runner(lambda: 1 / 0)}, complain=complaints)
    assert run(hooks) == Outcome(
        OutcomeStatus.FAILED, "ssh failed: ZeroDivisionError: division by zero"
    )
    assert [name for name, _reason in complaints] == ["ssh"]


def test_a_runner_that_gives_no_outcome_fails_the_action_and_is_named() -> None:
    hooks = make_hooks({"ssh": Runner(lambda: 0)}, complain=Complaints())
    assert run(hooks) == Outcome(OutcomeStatus.FAILED, "ssh failed: it gave 0, which is no Outcome")


class Preparer:
    def __init__(self, prepare: Callable[[], Any]) -> None:
        self.prepare = prepare

    @hook
    def prepare_build(self, build, halt, journal):
        return self.prepare()


def test_a_build_that_nobody_prepares_stays_as_it_is() -> None:
    hooks = make_hooks({"git": Preparer(lambda: None)}, complain=Complaints())
    given = build("true")
    assert hooks.prepare_build(given, Halt(), TrialJournal()) is given


def test_the_first_that_prepares_a_build_has_said_it_all() -> None:
    prepared = build("make")
    hooks = make_hooks(
        {"one": Preparer(lambda: prepared), "two": Preparer(lambda: 1 / 0)}, complain=Complaints()
    )
    assert hooks.prepare_build(build("true"), Halt(), TrialJournal()) is prepared


@pytest.mark.parametrize(
    ("error", "reason"),
    [(Unprepared("no such ref"), "git: no such ref"), (OSError("x"), "git failed: OSError: x")],
    ids=["on purpose", "by accident"],
)
def test_who_can_not_prepare_a_build_is_named(error: Exception, reason: str) -> None:
    def fail() -> None:
        raise error

    hooks = make_hooks({"git": Preparer(fail)}, complain=Complaints())
    with pytest.raises(Unprepared) as caught:
        hooks.prepare_build(build("true"), Halt(), TrialJournal())
    assert str(caught.value) == reason
