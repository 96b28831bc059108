"""What runners share that run actions elsewhere: on another machine, or in a container."""

import os
import select
from collections.abc import Callable
from dataclasses import dataclass
from threading import Thread
from time import monotonic
from types import TracebackType
from typing import Self

from sloth_ci.builds import Build, BuildJournal, Halt, Limits, Outcome, OutcomeStatus
from sloth_ci.records import Stream
from sloth_ci.shell.environment import build_environment
from sloth_ci.shell.output import Allowance, Lines, Output
from sloth_ci.shell.run import describe_halt, describe_timeout, seconds_given
from sloth_ci.shell.sharing import PerBuild
from sloth_ci.shell.watch import milliseconds_until
from sloth_ci.template import TemplateRefused

_NOT_HERE = (
    "The app's '{key}' holds for actions on this machine only, and these run {where}; leave it out."
)


@dataclass(frozen=True, slots=True)
class Order:
    """One action, ready to be run elsewhere."""

    build: Build
    position: int
    #: Of the monotonic clock.
    deadline: float | None
    halt: Halt
    journal: BuildJournal
    #: What the build brings along, and nothing of this machine's.
    environment: dict[str, str]
    _allowance: Allowance
    _seconds: float

    @property
    def text(self) -> str:
        """For `/bin/sh -c`; constant, as values travel in the environment."""
        return self.build.actions[self.position].template.shell

    @property
    def detach(self) -> bool:
        """Whether its background processes may live on after it."""
        return self.build.actions[self.position].detach

    def open_output(self, *, prefix: str = "", parts: int = 1) -> Output:
        """Where bytes go that the action prints, or one of several parts of it.

        Parts share what the build may print, so let one of them print at a time.
        """
        return Output(
            self.build,
            position=self.position,
            allowance=self._allowance,
            journal=_Prefixed(self.journal, prefix) if prefix else self.journal,
            parts=parts,
        )

    def say(self, line: str) -> None:
        """A line of the runner's own in the build's log."""
        self.journal.output(self.build, Stream.STDERR, self.build.mask(line))

    def over(self) -> bool:
        """Whether the action is to end now."""
        passed = self.deadline is not None and monotonic() >= self.deadline
        return passed or self.halt.status is not None

    def ended(self, exit_code: int) -> Outcome:
        """The outcome of an action that ended by itself."""
        if exit_code == 0:
            return Outcome(OutcomeStatus.COMPLETED, exit_code=0)
        return Outcome(OutcomeStatus.FAILED, f"Exit code: {exit_code}", exit_code=exit_code)

    def broken_off(self) -> Outcome:
        """The outcome of an action that was ended: by an order, or as its time was over."""
        if self.halt.status:
            return Outcome(OutcomeStatus.HALTED, describe_halt(self.halt))
        return Outcome(OutcomeStatus.TIMED_OUT, describe_timeout(self._seconds))

    def failed(self, reason: str, *, exit_code: int | None = None) -> Outcome:
        """The outcome of an action that failed in a way of the runner's own."""
        return Outcome(OutcomeStatus.FAILED, self.build.mask(reason), exit_code=exit_code)


class Orders:
    """Makes orders of builds' actions, from any number of threads at once.

    `where` goes into the sentence that says why the app's `limits` or `user` can't hold.
    """

    def __init__(self, *, where: str) -> None:
        self._where = where
        self._allowances: PerBuild[Allowance] = PerBuild()

    def make(
        self,
        build: Build,
        position: int,
        deadline: float | None,
        halt: Halt,
        journal: BuildJournal,
    ) -> Order | Outcome:
        """The order, or the outcome of an action that can't even be ordered."""
        if halt.status:
            return Outcome(OutcomeStatus.HALTED, describe_halt(halt))
        missing = build.actions[position].template.missing(build.params)
        if missing is not None:
            return Outcome(OutcomeStatus.FAILED, f"Missing param: '{missing}'")
        for key, given in (("limits", build.limits != Limits()), ("user", build.user is not None)):
            if given:
                reason = _NOT_HERE.format(key=key, where=self._where)
                return Outcome(OutcomeStatus.FAILED, reason)
        try:
            environment = build_environment(build, {})
        except TemplateRefused as refusal:
            return Outcome(OutcomeStatus.FAILED, str(refusal))
        return Order(
            build=build,
            position=position,
            deadline=deadline,
            halt=halt,
            journal=journal,
            environment=environment,
            _allowance=self._allowances.of(
                build, position=position, make=lambda: Allowance.of(build)
            ),
            _seconds=seconds_given(deadline, build.exec_timeout),
        )


class Breaker:
    """While its block runs: calls `stop`, once, when the order's time is over or it is halted.

    For calls that block and know nothing of either; `stop` runs on a thread of its own.
    """

    def __init__(self, order: Order, stop: Callable[[], None]) -> None:
        self._order = order
        self._stop = stop
        self._thread = Thread(target=self._watch, name="breaker", daemon=True)

    def __enter__(self) -> Self:
        self._read, self._write = os.pipe()
        try:
            self._thread.start()
        except BaseException:
            os.close(self._read)
            os.close(self._write)
            raise
        return self

    def dismiss(self) -> None:
        """Watch no longer; when this returns, `stop` has been called or never will be."""
        if self._write >= 0:
            os.close(self._write)
            self._write = -1
            self._thread.join()
            os.close(self._read)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.dismiss()

    def _watch(self) -> None:
        poll = select.poll()
        poll.register(self._read, select.POLLIN)
        poll.register(self._order.halt.fileno(), select.POLLIN)
        while not (ready := poll.poll(milliseconds_until(self._order.deadline))):
            if self._order.over():
                break
        if self._read not in (descriptor for descriptor, _event in ready):
            self._stop()


class _Prefixed:
    """Puts something in front of each line."""

    def __init__(self, journal: Lines, prefix: str) -> None:
        self._journal = journal
        self._prefix = prefix

    def output(self, build: Build, stream: Stream, line: str) -> None:
        self._journal.output(build, stream, self._prefix + line)
