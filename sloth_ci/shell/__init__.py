"""The shell runner: one action as `/bin/sh -c`, in a session of its own, under our eyes to its end.

Whatever an action starts ends with it, unless the action is marked `detach`: then its background
processes live on, their output goes nowhere, and one that prints gets SIGPIPE.
"""

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from secrets import token_hex
from shlex import quote

from sloth_ci.builds import Build, BuildJournal, Halt, Outcome, OutcomeStatus
from sloth_ci.shell.accounts import (
    Account,
    NotRunnable,
    check_runnable,
    find_account,
    is_root,
)
from sloth_ci.shell.environment import (
    MARKER,
    account_environment,
    build_environment,
    inherited_environment,
)
from sloth_ci.shell.leftovers import Guardian, end_leftovers
from sloth_ci.shell.limits import NOT_SET, limiting
from sloth_ci.shell.offspring import become_subreaper, own_life
from sloth_ci.shell.output import Allowance, Output
from sloth_ci.shell.process import NotStarted, start_shell
from sloth_ci.shell.run import Run, describe_halt
from sloth_ci.template import TemplateRefused

__all__ = [
    "Guardian",
    "NotRunnable",
    "ShellRunner",
    "become_subreaper",
    "check_runnable",
    "end_leftovers",
    "is_root",
]


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
        self._thread = _Thread()

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
        if halt.status:
            return Outcome(OutcomeStatus.HALTED, describe_halt(halt))
        action = build.actions[position]
        missing = action.template.missing(build.params)
        if missing is not None:
            return Outcome(OutcomeStatus.FAILED, f"Missing param: '{missing}'")
        # What may outlive its action may outlive the server, and is no leftover of it.
        kind = "d" if action.detach else ""
        marker = f"{self._token}{kind}-{self._life}-{next(self._numbers)}."
        try:
            running = self._running(build, position)
            shell = start_shell(
                running.preparation() + action.template.shell,
                work_dir=build.work_dir,
                environment=running.environment | {MARKER: self._outer_marker + marker},
                account=running.account,
            )
        except (TemplateRefused, NotRunnable, NotStarted) as refusal:
            return Outcome(OutcomeStatus.FAILED, str(refusal))
        output = Output(build, position=position, allowance=running.allowance, journal=journal)
        with shell:
            run = Run(
                shell,
                output=output,
                marker=marker,
                grace=self._grace,
                exec_timeout=build.exec_timeout,
                limits=build.limits,
            )
            return run.finish(deadline=deadline, halt=halt, detach=action.detach)

    def _running(self, build: Build, position: int) -> "_RunningBuild":
        """What the build's actions share: made with the first, used by the following ones."""
        known = self._thread.running
        if known and known.build is build and position > 0:
            return known
        account = find_account(build.user) if build.user is not None else None
        inherited = account_environment(self._inherited, account) if account else self._inherited
        running = _RunningBuild(
            build=build,
            account=account,
            environment=build_environment(build, inherited),
            allowance=Allowance.of(build),
        )
        self._thread.running = running
        return running


@dataclass(frozen=True, slots=True)
class _RunningBuild:
    build: Build
    account: Account | None
    environment: dict[str, str]
    allowance: Allowance

    def preparation(self) -> str:
        """Shell text in front of each action's, on the same line."""
        account = self.account
        entering = _check_entry(self.build.work_dir, account.name) if account else ""
        return entering + limiting(self.build.limits, uid=account.uid if account else os.getuid())


def _check_entry(work_dir: str, name: str) -> str:
    """Shell text that ends a shell whose folder was entered as root and is closed to its user."""
    message = quote(f"The work_dir '{work_dir}' can't be entered by the user '{name}'.")
    return f"[ -x . ] || {{ echo {message} >&2; exit {NOT_SET}; }}; "


class _Thread(threading.local):
    """The build that the calling thread runs.

    A thread runs one build at a time, its actions one after another; so what they share needs no
    key, no lock, and no end: the next build takes its place.
    """

    running: _RunningBuild | None = None
