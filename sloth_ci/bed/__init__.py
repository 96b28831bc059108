"""The bed: all apps by listen point (a group of sloths is a bed)."""

from collections.abc import Callable
from glob import glob
from pathlib import Path
from threading import RLock

from sloth_ci.app import App
from sloth_ci.bed.config_files import read_config_file, without_content
from sloth_ci.bed.privileges import check_privileges, warn_of_root
from sloth_ci.builds import Build, BuildStatus, RunAction
from sloth_ci.config import AppConfig, Provider, Section, parse_app, read_app_document
from sloth_ci.errors import (
    AppNotFound,
    ConfigError,
    ConfigInvalid,
    ConfigMismatch,
    ConfigUnreadable,
    ListenPointTaken,
    SlothError,
    Stopping,
)
from sloth_ci.executors import BuildRun, Executor
from sloth_ci.journal import SERVER_LOG, Journal
from sloth_ci.registry import Kind, find
from sloth_ci.source import suggest
from sloth_ci.store import Claimed, Origin, Store, StoredApp
from sloth_ci.validators import BUILT_IN, Validator

VALIDATORS = Kind(
    word="provider",
    group="sloth_ci.validators",
    constant="VALIDATOR",
    built_in=BUILT_IN,
    parent=Validator,
)

#: Told of each app that comes or goes.
Listener = Callable[[App], None]


