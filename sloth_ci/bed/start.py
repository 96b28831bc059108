"""The start of a bed: the apps that config files and the store have are taken up."""

from abc import ABC, abstractmethod
from glob import glob
from pathlib import Path

from sloth_ci.app import App
from sloth_ci.bed.config_files import read_config_file
from sloth_ci.bed.equipment import Parts
from sloth_ci.config import AppConfig
from sloth_ci.errors import ListenPointTaken, SlothError
from sloth_ci.journal import SERVER_LOG, Journal
from sloth_ci.store import Origin, Store, StoredApp


class Start(ABC):
    """The part of a bed that takes up the apps there are."""

    _store: Store
    _journal: Journal
    _base_dir: Path
    _by_id: dict[int, App]
    _by_listen_point: dict[str, App]

    @abstractmethod
    def _parse(self, text: str, base_dir: Path) -> AppConfig:
        """Check an app's config."""

    @abstractmethod
    def _make(
        self, config: AppConfig, text: str, *, file: str | None = None, app_id: int | None = None
    ) -> Parts:
        """Make what an app is made of."""

    @abstractmethod
    def _add(self, parts: Parts, *, origin: Origin) -> App:
        """Make an app that the store does not have."""

    @abstractmethod
    def _install(self, app_id: int, parts: Parts) -> App:
        """Make an app that the store has."""

    def _load_apps(self, globs: tuple[str, ...]) -> None:
        """Make the apps of config files and those of the store; what is refused is logged."""
        self._load_stored(self._load_files(globs))

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
            self._add(self._make(config, text, file=file), origin=Origin.FILE)
            return
        if known.origin is Origin.API and known.config_file != file:
            raise ListenPointTaken(listen_point=config.listen_point)
        parts = self._make(config, text, file=file, app_id=known.id)
        if (known.config, known.config_file) != (text, file):
            self._store.set_app(app_id=known.id, origin=known.origin, config=text, file=file)
        self._install(known.id, parts)

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
                    file = stored.config_file
                    parts = self._make(config, text, file=file, app_id=stored.id)
                    self._keep_text(stored, text)
                    self._install(stored.id, parts)
                    return
                refusal = f"its listen point is now '{config.listen_point}'"
            except SlothError as error:
                refusal = str(error)
        config = self._parse(stored.config, base_dir)
        parts = self._make(config, stored.config, file=stored.config_file, app_id=stored.id)
        self._install(stored.id, parts)
        if refusal:
            self._journal.kept_last_good_config(stored.id, refusal)
            SERVER_LOG.error("The app %s keeps its config: %s", stored.listen_point, refusal)

    def _keep_text(self, stored: StoredApp, text: str) -> None:
        if text != stored.config:
            self._store.set_app(
                app_id=stored.id, origin=stored.origin, config=text, file=stored.config_file
            )
