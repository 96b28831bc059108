"""The shell runner: one action as `/bin/sh -c`, in a session of its own, under our eyes to its end.

Whatever an action starts ends with it, unless the action is marked `detach`: then its background
processes live on, their output goes nowhere, and one that prints gets SIGPIPE.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from secrets import token_hex
from shlex import quote

from sloth_ci.builds import Build, BuildJournal, Halt, Outcome, OutcomeStatus, RunAction
from sloth_ci.shell.accounts import (
    Account,
    NotRunnable,
    check_runnable,
    find_account,
    is_root,
)
from sloth_ci.shell.elsewhere import Breaker, Order, Orders
from sloth_ci.shell.environment import (
    MARKER,
    account_environment,
    build_environment,
    inherited_environment,
)
from sloth_ci.shell.leftovers import Guardian, end_leftovers
from sloth_ci.shell.limits import NOT_SET, limiting
from sloth_ci.shell.offspring import become_subreaper, own_life
from sloth_ci.shell.output import Allowance, Lines, Output
from sloth_ci.shell.process import NotStarted, start_shell
from sloth_ci.shell.run import Run, describe_halt
from sloth_ci.shell.sharing import PerBuild
from sloth_ci.template import TemplateRefused

__all__ = [
    "Breaker",
    "Guardian",
    "Lines",
    "NotRunnable",
    "Order",
    "Orders",
    "Output",
    "Program",
    "ShellRunner",
    "Wrap",
    "become_subreaper",
    "check_runnable",
    "end_leftovers",
    "is_root",
    "own_life",
]

#: Makes a program and its arguments of an action's shell text, and of the environment that the
#: build brings along.
Wrap = Callable[[str, Mapping[str, str]], Sequence[str]]

#: Shell text that runs its arguments, as the shell that it replaces.
_RUN_ARGUMENTS = 'exec "$@"'


@dataclass(frozen=True, slots=True)
class Program:
    """A program to run for a build that is none of its actions, as git is."""

    arguments: tuple[str, ...]
    work_dir: str
    #: Beside what is inherited from the server and what the app's `env` says.
    environment: Mapping[str, str]


class ShellRunner:
    """Runs actions as shell commands, from any number of threads at once.

    `grace` is the seconds between TERM and KILL; `inherit` is the server's own environment, of
    which builds get a few harmless names (os.environ when absent).
    """

    def __init__(
        self,
        *,
        grace: float = 5.0,
        inherit: Mapping[str, str] | None = None,
        token: str | None = None,
    ) -> None:
        own = os.environ if inherit is None else inherit
        self._grace = grace
        self._inherited = inherited_environment(own)
        # A server that is itself run by an action hands its own marker down with its actions'.
        self._outer_marker = own.get(MARKER, "")
        self._token = token or token_hex(8)
        self._life = own_life()
        self._numbers = count(1)
        self._running: PerBuild[_RunningBuild] = PerBuild()

    def __call__(
        self,
        build: Build,
        position: int,
        deadline: float | None,
        halt: Halt,
        journal: BuildJournal,
    ) -> Outcome:
        """Run the build's action at `position`; every trouble of its own is a FAILED outcome.

        What the journal raises is passed on, after the action was ended.
        """
        return self._run_action(build, position, deadline, halt, journal, wrap=None)

    def wrapped(self, wrap: Wrap) -> RunAction:
        """A runner as this one, that runs what `wrap` makes of each action."""
        return partial(self._run_action, wrap=wrap)

    def run_program(
        self,
        program: Program,
        *,
        build: Build,
        deadline: float | None,
        halt: Halt,
        journal: Lines,
    ) -> Outcome:
        """Run a program as an action is run: its user, its end, its output in the build's log."""
        if halt.status:
            return Outcome(OutcomeStatus.HALTED, describe_halt(halt))
        try:
            account = find_account(build.user) if build.user is not None else None
            start = _Start(
                text=_RUN_ARGUMENTS,
                arguments=program.arguments,
                work_dir=program.work_dir,
                environment={**self._inherit_for(account), **build.env, **program.environment},
                account=account,
            )
        except NotRunnable as refusal:
            return Outcome(OutcomeStatus.FAILED, str(refusal))
        output = Output(build, position=0, allowance=Allowance.of(build), journal=journal)
        return self._run(start, build, output, deadline, halt, detach=False)

    def _run_action(
        self,
        build: Build,
        position: int,
        deadline: float | None,
        halt: Halt,
        journal: BuildJournal,
        *,
        wrap: Wrap | None,
    ) -> Outcome:
        if halt.status:
            return Outcome(OutcomeStatus.HALTED, describe_halt(halt))
        action = build.actions[position]
        missing = action.template.missing(build.params)
        if missing is not None:
            return Outcome(OutcomeStatus.FAILED, f"Missing param: '{missing}'")
        try:
            running = self._running.of(
                build, position=position, make=lambda: self._prepare_running(build)
            )
            start = running.start(action.template.shell, wrap)
        except (TemplateRefused, NotRunnable) as refusal:
            return Outcome(OutcomeStatus.FAILED, str(refusal))
        output = Output(build, position=position, allowance=running.allowance, journal=journal)
        return self._run(start, build, output, deadline, halt, detach=action.detach)

    def _run(
        self,
        start: "_Start",
        build: Build,
        output: Output,
        deadline: float | None,
        halt: Halt,
        *,
        detach: bool,
    ) -> Outcome:
        # What may outlive its action may outlive the server, and is no leftover of it.
        kind = "d" if detach else ""
        marker = f"{self._token}{kind}-{self._life}-{next(self._numbers)}."
        try:
            shell = start_shell(
                start.text,
                arguments=start.arguments,
                work_dir=start.work_dir,
                environment={**start.environment, MARKER: self._outer_marker + marker},
                account=start.account,
            )
        except NotStarted as refusal:
            return Outcome(OutcomeStatus.FAILED, str(refusal))
        with shell:
            run = Run(
                shell,
                output=output,
                marker=marker,
                grace=self._grace,
                exec_timeout=build.exec_timeout,
                limits=build.limits,
            )
            return run.finish(deadline=deadline, halt=halt, detach=detach)

    def _prepare_running(self, build: Build) -> "_RunningBuild":
        account = find_account(build.user) if build.user is not None else None
        return _RunningBuild(
            build=build,
            account=account,
            environment=build_environment(build, self._inherit_for(account)),
            allowance=Allowance.of(build),
        )

    def _inherit_for(self, account: Account | None) -> Mapping[str, str]:
        return account_environment(self._inherited, account) if account else self._inherited