class Bed:
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

    def create(self, config_text: str) -> App:
        """Make an app of a config text.

        Raises ConfigInvalid or ListenPointTaken; then there is no trace of it.
        """
        config = self._parse(config_text, self._base_dir)
        with self._lock:
            if config.listen_point in self._by_listen_point:
                raise ListenPointTaken(listen_point=config.listen_point)
            return self._add(config, config_text, origin=Origin.API, file=None)

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
            app = self._replace(app, config, text, origin=stored.origin, file=config_file)
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
            return self._replace(app, config, config_text, origin=stored.origin, file=file)

    def remove(self, listen_point: str) -> None:
        """Remove an app: what waits is cancelled, what runs is ended.

        Raises AppNotFound.
        """
        with self._lock:
            app = self.find(listen_point)
            self._store.remove_app(app.id)
            del self._by_listen_point[listen_point]
            del self._by_id[app.id]
            self._on_remove(app)
            self._journal.stopped(app.id)
            self.executor.halt(app.id, BuildStatus.CANCELLED)

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
            self._load_stored(self._load_files(globs))
        warn_of_root(self.apps())
        for build_id, app_id in interrupted:
            app = self._by_id.get(app_id)
            if app is not None and app.config.rerun_interrupted:
                self._store.requeue(build_id=build_id, total=len(app.config.actions))
        for app_id in self._store.waiting_apps():
            self.executor.wake(app_id)

    def check_taking(self) -> None:
        """Raises Stopping once `stop_taking` was called."""
        if not self._taking:
            raise Stopping

    def stop_taking(self) -> None:
        """Take no new builds from now on."""
        self._taking = False

    def _make_build(self, app_id: int, claimed: Claimed) -> tuple[Build, RunAction] | None:
        app = self._by_id.get(app_id)
        return None if app is None else (app.make_build(claimed), self._run_action)

    def _parse(self, text: str, base_dir: Path) -> AppConfig:
        config = parse_app(text, base_dir=base_dir, find_options=_find_options)
        check_privileges(config, text)
        return config

    def _add(self, config: AppConfig, text: str, *, origin: Origin, file: str | None) -> App:
        # What can be refused comes before the store is changed.
        validator = _make_validator(config.provider)
        app_id = self._store.add_app(
            listen_point=config.listen_point, origin=origin, config=text, file=file
        )
        return self._install(app_id, config, validator, file)

    def _replace(
        self, app: App, config: AppConfig, text: str, *, origin: Origin, file: str | None
    ) -> App:
        new = self._make(app.id, config, _make_validator(config.provider), file)
        self._store.set_app(app_id=app.id, origin=origin, config=text, file=file)
        self._by_id[app.id] = self._by_listen_point[app.listen_point] = new
        self._on_add(new)
        return new

    def _install(
        self, app_id: int, config: AppConfig, validator: Validator | None, file: str | None
    ) -> App:
        app = self._make(app_id, config, validator, file)
        self._by_id[app.id] = self._by_listen_point[app.listen_point] = app
        self._on_add(app)
        self._journal.listening(app.id, app.listen_point)
        return app

    def _make(
        self, app_id: int, config: AppConfig, validator: Validator | None, file: str | None
    ) -> App:
        return App(
            app_id=app_id,
            config=config,
            validator=validator,
            base_dir=self._base_dir if file is None else Path(file).parent,
            config_file=file,
            store=self._store,
            journal=self._journal,
            wake=self.executor.wake,
        )

    def _load_files(self, globs: tuple[str, ...]) -> set[str]:
        """Make or renew the apps of config files; gives the paths of all files, good or not."""
        stored = {app.listen_point: app for app in self._store.apps()}
        found = (glob(pattern, recursive=True) for pattern in globs)  # noqa: PTH207  absolute ones
        files = sorted({name for names in found for name in names})
        for file in files:
            try:
                text = read_config_file(file)
                config = self._parse(text, Path(file).parent)
                self._load_file(file, text, config, stored.get(config.listen_point))
            except SlothError as error:
                SERVER_LOG.error("The config file %s is refused: %s", file, error)
        return set(files)

    def _load_file(self, file: str, text: str, config: AppConfig, known: StoredApp | None) -> None:
        if config.listen_point in self._by_listen_point:
            raise ListenPointTaken(listen_point=config.listen_point)
        if known is None:
            self._add(config, text, origin=Origin.FILE, file=file)
            return
        if known.origin is Origin.API and known.config_file != file:
            raise ListenPointTaken(listen_point=config.listen_point)
        validator = _make_validator(config.provider)
        if (known.config, known.config_file) != (text, file):
            self._store.set_app(app_id=known.id, origin=known.origin, config=text, file=file)
        self._install(known.id, config, validator, file)

    def _load_stored(self, files: set[str]) -> None:
        for stored in self._store.apps():
            if stored.id in self._by_id:
                continue
            if stored.origin is Origin.FILE and stored.config_file not in files:
                self._store.remove_app(stored.id)  # its file is gone, and so is the app
                continue
            try:
                self._load_one(stored)
            except SlothError as error:
                SERVER_LOG.error("The app %s can't be taken up: %s", stored.listen_point, error)

    def _load_one(self, stored: StoredApp) -> None:
        base_dir, refusal = self._base_dir, None
        if stored.config_file is not None:
            base_dir = Path(stored.config_file).parent
            try:
                text = read_config_file(stored.config_file)
                config = self._parse(text, base_dir)
                if config.listen_point == stored.listen_point:
                    validator = _make_validator(config.provider)
                    self._keep_text(stored, text)
                    self._install(stored.id, config, validator, stored.config_file)
                    return
                refusal = f"its listen point is now '{config.listen_point}'"
            except SlothError as error:
                refusal = str(error)
        config = self._parse(stored.config, base_dir)
        validator = _make_validator(config.provider)
        self._install(stored.id, config, validator, stored.config_file)
        if refusal:
            self._journal.kept_last_good_config(stored.id, refusal)
            SERVER_LOG.error("The app %s keeps its config: %s", stored.listen_point, refusal)

    def _keep_text(self, stored: StoredApp, text: str) -> None:
        if text != stored.config:
            self._store.set_app(
                app_id=stored.id, origin=stored.origin, config=text, file=stored.config_file
            )


def _make_validator(provider: Provider | None) -> Validator | None:
    if provider is None:
        return None
    kind: Callable[[Section], Validator] = find(VALIDATORS, provider.name)
    try:
        return kind(provider.options)
    # Somebody else's module may raise anything, and what ends a program must not end the server.
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ConfigInvalid(
            text=f"the provider '{provider.name}' can't be made: {reason}"
        ) from error


def _find_options(name: str) -> type[Section]:
    options: type[Section] = find(VALIDATORS, name).Options
    return options
