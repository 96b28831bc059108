"""Builds: what one is, how one runs, how one ends; without process, file or clock of its own."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from logging import DEBUG, ERROR, INFO, WARNING
from threading import Lock
from time import monotonic
from typing import Protocol

from sloth_ci.masking import Mask
from sloth_ci.records import Stream
from sloth_ci.template import Template


class BuildStatus(StrEnum):
    """Where a build stands; the last six are final."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETE = "complete"
    PARTIAL = "partial"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"

    @property
    def final(self) -> bool:
        """Whether nothing more will happen to the build."""
        return self not in (BuildStatus.QUEUED, BuildStatus.RUNNING)

    @property
    def level(self) -> int:
        """The level of the build's history record."""
        return _LEVELS[self]

    def describe(self, *, completed: int, total: int) -> str:
        """The published sentence of the build's history record."""
        if self.final:
            return f"{_SENTENCES[self]} ({completed}/{total})"
        return f"Triggered, actions in queue: {total}"


_LEVELS = {
    BuildStatus.QUEUED: DEBUG,
    BuildStatus.RUNNING: DEBUG,
    BuildStatus.COMPLETE: INFO,
    BuildStatus.PARTIAL: WARNING,
    BuildStatus.FAILED: ERROR,
    BuildStatus.TIMED_OUT: ERROR,
    BuildStatus.CANCELLED: WARNING,
    BuildStatus.INTERRUPTED: WARNING,
}
_SENTENCES = {
    BuildStatus.COMPLETE: "Complete",
    BuildStatus.PARTIAL: "Partially complete",
    BuildStatus.FAILED: "Failed",
    BuildStatus.TIMED_OUT: "Timed out",
    BuildStatus.CANCELLED: "Cancelled",
    BuildStatus.INTERRUPTED: "Interrupted",
}


@dataclass(frozen=True, slots=True)
class Action:
    """One command of an app."""

    template: Template
    #: Its failure ends the build.
    critical: bool = False
    #: Its background processes may live on after it.
    detach: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """What the kernel grants the processes of an action; None leaves it as it is."""

    #: Processes and threads, beyond those that their user has when the action starts.
    processes: int | None = None
    #: Bytes of address space of one process.
    memory: int | None = None
    #: Seconds of processor time of one process.
    cpu: int | None = None
    #: Bytes of one file that is written.
    file_size: int | None = None
    #: Descriptors of one process.
    open_files: int | None = None


@dataclass(frozen=True, slots=True)
class Build:
    """One run of all actions of an app with one set of params: all that a run needs."""

    id: int
    app_id: int
    listen_point: str
    actions: tuple[Action, ...]
    params: Mapping[str, str]
    env: Mapping[str, str] = field(default_factory=dict)
    work_dir: str = "."
    #: Seconds for one action.
    exec_timeout: float | None = None
    #: Seconds for the whole build.
    timeout: float | None = None
    stop_on_first_fail: bool = False
    #: Bytes of output kept of the whole build; the head and the tail of more.
    max_output: int = 16_000_000
    limits: Limits = Limits()
    #: Whom the actions run as; None for the server's own user.
    user: str | None = None
    mask: Mask = field(default_factory=Mask)


class OutcomeStatus(StrEnum):
    """How one action ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    HALTED = "halted"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one action ended, and why."""

    status: OutcomeStatus
    #: A sentence for the log, '' when the action completed.
    reason: str = ""
    exit_code: int | None = None
    signal: int | None = None
    # What it took makes no outcome another one; None when it is not known.
    #: Seconds of processor time, of the shell and of what it waited for.
    cpu: float | None = field(default=None, compare=False)
    #: Bytes of memory, at the most of its largest process.
    memory: int | None = field(default=None, compare=False)
    #: Bytes that it printed, be they kept or not.
    output: int | None = field(default=None, compare=False)

    @property
    def started(self) -> bool:
        """Whether a process ran at all."""
        ended_by_itself = self.exit_code is not None or self.signal is not None
        return ended_by_itself or self.status is not OutcomeStatus.FAILED