@dataclass(frozen=True, slots=True)
class _Start:
    """What a shell is started with."""

    text: str
    arguments: Sequence[str]
    work_dir: str
    environment: Mapping[str, str]
    account: Account | None


@dataclass(frozen=True, slots=True)
class _RunningBuild:
    build: Build
    account: Account | None
    environment: dict[str, str]
    allowance: Allowance

    def start(self, text: str, wrap: Wrap | None) -> _Start:
        """How an action of that shell text is started."""
        return _Start(
            text=self._preparation() + (_RUN_ARGUMENTS if wrap else text),
            arguments=wrap(text, build_environment(self.build, {})) if wrap else (),
            work_dir=self.build.work_dir,
            environment=self.environment,
            account=self.account,
        )

    def _preparation(self) -> str:
        """Shell text in front of each action's, on the same line."""
        account = self.account
        entering = _check_entry(self.build.work_dir, account.name) if account else ""
        return entering + limiting(self.build.limits, uid=account.uid if account else os.getuid())


def _check_entry(work_dir: str, name: str) -> str:
    """Shell text that ends a shell whose folder was entered as root and is closed to its user."""
    message = quote(f"The work_dir '{work_dir}' can't be entered by the user '{name}'.")
    return f"[ -x . ] || {{ echo {message} >&2; exit {NOT_SET}; }}; "
