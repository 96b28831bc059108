"""Claimed builds: which config each runs with, who prepares and runs it, and who is told of it."""

from abc import ABC, abstractmethod
from pathlib import Path
from threading import RLock

from sloth_ci.app import App
from sloth_ci.bed.equipment import Equipment, Parts
from sloth_ci.builds import Build, BuildJournal, Halt, RunAction
from sloth_ci.config import AppConfig
from sloth_ci.errors import SlothError
from sloth_ci.executors import Ready
from sloth_ci.hooks import HookedRun, Unprepared
from sloth_ci.store import Claimed, Store


class Claims(ABC):
    """The part of a bed that makes claimed builds ready."""

    _store: Store
    _lock: RLock
    _by_id: dict[int, App]
    _equipment: Equipment
    _run_action: RunAction

    @abstractmethod
    def _parse(self, text: str, base_dir: Path) -> AppConfig:
        """Check an app's config."""

    @abstractmethod
    def _assemble(self, app_id: int, parts: Parts) -> App:
        """Make an app of its parts."""

    def _make_build(self, app_id: int, claimed: Claimed) -> Ready | None:
        """The build with the config that it was claimed with; None when its app is gone."""
        app = self._by_id.get(app_id)
        if app is None:
            return None
        if claimed.config_hash == app.config_hash:
            return self._make_ready(app, app, claimed)
        # It may be the newest config, whose app is in the store and not yet in its place here.
        with self._lock:
            app = self._by_id.get(app_id)
            if app is None:
                return None
            if claimed.config_hash == app.config_hash:
                return self._make_ready(app, app, claimed)
            return self._make_as_it_was(app, claimed)

    def _make_as_it_was(self, app: App, claimed: Claimed) -> Ready:
        """A build with a config that its app had.

        The extensions of that config prepare and run it, and are closed then; they never begin.
        Those that the app has now are told of it. A config that can't be used any more fails it.
        """
        text = None if claimed.config_id is None else self._store.config(claimed.config_id)
        if text is None:
            return self._make_ready(app, app, claimed)
        try:
            config = self._parse(text, app.base_dir)
            parts = self._equipment.make_for_builds(
                config, text, file=app.config_file, app_id=app.id
            )
        except SlothError as error:
            return self._refuse(app, claimed, app.mask(error.message))
        return self._make_ready(app, self._assemble(app.id, parts), claimed)

    def _make_ready(self, app: App, running: App, claimed: Claimed) -> Ready:
        """A build that `running` runs, which is the app now or as it was."""
        build, run_action = running.make_build(claimed), self._run_action
        if not (app.hooks or running.hooks):
            return Ready(build, run_action)
        ready = Ready(
            build,
            HookedRun(running.hooks, run_action, told=app.hooks),
            app.hooks,
            running.hooks.prepare_build,
        )
        return ready if running is app else ready.closing(running.extensions.close)

    def _refuse(self, app: App, claimed: Claimed, reason: str) -> Ready:
        def prepare(_build: Build, _halt: Halt, _journal: BuildJournal) -> Build:
            raise Unprepared(reason)

        return Ready(app.make_build(claimed), self._run_action, app.hooks, prepare)
