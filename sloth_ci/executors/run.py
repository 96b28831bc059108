"""One build from its claim to its written end: what every executor does with it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import sleep

from sloth_ci.builds import Build, BuildJournal, BuildStatus, Halt, Result, RunAction, run_build
from sloth_ci.errors import DatabaseUnavailable, SlothError
from sloth_ci.hooks import NO_HOOKS, Hooks, Specs, Unprepared
from sloth_ci.journal import SERVER_LOG, Journal
from sloth_ci.store import Claimed, Store

#: Pause after trouble with the store, in seconds.
RETRY_DELAY = 1.0

#: Gives the build that is to run, or raises Unprepared.
Prepare = Callable[[Build, Halt, BuildJournal], Build]


def _do_nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Ready:
    """A build that can be run, and who is told of that."""

    build: Build
    run_action: RunAction
    hooks: Hooks = NO_HOOKS
    #: None where nothing is to be done before the first action.
    prepare: Prepare | None = None
    #: Lets go of what was made for this build alone.
    close: Callable[[], None] = _do_nothing

    @property
    def ends_at_once(self) -> bool:
        """Whether nobody has anything to do once its end is written."""
        return self.close is _do_nothing and not self.hooks.hears(Specs.build_finished)

    def closing(self, close: Callable[[], None]) -> "Ready":
        """The same, with something to let go of when it has ended."""
        return replace(self, close=close)


#: The build that a claim stands for; None when the app is gone meanwhile.
MakeBuild = Callable[[int, Claimed], Ready | None]
#: The app whose next build is to be claimed in the commit of another's end; None for no such claim.
#: Asked before each try.
Choose = Callable[[], int | None]


def choose_nobody() -> int | None:
    """Claim nothing."""
    return None


@dataclass(frozen=True, slots=True)
class Written:
    """That a build's end is written, and what was claimed in the same commit."""

    #: The app whose next build was asked for; None when none was.
    app_id: int | None = None
    #: None when none waits, or may start.
    claimed: Claimed | None = None


@dataclass(frozen=True, slots=True)
class _End:
    """How a build of an app ended."""

    app_id: int
    build_id: int
    result: Result
    total: int

    def write(self, store: Store, *, then_claim: int | None = None) -> Claimed | None:
        """Write it; gives what was claimed for that app in the same commit."""
        return store.finish(
            app_id=self.app_id,
            build_id=self.build_id,
            result=self.result,
            total=self.total,
            then_claim=then_claim,
        )


class BuildRun:
    """Takes builds from the queue, runs them and writes their ends."""

    def __init__(self, store: Store, journal: Journal, make_build: MakeBuild) -> None:
        self._store = store
        self._journal = journal
        self._make_build = make_build

    def run_next(self, app_id: int, halt: Halt) -> bool:
        """Run the app's oldest waiting build; False when none waits, or may start."""
        claimed = self.claim(app_id, halt)
        if claimed is None:
            return False
        self.run(app_id, claimed, halt)
        return True

    def claim(self, app_id: int, halt: Halt) -> Claimed | None:
        """Take the app's oldest waiting build; None when none waits, or may start."""
        return None if halt.status else self._store.claim(app_id)

    def run(
        self, app_id: int, claimed: Claimed, halt: Halt, choose: Choose = choose_nobody
    ) -> Written | None:
        """Run a claimed build to its written end, and claim what is chosen together with that.

        None when its end is left to the next start, as the server is ending.
        """
        halt.begin(claimed.id)
        try:
            made = self._make_build(app_id, claimed)
        except Exception as error:  # noqa: BLE001  what is claimed must come to an end
            SERVER_LOG.exception("Build %s could not be prepared", claimed.id)
            reason = error.message if isinstance(error, SlothError) else "The server's own fault"
            result = Result(BuildStatus.FAILED, 0, reason)
            return self._finish(_End(app_id, claimed.id, result, claimed.total), halt, choose)
        if made is None:
            result = Result(BuildStatus.CANCELLED, 0, "The app was removed")
            return self._finish(_End(app_id, claimed.id, result, claimed.total), halt, choose)
        try:
            return self._see_through(made, halt, choose)
        finally:
            made.close()

    def _see_through(self, ready: Ready, halt: Halt, choose: Choose) -> Written | None:
        build, hooks = ready.build, ready.hooks
        if hooks:
            self._journal.build_started(build.id, hooks=hooks, mask=build.mask)
        end = _End(build.app_id, build.id, self._run(ready, halt), len(build.actions))
        if ready.ends_at_once:
            return self._finish(end, halt, choose)
        # What is told now may take its time, and no claimed build must wait for that.
        written = self._finish(end, halt, choose_nobody)
        if written:
            self._journal.build_finished(build.id, hooks=hooks, mask=build.mask)
        return written

    def _finish(self, end: _End, halt: Halt, choose: Choose) -> Written | None:
        while True:
            try:
                return self._write(end, choose())
            except DatabaseUnavailable as error:
                SERVER_LOG.error("The end of build %s is not written yet: %s", end.build_id, error)
                if halt.interrupted:
                    return None  # the next start finds it running, and says interrupted
                sleep(RETRY_DELAY)

    def _write(self, end: _End, next_app: int | None) -> Written:
        if next_app is not None:
            try:
                return Written(next_app, end.write(self._store, then_claim=next_app))
            except DatabaseUnavailable:
                raise
            except Exception:  # noqa: BLE001  trouble of the one build is none of the other's
                SERVER_LOG.exception("The next build of app %s could not be taken", next_app)
        end.write(self._store)
        return Written()

    def _run(self, ready: Ready, halt: Halt) -> Result:
        build, journal = ready.build, self._journal
        try:
            if ready.prepare:
                build = ready.prepare(build, halt, journal)
            return run_build(build, run_action=ready.run_action, journal=journal, halt=halt)
        except Unprepared as reason:
            journal.unprepared(build, str(reason))
            text = halt.reason or build.mask(str(reason))
            return Result(halt.status or BuildStatus.FAILED, 0, text)
        except Exception:  # noqa: BLE001  one build's trouble must not end the executor
            self._journal.build_broken(build)
            return Result(BuildStatus.FAILED, 0, "The server's own fault")
