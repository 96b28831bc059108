"""Follow one shell to its end, or end it, and leave nothing behind that it started."""

import os
import signal
from contextlib import ExitStack, suppress
from dataclasses import replace
from time import monotonic

from sloth_ci.builds import BuildStatus, Halt, Limits, Outcome, OutcomeStatus
from sloth_ci.shell.limits import describe_limit
from sloth_ci.shell.offspring import Offspring, Sighting, hold, send_signal
from sloth_ci.shell.output import Output
from sloth_ci.shell.process import Shell
from sloth_ci.shell.watch import Watch

#: Seconds that what a finished action left behind has between TERM and KILL, at most.
_LEFTOVER_GRACE = 0.5
#: The same for what a stopping server interrupts: the server's own grace came before.
_INTERRUPTED_GRACE = 1.0
#: Processes waited for at once; each costs a descriptor meanwhile.
_WAITED_FOR = 64
#: Seconds that may pass, at most, between the making of a deadline and the action's start.
_STARTING = 0.25
#: Seconds to wait for the end of what was killed; a process in the kernel may outlast them.
_KILL_PATIENCE = 2.0
#: Seconds between looks at the shell where the system has no pidfd: the first, the longest.
_FIRST_LOOK, _LONGEST_LOOK = 0.001, 0.05


class Run:
    """One started action: its shell, its output, its offspring."""

    def __init__(
        self,
        shell: Shell,
        *,
        output: Output,
        marker: str,
        grace: float,
        exec_timeout: float | None,
        limits: Limits,
    ) -> None:
        self._shell = shell
        self._output = output
        self._grace = grace
        self._exec_timeout = exec_timeout
        self._limits = limits
        self._watch = Watch(shell, output)
        self._offspring = Offspring(shell.pid, marker)

    def finish(self, *, deadline: float | None, halt: Halt, detach: bool) -> Outcome:
        """See the action through to its outcome; whatever is raised, nothing of it lives on."""
        given = seconds_given(deadline, self._exec_timeout)
        try:
            broken_off = self._follow(deadline, halt)
            if broken_off:
                self._end_all(self._grace_after(halt))
            self._watch.drain()
            if detach:
                self._offspring.adopted()
            else:
                self._end_leftovers(min(self._grace, _LEFTOVER_GRACE))
            self._output.close()
        except BaseException:
            self._kill_at_once()
            raise
        returned = self._shell.reap()
        if broken_off is OutcomeStatus.TIMED_OUT:
            outcome = _outcome(broken_off, describe_timeout(given), returned)
        elif broken_off:
            outcome = _outcome(broken_off, describe_halt(halt), returned)
        else:
            outcome = _describe_end(returned, self._limits)
        return self._account(outcome)

    def _account(self, outcome: Outcome) -> Outcome:
        shell = self._shell
        return replace(outcome, cpu=shell.cpu, memory=shell.memory, output=self._output.size)

    def _grace_after(self, halt: Halt) -> float:
        if halt.status is BuildStatus.INTERRUPTED:
            return min(self._grace, _INTERRUPTED_GRACE)
        return self._grace

    def _follow(self, deadline: float | None, halt: Halt) -> OutcomeStatus | None:
        """Pass output on until the shell ended by itself (None) or its time is over."""
        ordered, exited = halt.fileno(), self._shell.exited
        for descriptor in (ordered, exited):
            if descriptor >= 0:
                self._watch.add(descriptor)
        ready = self._watch.until(deadline) if exited >= 0 else self._look_until(deadline)
        for descriptor in (ordered, exited):
            if descriptor >= 0:
                self._watch.drop(descriptor)
        if exited in ready or self._shell.ended():
            return None
        return OutcomeStatus.HALTED if ready else OutcomeStatus.TIMED_OUT

    def _look_until(self, moment: float | None) -> list[int]:
        """As `Watch.until`, where the shell's end can't be polled for: looks ever more rarely."""
        pause = _FIRST_LOOK
        while not self._shell.ended():
            look = monotonic() + pause
            ready = self._watch.until(look if moment is None else min(look, moment))
            if ready or (moment is not None and monotonic() >= moment):
                return ready
            pause = min(pause * 2, _LONGEST_LOOK)
        return []

    def _end_leftovers(self, grace: float) -> None:
        """End what the ended shell left behind; nearly always that is nothing, and this cheap."""
        if self._shell.exited < 0 or self._offspring.adopted():
            self._end_all(grace)
        self._shell.reap()
        if self._offspring.group_lives():
            self._end_all(grace)

    def _end_all(self, grace: float) -> None:
        """TERM to everything of the action, the grace, KILL to what is left."""
        if self._shell.exited < 0:
            self._end_group(grace)
            return
        if not self._end_by(signal.SIGTERM, patience=grace):
            self._end_by(signal.SIGKILL, patience=_KILL_PATIENCE)
        self._offspring.adopted()

    def _end_by(self, number: signal.Signals, *, patience: float) -> bool:
        """Signal all there is and wait for its end; whether it came in time."""
        found = self._offspring.find()
        told = {s.identity for s in found if s.group == self._shell.pid and not self._shell.reaped}
        self._signal_group(number)
        until = monotonic() + patience
        # Round after round, as what is signalled may have started more in the meantime.
        while found or not self._shell.ended():
            for sighting in found:
                if sighting.identity not in told:
                    told.add(sighting.identity)
                    send_signal(sighting, number)
            if monotonic() >= until:
                return False
            self._wait_for(found[:_WAITED_FOR], until)
            found = self._offspring.find()
        return True

    def _wait_for(self, sightings: list[Sighting], until: float) -> None:
        with ExitStack() as held:
            waiting = [] if self._shell.ended() else [self._shell.exited]
            for sighting in sightings:
                pidfd = hold(sighting)
                if pidfd >= 0:
                    held.callback(os.close, pidfd)
                    waiting.append(pidfd)
            if waiting:
                self._watch.until_all(waiting, until)
            else:
                self._watch.until(min(until, monotonic() + _FIRST_LOOK))

    def _end_group(self, grace: float) -> None:
        self._signal_group(signal.SIGTERM)
        self._look_until(monotonic() + grace)
        self._signal_group(signal.SIGKILL)

    def _kill_at_once(self) -> None:
        """The end where nobody listens any more: the journal failed."""
        for sighting in self._offspring.find():
            send_signal(sighting, signal.SIGKILL)
        self._signal_group(signal.SIGKILL)
        self._shell.reap()
        self._offspring.adopted()

    def _signal_group(self, number: signal.Signals) -> None:
        # Unreaped, the shell keeps its id, and so the group's, from being given to another.
        if not self._shell.reaped:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._shell.pid, number)
                # A stopped process takes TERM only when it goes on.
                os.killpg(self._shell.pid, signal.SIGCONT)


