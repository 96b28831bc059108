"""The journal: one fact in, one log record out, in the published words."""

import logging
from collections.abc import Callable
from logging import ERROR, INFO, WARNING
from time import time

from sloth_ci.builds import Build, Outcome, OutcomeStatus
from sloth_ci.errors import SlothError
from sloth_ci.hooks import BuildEvent, Hooks, Specs
from sloth_ci.masking import Mask
from sloth_ci.records import Logger, LogRecord, Stream
from sloth_ci.store import Store, StoredBuild

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

    def extension_said(self, app_id: int | None, level: int, text: str) -> None:
        """An extension of an app, or of the server, has something to say."""
        if app_id is None:
            SERVER_LOG.log(level, "%s", text)
        else:
            self._about_app(app_id, level, text)

    # About builds

    def build_queued(self, build_id: int, *, hooks: Hooks, mask: Mask) -> None:
        """A build waits; the store has written that down."""
        self._tell(Specs.build_queued, build_id, hooks, mask)

    def build_started(self, build_id: int, *, hooks: Hooks, mask: Mask) -> None:
        """A build was taken from the queue; the store has written that down."""
        self._tell(Specs.build_started, build_id, hooks, mask)

    def build_finished(self, build_id: int, *, hooks: Hooks, mask: Mask) -> None:
        """A build has its final status; the store has written that down."""
        self._tell(Specs.build_finished, build_id, hooks, mask)

    def unprepared(self, build: Build, reason: str) -> None:
        """A build could not be prepared, and runs no action."""
        self._about_action(build, ERROR, build.mask(f"Not prepared: {reason}"))

    def action_started(self, build: Build, position: int) -> None:
        """The action at `position` (from 0) begins."""
        command = build.mask(build.actions[position].template.fill(build.params))
        self._store.note_action(
            build_id=build.id, position=position, command=command, started=self._clock()
        )
        self._about_action(build, INFO, f"Executing action: {command}")

    def output(self, build: Build, stream: Stream, line: str) -> None:
        """The running action printed a line."""
        self._store.write_output(
            app_id=build.app_id,
            build_id=build.id,
            stream=stream,
            line=line,
            timestamp=self._clock(),
        )

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
        self._store.note_outcome(
            build_id=build.id, position=position, outcome=outcome, finished=self._clock()
        )

    def progress(self, build: Build, completed: int) -> None:
        """So many of the build's actions have completed."""
        # The last one is written with the build's end.
        if completed < len(build.actions):
            self._store.note_progress(build_id=build.id, completed=completed)

    def build_broken(self, build: Build) -> None:
        """The server itself failed to run the build; the error log has the details."""
        SERVER_LOG.exception("Build %s of %s could not be run", build.id, build.listen_point)
        self._about_action(build, ERROR, "The server failed to run this build; see its error log")

    def _tell(
        self,
        spec: Callable[[Specs, BuildEvent], None],
        build_id: int,
        hooks: Hooks,
        mask: Mask,
    ) -> None:
        if not hooks.hears(spec):
            return
        try:
            stored = self._store.find_build(build_id)
        except SlothError as error:
            # What happened stays true, whether somebody can be told of it or not.
            SERVER_LOG.error("No extension is told of build %s: %s", build_id, error)
            return
        if stored is not None:
            hooks.tell(spec, _make_event(stored, mask))

    def _about_app(self, app_id: int, level: int, message: str) -> None:
        self._store.write(LogRecord(app_id, Logger.APP, level, message, self._clock()))

    def _about_action(self, build: Build, level: int, message: str) -> None:
        self._store.write(
            LogRecord(build.app_id, Logger.EXEC, level, message, self._clock(), build.id)
        )


def _make_event(stored: StoredBuild, mask: Mask) -> BuildEvent:
    return BuildEvent(
        id=stored.id,
        app_id=stored.app_id,
        listen_point=stored.listen_point,
        status=stored.status,
        message=stored.status.describe(completed=stored.completed, total=stored.total),
        cause=stored.cause,
        params={name: mask(value) for name, value in stored.params.items()},
        total=stored.total,
        completed=stored.completed,
        queued=stored.queued,
        started=stored.started,
        finished=stored.finished,
    )
