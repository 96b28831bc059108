"""The bed: all apps by listen point (a group of sloths is a bed)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from threading import RLock

from sloth_ci.app import App
from sloth_ci.bed.claims import Claims
from sloth_ci.bed.config_files import read_config_file, without_content
from sloth_ci.bed.equipment import VALIDATORS, Equipment, Parts
from sloth_ci.bed.orders import Orders
from sloth_ci.bed.privileges import warn_of_root
from sloth_ci.bed.start import Start
from sloth_ci.builds import BuildStatus, RunAction
from sloth_ci.config import AppConfig, ServerConfig, read_app_document
from sloth_ci.errors import (
    AppNotFound,
    ConfigError,
    ConfigMismatch,
    ConfigUnreadable,
    ListenPointTaken,
    Stopping,
)
from sloth_ci.executors import BuildRun, Executor
from sloth_ci.extension.making import Extensions
from sloth_ci.hooks import AppEvent, Specs
from sloth_ci.journal import Journal
from sloth_ci.parameters import ApiAction
from sloth_ci.shell import ShellRunner
from sloth_ci.source import suggest
from sloth_ci.store import Origin, Store, hash_config

__all__ = ["VALIDATORS", "Bed", "Listener"]

#: Told of each app that comes or goes.
Listener = Callable[[App], None]

#: Waiting builds of an app that is removed, of which extensions are told.
MOST_TOLD = 1_000
_RUNNING = (BuildStatus.RUNNING,)


class Bed(Claims, Orders, Start):
    """Makes, keeps, finds and removes apps; each step is in the store before it is answered."""

    def __init__(
        self,
        *,
        store: Store,
        journal: Journal,
        base_dir: Path,
        run_action: RunAction,
        make_executor: Callable[[BuildRun], Executor],
        on_add: Listener = lambda _app: None,
        on_remove: Listener = lambda _app: None,
        server: ServerConfig | None = None,
    ) -> None:
        self._store = store
        self._journal = journal
        self._base_dir = base_dir
        self._run_action = run_action
        self._on_add = on_add
        self._on_remove = on_remove
        self._lock = RLock()
        self._by_listen_point: dict[str, App] = {}
        self._by_id: dict[int, App] = {}
        self._taking = True
        self.executor = make_executor(BuildRun(store, journal, self._make_build))
        #: Extensions begin once all apps are there.
        self._begun = False
        self._equipment = Equipment(
            store=store,
            journal=journal,
            base_dir=base_dir,
            config=server or ServerConfig(),
            shell=run_action if isinstance(run_action, ShellRunner) else ShellRunner(),
            trigger=self._trigger,
            apps=self._names,
        )

    @property
    def extensions(self) -> Extensions:
        """Those of the server."""
        return self._equipment.server

    def further_actions(self, taken: Iterable[str]) -> Mapping[str, ApiAction]:
        """The actions of the API that extensions add to those whose names are taken.

        Raises ConfigInvalid when one of them is taken.
        """
        return self._equipment.further_actions(taken)

    def create(self, config_text: str) -> App:
        """Make an app of a config text.

        Raises ConfigInvalid or ListenPointTaken; then there is no trace of it.
        """
        config = self._parse(config_text, self._base_dir)
        with self._lock:
            if config.listen_point in self._by_listen_point:
                raise ListenPointTaken(listen_point=config.listen_point)
            return self._add(self._make(config, config_text), origin=Origin.API)

    def bind(self, listen_point: str, config_file: str) -> App:
        """Bind an app with the file that its config came from; its relative paths count from there.

        Raises AppNotFound, ConfigFileNotFound, ConfigError or ConfigMismatch; then the app is bound
        as before.
        """
        with self._lock:
            app = self.find(listen_point)
            text = read_config_file(config_file)
            stored = self._store.app(app.id)
            try:
                new = read_app_document(text).data
                config = self._parse(text, Path(config_file).parent)
            except ConfigError as error:
                raise without_content(config_file, error) from None
            if new != read_app_document(stored.config).data:
                raise ConfigMismatch(listen_point=listen_point, config_file=config_file)
            parts = self._make(config, text, file=config_file, app_id=app.id)
            app = self._replace(app, parts, origin=stored.origin)
            self._journal.bound(app.id, config_file)
            return app

    def update(self, listen_point: str, config_text: str | None = None) -> App:
        """Swap an app's config for a new one, or for what its config file holds now.

        What runs finishes with the old config; what waits runs with the new one.
        Raises AppNotFound, ConfigFileNotFound, ConfigError or ConfigMismatch; then nothing changed.
        """
        with self._lock:
            app = self.find(listen_point)
            stored = self._store.app(app.id)
            if config_text is not None:
                config, file = self._parse(config_text, app.base_dir), app.config_file
            elif app.config_file is not None:
                config_text, file = read_config_file(app.config_file), app.config_file
                try:
                    config = self._parse(config_text, Path(file).parent)
                except ConfigError as error:
                    raise without_content(file, error) from None
            else:
                raise ConfigUnreadable(
                    file=listen_point, reason="it is bound to no config file; send a config_string"
                )
            if config.listen_point != listen_point:
                raise ConfigMismatch(listen_point=listen_point, config_file=file or "config_string")
            parts = self._make(config, config_text, file=file, app_id=app.id)
            return self._replace(app, parts, origin=stored.origin)

    def remove(self, listen_point: str) -> None:
        """Remove an app: what waits is cancelled, what runs is ended.

        Raises AppNotFound.
        """
        with self._lock:
            app = self.find(listen_point)
            cancelled = self._store.remove_app(app.id)
            del self._by_listen_point[listen_point]
            del self._by_id[app.id]
            self._on_remove(app)
            self._journal.stopped(app.id)
            # What is to end is named, as the listen point may be taken again at once.
            for build in self._store.builds(app_id=app.id, statuses=_RUNNING, most=1):
                reason = "The app was removed"
                self.executor.halt(app.id, build.id, BuildStatus.CANCELLED, reason)
            if app.hooks:
                for build_id in cancelled[-MOST_TOLD:]:
                    self._journal.build_finished(build_id, hooks=app.hooks, mask=app.mask)
            app.hooks.tell(Specs.app_removed, app.event)
            app.extensions.close()

    def find(self, listen_point: str) -> App:
        """The app of that listen point.

        Raises AppNotFound.
        """
        app = self._by_listen_point.get(listen_point)
        if app is None:
            raise AppNotFound(
                listen_point=listen_point, hint=suggest(listen_point, self._by_listen_point)
            )
        return app

    def apps(self) -> list[App]:
        """All apps, sorted by listen point."""
        return [app for _name, app in sorted(self._by_listen_point.items())]

    def load(self, globs: tuple[str, ...]) -> None:
        """Take up the apps of the store and those of the config files, and run what waits."""
        interrupted = self._store.recover()
        with self._lock:
            self._load_apps(globs)
            self._begin()
        warn_of_root(self.apps())
        for build_id, app_id in interrupted:
            app = self._by_id.get(app_id)
            if app is not None and app.hooks:
                self._journal.build_finished(build_id, hooks=app.hooks, mask=app.mask)
            if app is not None and app.config.rerun_interrupted:
                self._requeue(app, build_id)
        for app_id in self._store.waiting_apps():
            self.executor.wake(app_id)

    def check_taking(self) -> None:
        """Raises Stopping once `stop_taking` was called."""
        if not self._taking:
            raise Stopping

    def stop_taking(self) -> None:
        """Take no new builds from now on."""
        self._taking = False

    def close(self) -> None:
        """Let all extensions end; after this, nothing is to be done with any app."""
        with self._lock:
            for app in self.apps():
                app.extensions.close()
            self._equipment.close()

    def _begin(self) -> None:
        """Let the extensions of the server and of all apps begin."""
        self._equipment.server.open(None)
        self._begun = True
        for app in self.apps():
            self._introduce(app, replace(app.event, at_start=True))

    def _introduce(self, app: App, event: AppEvent) -> None:
        if self._begun and app.hooks:
            app.extensions.open(app.id)
            app.hooks.tell(Specs.app_added, event)

    def _requeue(self, app: App, build_id: int) -> None:
        again = self._store.requeue(build_id=build_id, total=len(app.config.actions))
        if app.hooks:
            self._journal.build_queued(again, hooks=app.hooks, mask=app.mask)

    def _trigger(self, listen_point: str, params: Mapping[str, str], actor: str) -> int:
        self.check_taking()
        return self.find(listen_point).trigger(params, actor=actor)

    def _names(self) -> list[str]:
        return sorted(self._by_listen_point)

    def _count_actions(self, app: App, config: str) -> int:
        return len(self._parse(config, app.base_dir).actions)

    def _parse(self, text: str, base_dir: Path) -> AppConfig:
        return self._equipment.parse(text, base_dir)

    def _make(
        self, config: AppConfig, text: str, *, file: str | None = None, app_id: int | None = None
    ) -> Parts:
        # What can be refused comes before the store is changed.
        return self._equipment.make(config, text, file=file, app_id=app_id)

    def _add(self, parts: Parts, *, origin: Origin) -> App:
        app_id = self._store.add_app(
            listen_point=parts.config.listen_point,
            origin=origin,
            config=parts.text,
            file=parts.file,
        )
        return self._install(app_id, parts)

    def _replace(self, app: App, parts: Parts, *, origin: Origin) -> App:
        self._store.set_app(app_id=app.id, origin=origin, config=parts.text, file=parts.file)
        new = self._assemble(app.id, parts)
        app.extensions.close()
        if new.hooks:
            new.extensions.open(new.id)
            new.hooks.tell(Specs.app_updated, new.event)
        self._by_id[app.id] = self._by_listen_point[app.listen_point] = new
        self._on_add(new)
        return new

    def _install(self, app_id: int, parts: Parts) -> App:
        app = self._assemble(app_id, parts)
        self._by_id[app.id] = self._by_listen_point[app.listen_point] = app
        self._introduce(app, app.event)
        self._on_add(app)
        self._journal.listening(app.id, app.listen_point)
        return app

    def _assemble(self, app_id: int, parts: Parts) -> App:
        return App(
            app_id=app_id,
            config=parts.config,
            validator=parts.validator,
            base_dir=parts.base_dir,
            config_file=parts.file,
            store=self._store,
            journal=self._journal,
            executor=self.executor,
            extensions=parts.extensions,
            config_hash=hash_config(parts.text),
        )
