"""What apps' configs ask for, made before anything is changed: validators and extensions."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sloth_ci.alarms import Alarms
from sloth_ci.app import list_secrets
from sloth_ci.background import Background
from sloth_ci.bed.privileges import check_privileges
from sloth_ci.config import (
    AppConfig,
    Declared,
    Provider,
    Section,
    ServerConfig,
    parse_app,
    refused_at,
    with_keys,
)
from sloth_ci.errors import ConfigInvalid
from sloth_ci.extension import Extension
from sloth_ci.extension.finding import find_app_options
from sloth_ci.extension.making import (
    Extensions,
    Ground,
    Place,
    make_extensions,
    no_extensions,
    pick_for_builds,
)
from sloth_ci.hooks import HookRefused, Specs
from sloth_ci.journal import Journal
from sloth_ci.masking import Mask
from sloth_ci.parameters import ApiAction
from sloth_ci.registry import Kind, find
from sloth_ci.shell import ShellRunner
from sloth_ci.store import Store
from sloth_ci.validators import BUILT_IN, Validator

VALIDATORS = Kind(
    word="provider",
    group="sloth_ci.validators",
    constant="VALIDATOR",
    built_in=BUILT_IN,
    parent=Validator,
)

#: Seconds that work of extensions gets to be done when the server ends.
GRACE = 3.0


@dataclass(frozen=True, slots=True)
class Parts:
    """All that an app is made of, checked."""

    config: AppConfig
    text: str
    file: str | None
    base_dir: Path
    validator: Validator | None
    extensions: Extensions


class Equipment:
    """Reads apps' configs and makes their parts; has the server's extensions.

    Raises ConfigInvalid when an extension that the server's config declares can't be made.
    """

    def __init__(
        self,
        *,
        store: Store,
        journal: Journal,
        base_dir: Path,
        config: ServerConfig,
        shell: ShellRunner,
        trigger: Callable[[str, Mapping[str, str], str], int],
        apps: Callable[[], Sequence[str]],
    ) -> None:
        self._base_dir = base_dir
        self._ground = Ground(
            store=store,
            journal=journal,
            alarms=Alarms(),
            background=Background(),
            shell=shell,
            url=config.url or "",
            trigger=trigger,
            apps=apps,
        )
        mask = Mask(config.secrets)
        place = Place(app_id=None, listen_point="", base_dir=base_dir, mask=mask)
        self._declared = config.extensions
        #: Names of the API's own actions, and what extensions added to them so far.
        self._taken: frozenset[str] = frozenset()
        self._further: dict[str, ApiAction] = {}
        self._owners: dict[str, type[Extension]] = {}
        #: Those that the server's own extensions brought, which stay.
        self._of_server: frozenset[str] = frozenset()
        with _Refusing(self._declared):
            self.server = make_extensions(config.extensions, ground=self._ground, place=place)
            self._kind = _add_keys(self.server)
        #: One for all apps that declare none.
        self._without = no_extensions(self.server.hooks)

    def parse(self, text: str, base_dir: Path) -> AppConfig:
        """Check an app's config; raises ConfigInvalid."""
        config = parse_app(
            text,
            base_dir=base_dir,
            find_options=find_options,
            find_extension=find_app_options,
            kind=self._kind,
        )
        check_privileges(config, text)
        return config

    def make(self, config: AppConfig, text: str, *, file: str | None, app_id: int | None) -> Parts:
        """Make the parts of an app, which has no id while it is new; raises ConfigInvalid."""
        parts = self._make(config, text, file, app_id, config.extensions)
        if config.extensions:
            with _Refusing(config.extensions):
                self._add_actions(parts.extensions)
        return parts

    def make_for_builds(
        self, config: AppConfig, text: str, *, file: str | None, app_id: int
    ) -> Parts:
        """As `make`, of extensions only those that prepare or run builds; raises ConfigInvalid."""
        with _Refusing(config.extensions):
            declared = pick_for_builds(config.extensions)
        return self._make(config, text, file, app_id, declared)

    def further_actions(self, taken: Iterable[str]) -> Mapping[str, ApiAction]:
        """The actions of the API that extensions bring; those of apps join when these are made.

        Raises ConfigInvalid when one of the server's is taken.
        """
        self._taken = frozenset(taken)
        with _Refusing(self._declared):
            self._add_actions(self.server)
        self._of_server = frozenset(self._further)
        return self._further

    def close(self) -> None:
        """Let the server's extensions end, and what all of them still have to do be done."""
        self._ground.alarms.close()
        self.server.close()
        self._ground.background.close(GRACE)

    def _make(
        self,
        config: AppConfig,
        text: str,
        file: str | None,
        app_id: int | None,
        declared: Mapping[str, Declared],
    ) -> Parts:
        validator = _make_validator(config.provider)
        base_dir = self._base_dir if file is None else Path(file).parent
        extensions = self._without
        if declared:
            mask = _late_mask(config, validator)
            place = Place(
                app_id=app_id, listen_point=config.listen_point, base_dir=base_dir, mask=mask
            )
            with _Refusing(declared):
                extensions = make_extensions(
                    declared, ground=self._ground, place=place, beyond=self.server.hooks
                )
        return Parts(config, text, file, base_dir, validator, extensions)

    def _add_actions(self, extensions: Extensions) -> None:
        """Each instance of an extension brings the same ones, the newest counts; no other may."""
        for name, actions in extensions.require(Specs.api_actions).items():
            kind = extensions.kind_of(name)
            for action in actions:
                owner = self._owners.setdefault(action.name, kind)
                if action.name in self._taken or owner is not kind:
                    sentence = f"can't be used: there is an action '{action.name}' already"
                    raise HookRefused(name, sentence)
                if action.name not in self._of_server:
                    self._further[action.name] = action


class _Refusing:
    """Makes a refused extension a refused config, with the place where that one is declared."""

    def __init__(self, declared: Mapping[str, Declared]) -> None:
        self._declared = declared

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: Any, error: BaseException | None, _trace: Any) -> None:
        if isinstance(error, HookRefused):
            place = self._declared[error.extension].place
            raise refused_at(place, f"'extensions.{error.extension}' {error}") from error


def find_options(name: str) -> type[Section]:
    """The options of a provider; raises LookupError with a sentence."""
    options: type[Section] = find(VALIDATORS, name).Options
    return options


def _add_keys(server: Extensions) -> type[AppConfig]:
    keys: dict[str, Any] = {}
    for name, further in server.require(Specs.app_keys).items():
        try:
            with_keys(further)
            if taken := sorted(keys.keys() & further.keys()):
                raise ValueError(f"'{taken[0]}' is a key of another extension already")
        except ValueError as error:
            raise HookRefused(name, f"can't be used: {error}") from error
        keys |= further
    return with_keys(keys)


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


def _late_mask(config: AppConfig, validator: Validator | None) -> Callable[[str], str]:
    """What keeps the app's secrets out of a text; it takes its time, so it is made when asked."""
    make = cache(lambda: Mask(list_secrets(config, validator)))

    def mask(text: str) -> str:
        return make()(text)

    return mask
