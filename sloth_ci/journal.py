"""The journal: one fact in, one log record out, in the published words."""

import logging
from collections.abc import Callable
from logging import DEBUG, ERROR, INFO, WARNING
from time import time

from sloth_ci.builds import Build, Outcome, OutcomeStatus
from sloth_ci.records import Logger, LogRecord, Stream
from sloth_ci.store import Store

#: What concerns the server and not one app goes to the error log by this logger.
SERVER_LOG = logging.getLogger("sloth_ci")


class Journal:
    """Writes down what happens to apps and builds."""

    def __init__(self, store: Store, *, clock: Callable[[], float] = time) -> None:
        self._store = store
        self._clock = clock

    # About apps

    def listening(self, app_id: int, listen_point: str) -> None:
        """The app takes requests now."""
        self._about_app(app_id, INFO, f"Listening on {listen_point}")

    def bound(self, app_id: int, file: str) -> None:
        """The app was bound with a config file."""
        self._about_app(app_id, INFO, f"Bound with config file {file}")

    def stopped(self, app_id: int) -> None:
        """The app takes no more requests."""
        self._about_app(app_id, INFO, "Stopped")

    def kept_last_good_config(self, app_id: int, reason: str) -> None:
        """The app's config file is broken, so it runs with the config it had."""
        self._about_app(app_id, ERROR, f"Config file refused, the last good one stays: {reason}")

    def delivery_accepted(self, app_id: int, *, address: str, builds: int) -> None:
        """A provider's delivery made builds."""
        self._about_app(app_id, INFO, f"Valid payload received from {address}, builds: {builds}")

    def delivery_ignored(self, app_id: int, *, address: str, reason: str) -> None:
        """A provider's delivery was authentic, but there was nothing to do."""
        self._about_app(app_id, INFO, f"Valid payload received from {address}, no build: {reason}")

    def delivery_refused(self, app_id: int, *, address: str, reason: str) -> None:
        """A delivery was not taken."""
        self._about_app(app_id, WARNING, f"Payload from {address} refused: {reason}")

    # About builds

    def action_started(self, build: Build, position: int) -> None:
        """The action at `position` (from 0) begins."""
        command = build.mask(build.actions[position].template.fill(build.params))
        self._about_action(build, INFO, f"Executing action: {command}")

    def output(self, build: Build, stream: Stream, line: str) -> None:
        """The running action printed a line."""
        self._about_action(build, DEBUG, line, stream)

    def action_finished(self, build: Build, position: int, outcome: Outcome) -> None:
        """The action at `position` ended."""
        if outcome.status is OutcomeStatus.COMPLETED:
            self._about_action(build, INFO, "Finished")
        elif outcome.status is OutcomeStatus.HALTED:
            self._about_action(build, WARNING, outcome.reason or "Halted")
        elif outcome.started:
            self._about_action(build, ERROR, f"Execution failed: {outcome.reason}")
        else:
            self._about_action(build, ERROR, outcome.reason)

    def progress(self, build: Build, completed: int) -> None:
        """So many of the build's actions have completed."""
        self._store.note_progress(build_id=build.id, completed=completed)

    def build_broken(self, build: Build) -> None:
        """The server itself failed to run the build; the error log has the details."""
        SERVER_LOG.exception("Build %s of %s could not be run", build.id, build.listen_point)
        self._about_action(build, ERROR, "The server failed to run this build; see its error log")

    def _about_app(self, app_id: int, level: int, message: str) -> None:
        self._store.write(LogRecord(app_id, Logger.APP, level, message, self._clock()))

    def _about_action(
        self, build: Build, level: int, message: str, stream: Stream | None = None
    ) -> None:
        self._store.write(
            LogRecord(build.app_id, Logger.EXEC, level, message, self._clock(), build.id, stream)
        )
