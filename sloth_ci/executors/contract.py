"""What every executor promises."""

from typing import Protocol

from sloth_ci.builds import BuildStatus
from sloth_ci.store import Claimed


class Seat(Protocol):
    """A thread that is kept for the next build of one app; either verb ends that, and is a must.

    No other build of the app is claimed or runs meanwhile, and `Executor.stop` waits for it.
    """

    def start(self, claimed: Claimed) -> None:
        """Run this build of the app there; returns at once."""

    def give_up(self) -> None:
        """Let go of it; an app that was woken meanwhile is seen to."""


class Executor(Protocol):
    """Runs the queued builds of apps: those of one app in order, one at a time."""

    def wake(self, app_id: int) -> None:
        """Say that the app may have a waiting build; returns at once."""

    def reserve(self, app_id: int) -> Seat | None:
        """A place for a build of the app that is going to be claimed; None when it can't be had.

        It can where no build runs or waits that this one would have to wait for.
        """

    def halt(self, app_id: int, build_id: int, status: BuildStatus, reason: str = "") -> None:
        """End that build of the app, if it runs, with that status; returns at once."""

    def stop(self, grace: float) -> None:
        """Start no more builds, give the running ones `grace` seconds, then interrupt them."""