def describe_halt(halt: Halt) -> str:
    """The reason of an action that was ended by an order."""
    return halt.status.value.capitalize() if halt.status else "Halted"


def seconds_given(deadline: float | None, exec_timeout: float | None) -> float:
    """What the action was given, in the user's own figure where that made the deadline."""
    left = 0.0 if deadline is None else max(0.0, deadline - monotonic())
    if exec_timeout is not None and abs(exec_timeout - left) < _STARTING:
        return exec_timeout
    return left


def describe_timeout(seconds: float) -> str:
    """The reason of an action whose time was over."""
    shown = f"{seconds:.1f}".removesuffix(".0")
    return f"Timed out after {shown} second{'' if shown == '1' else 's'}"


def _describe_end(returned: int, limits: Limits) -> Outcome:
    if returned == 0:
        return Outcome(OutcomeStatus.COMPLETED, exit_code=0)
    if reached := describe_limit(limits, returned):
        return _outcome(OutcomeStatus.FAILED, reached, returned)
    if returned > 0:
        return _outcome(OutcomeStatus.FAILED, f"Exit code: {returned}", returned)
    reason = f"Killed by signal {-returned} ({_signal_name(-returned)})"
    return _outcome(OutcomeStatus.FAILED, reason, returned)


def _outcome(status: OutcomeStatus, reason: str, returned: int) -> Outcome:
    if returned < 0:
        return Outcome(status, reason, signal=-returned)
    return Outcome(status, reason, exit_code=returned)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"
