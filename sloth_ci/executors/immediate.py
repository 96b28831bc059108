"""The executor without threads."""

from sloth_ci.builds import BuildStatus, Halt
from sloth_ci.executors.contract import Seat
from sloth_ci.executors.run import BuildRun


class ImmediateExecutor:
    """Runs each build at once, in the caller's thread: for tests and tools."""

    def __init__(self, build_run: BuildRun) -> None:
        self._build_run = build_run
        self._stopping = False

    def wake(self, app_id: int) -> None:
        """Run everything that waits for the app, and return then."""
        halt = Halt()
        try:
            while not self._stopping and self._build_run.run_next(app_id, halt):
                pass
        finally:
            halt.close()

    def reserve(self, app_id: int) -> Seat | None:
        """There are no places."""

    def halt(self, app_id: int, build_id: int, status: BuildStatus, reason: str = "") -> None:
        """Nothing runs when this can be called."""

    def stop(self, grace: float) -> None:
        """Start no more builds."""
        self._stopping = True
