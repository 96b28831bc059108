"""Actions of apps with extensions: the first extension that runs one, else the shell."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import monotonic

from sloth_ci.builds import Build, BuildJournal, Halt, Outcome, RunAction
from sloth_ci.hooks.calls import Hooks
from sloth_ci.hooks.specs import ActionEvent, Specs


@dataclass(frozen=True, slots=True)
class HookedRun:
    """Runs actions as `builds.RunAction`, and tells how they ended."""

    #: Asked to run actions.
    hooks: Hooks
    #: Runs those that no extension runs.
    run_action: RunAction
    #: Told of their ends.
    told: Hooks
    now: Callable[[], float] = monotonic

    def __call__(
        self,
        build: Build,
        position: int,
        deadline: float | None,
        halt: Halt,
        journal: BuildJournal,
    ) -> Outcome:
        began = self.now()
        outcome = self.hooks.run_action(build, position, deadline, halt, journal)
        if outcome is None:
            outcome = self.run_action(build, position, deadline, halt, journal)
        if outcome.reason:
            outcome = replace(outcome, reason=build.mask(outcome.reason))
        event = ActionEvent(
            build_id=build.id,
            listen_point=build.listen_point,
            position=position,
            outcome=outcome,
            seconds=self.now() - began,
        )
        self.told.tell(Specs.action_finished, event)
        return outcome