class Halt:
    """An order, given from outside, that a running build ends now; the first one stands.

    It is made before the build is known: `begin` says which one it is, and an order for that very
    build may come before. `fileno()` gives a descriptor that turns readable with the order, for
    `poll`.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._status: BuildStatus | None = None
        self._reason = ""
        self._is_interrupted = False
        self._build_id: int | None = None
        #: Orders for builds that may be the one that is going to run.
        self._early: dict[int, tuple[BuildStatus, str]] = {}
        self._read, self._write = os.pipe()

    @property
    def status(self) -> BuildStatus | None:
        """The status that the build is to end with; None while it may run."""
        return self._status

    @property
    def reason(self) -> str:
        """Why the build is to end, '' when the status says it all."""
        return self._reason

    @property
    def interrupted(self) -> bool:
        """Whether the server is ending, be the build's status by another order."""
        return self._is_interrupted

    def begin(self, build_id: int) -> None:
        """Say which build runs from now on."""
        with self._lock:
            self._build_id = build_id
            early = self._early.pop(build_id, None)
            self._early.clear()
            if early:
                self._order(*early)

    def reuse(self) -> bool:
        """Let another build begin, that is not known yet; False when an order was given."""
        with self._lock:
            self._build_id = None
            return self._status is None

    def order(self, status: BuildStatus, reason: str = "") -> None:
        """Order the end of whatever runs, with CANCELLED or INTERRUPTED."""
        with self._lock:
            self._order(status, reason)

    def order_for(self, build_id: int, status: BuildStatus, reason: str = "") -> None:
        """Order the end of that very build, and of no other that runs here."""
        with self._lock:
            if self._build_id is None:
                self._early.setdefault(build_id, (status, reason))
            elif self._build_id == build_id:
                self._order(status, reason)

    def _order(self, status: BuildStatus, reason: str) -> None:
        self._is_interrupted |= status is BuildStatus.INTERRUPTED
        if self._status is None:
            self._status, self._reason = status, reason
            if self._write >= 0:
                os.write(self._write, b".")

    def fileno(self) -> int:
        """The descriptor to poll for reading."""
        return self._read

    def close(self) -> None:
        """Give the descriptors back."""
        with self._lock:
            if self._write >= 0:
                os.close(self._read)
                os.close(self._write)
                self._read = self._write = -1


class BuildJournal(Protocol):
    """Where a running build says what happens; `sloth_ci.journal` writes it down."""

    def action_started(self, build: Build, position: int) -> None:
        """The action at `position` (from 0) begins."""

    def output(self, build: Build, stream: Stream, line: str) -> None:
        """The running action printed a line."""

    def action_finished(self, build: Build, position: int, outcome: Outcome) -> None:
        """The action at `position` ended."""

    def progress(self, build: Build, completed: int) -> None:
        """So many of the build's actions have completed."""


#: Runs one action. `deadline` is a moment of the monotonic clock, or None.
RunAction = Callable[[Build, int, float | None, Halt, BuildJournal], Outcome]


@dataclass(frozen=True, slots=True)
class Result:
    """How a build ended, and how many of its actions completed."""

    status: BuildStatus
    completed: int
    #: Why, where the status alone doesn't tell.
    reason: str = ""


def run_build(
    build: Build,
    *,
    run_action: RunAction,
    journal: BuildJournal,
    halt: Halt,
    now: Callable[[], float] = monotonic,
) -> Result:
    """Run the build's actions in order and say how it ended."""
    build_deadline = _after(build.timeout, now)
    completed = timed_out = 0
    for position in range(len(build.actions)):
        if halt.status:
            return Result(halt.status, completed, halt.reason)
        if build_deadline is not None and now() >= build_deadline:
            return Result(BuildStatus.TIMED_OUT, completed)
        deadline = _earlier(build_deadline, _after(build.exec_timeout, now))
        journal.action_started(build, position)
        outcome = run_action(build, position, deadline, halt, journal)
        if outcome.status is OutcomeStatus.COMPLETED:
            completed += 1
            journal.progress(build, completed)
        journal.action_finished(build, position, outcome)
        if outcome.status is OutcomeStatus.COMPLETED:
            continue
        timed_out += outcome.status is OutcomeStatus.TIMED_OUT
        end = _early_end(build, position, outcome, halt)
        if end is None and outcome.status is OutcomeStatus.TIMED_OUT and deadline == build_deadline:
            end = BuildStatus.TIMED_OUT
        if end is not None:
            return Result(end, completed, halt.reason if end is halt.status else "")
    return Result(_ran_through(completed, timed_out, len(build.actions)), completed)


def _after(seconds: float | None, now: Callable[[], float]) -> float | None:
    return None if seconds is None else now() + seconds


def _earlier(one: float | None, other: float | None) -> float | None:
    return min((moment for moment in (one, other) if moment is not None), default=None)


def _early_end(build: Build, position: int, outcome: Outcome, halt: Halt) -> BuildStatus | None:
    """How an action that did not complete ends its build; None when the next one follows."""
    if outcome.status is OutcomeStatus.HALTED and halt.status:
        return halt.status
    if not (build.actions[position].critical or build.stop_on_first_fail):
        return None
    if outcome.status is OutcomeStatus.TIMED_OUT:
        return BuildStatus.TIMED_OUT
    return BuildStatus.FAILED


def _ran_through(completed: int, timed_out: int, total: int) -> BuildStatus:
    if completed == total:
        return BuildStatus.COMPLETE
    if completed:
        return BuildStatus.PARTIAL
    return BuildStatus.TIMED_OUT if timed_out == total else BuildStatus.FAILED
