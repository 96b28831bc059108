"""An app: one config, its listen point, its builds."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from logging import NOTSET
from pathlib import Path

from sloth_ci.builds import Build
from sloth_ci.config import AppConfig
from sloth_ci.deliveries import Judgement, Receiver
from sloth_ci.errors import BadParam
from sloth_ci.executors import Executor, Seat
from sloth_ci.extension.making import NO_EXTENSIONS, Extensions
from sloth_ci.hooks import AppEvent
from sloth_ci.journal import Journal
from sloth_ci.masking import Mask
from sloth_ci.store import Acceptance, Accepted, Cause, Claimed, NewDelivery, Pending, Store
from sloth_ci.template import TemplateRefused, check_value
from sloth_ci.validators import Validator

__all__ = ["NEVER", "App", "AppInfo", "Judgement", "Preview", "PreviewedAction", "list_secrets"]

#: What `info` says of an app that has no build yet.
NEVER = "Never triggered"


@dataclass(frozen=True, slots=True)
class AppInfo:
    """What there is to know about an app at a glance."""

    listen_point: str
    #: None while the app isn't bound.
    config_file: str | None
    last_build_status: str
    last_build_level: int
    #: Seconds since the epoch; 0 when never built.
    last_build_timestamp: float
    last_build_id: int | None


@dataclass(frozen=True, slots=True)
class PreviewedAction:
    """What one action would run; all texts are masked."""

    #: From 0.
    position: int
    command: str
    #: The first param that it has a placeholder for and no value; None when there is none.
    missing: str | None
    critical: bool
    detach: bool


@dataclass(frozen=True, slots=True)
class Preview:
    """What a build would run, and with which params, those of the config among them."""

    params: Mapping[str, str]
    actions: tuple[PreviewedAction, ...]


class App(Receiver):
    """Takes deliveries and triggers, and makes builds of them."""

    __slots__ = (
        "_executor",
        "_journal",
        "_mask",
        "_store",
        "_validator",
        "base_dir",
        "config",
        "config_file",
        "config_hash",
        "extensions",
        "hooks",
        "id",
    )

    def __init__(
        self,
        *,
        app_id: int,
        config: AppConfig,
        validator: Validator | None,
        base_dir: Path,
        config_file: str | None,
        store: Store,
        journal: Journal,
        executor: Executor,
        extensions: Extensions = NO_EXTENSIONS,
        config_hash: str = "",
    ) -> None:
        self.id = app_id
        #: Tells its config's text from others.
        self.config_hash = config_hash
        self.config = config
        self.base_dir = base_dir
        self.config_file = config_file
        self._validator = validator
        self._store = store
        self._journal = journal
        self._executor = executor
        self._mask: Mask | None = None
        self.extensions = extensions
        #: Of its extensions and of the server's; false when there are none.
        self.hooks = self.extensions.hooks

    @property
    def listen_point(self) -> str:
        """The app's path and only name."""
        return self.config.listen_point

    def trigger(self, params: Mapping[str, str], *, actor: str = "") -> int:
        """Queue a build with these params and give its id; `actor` is who wants it.

        Raises BadParam, or what `Store.accept` raises.
        """
        return self.triggering(params, actor=actor).result()

    def triggering(self, params: Mapping[str, str], *, actor: str = "") -> Pending[int]:
        """Do what `trigger` does, and don't wait for the build to be queued.

        Raises BadParam or DatabaseUnavailable; whoever asks for the result hears of the rest.
        """
        accepting = self._accepting(Cause.TRIGGER, (params,), actor=actor)
        return accepting.then(lambda accepted: accepted.builds[0])

    def preview(self, params: Mapping[str, str]) -> Preview:
        """What a build with these params would run, as its log would show it.

        Raises BadParam.
        """
        _check_params(params)
        given = {**self.config.params, **params}
        return Preview(
            params=self._mask_params(given),
            actions=tuple(
                PreviewedAction(
                    position=position,
                    command=self.mask(action.template.fill(given)),
                    missing=action.template.missing(given),
                    critical=action.critical,
                    detach=action.detach,
                )
                for position, action in enumerate(self.config.actions)
            ),
        )

    def make_build(self, claimed: Claimed) -> Build:
        """Everything the run of a claimed build needs."""
        config = self.config
        return Build(
            id=claimed.id,
            app_id=self.id,
            listen_point=config.listen_point,
            actions=config.actions,
            params={**config.params, **claimed.params},
            env=config.env,
            work_dir=str(self.base_dir / _expand(config.work_dir, config.user)),
            exec_timeout=config.exec_timeout,
            timeout=config.timeout,
            stop_on_first_fail=config.stop_on_first_fail,
            max_output=config.max_output,
            limits=config.limits.granted,
            user=config.user,
            mask=self.mask,
        )

    def info(self) -> AppInfo:
        """What there is to know about the app at a glance."""
        last = self._store.last_build(self.id)
        return AppInfo(
            listen_point=self.listen_point,
            config_file=self.config_file,
            last_build_status=(
                last.status.describe(completed=last.completed, total=last.total) if last else NEVER
            ),
            last_build_level=last.status.level if last else NOTSET,
            last_build_timestamp=last.touched if last else 0,
            last_build_id=last.id if last else None,
        )

    @property
    def mask(self) -> Mask:
        """What keeps the app's secrets out of its log."""
        if self._mask is None:
            self._mask = Mask(list_secrets(self.config, self._validator))
        return self._mask

    @property
    def event(self) -> AppEvent:
        """What extensions are told of the app."""
        return AppEvent(self.id, self.listen_point, self.config_file, self.config.further)

    def _mask_params(self, params: Mapping[str, str]) -> Mapping[str, str]:
        return {name: self.mask(value) for name, value in params.items()}

    def _accepting(
        self,
        cause: Cause,
        params: tuple[Mapping[str, str], ...],
        delivery: NewDelivery | None = None,
        *,
        actor: str,
    ) -> Pending[Accepted]:
        for one_build in params:
            _check_params(one_build)
        seat = self._executor.reserve(self.id) if params and not self.hooks else None
        wanted = Acceptance(
            app_id=self.id,
            listen_point=self.listen_point,
            cause=cause,
            params=params,
            total=len(self.config.actions),
            actor=actor,
            delivery=delivery,
            begin=seat is not None,
        )
        with _given_up_on_error(seat):
            pending = self._store.accepting(wanted)
        return pending.around(partial(self._see_to, seat))

    def _see_to(self, seat: Seat | None, result: Callable[[], Accepted]) -> Accepted:
        """Let what was accepted be told of and run."""
        with _given_up_on_error(seat):
            accepted = result()
        if seat and accepted.claimed:
            seat.start(accepted.claimed)
            return accepted
        if seat:
            seat.give_up()
        if accepted.builds and not accepted.repeated:
            if self.hooks:
                for build_id in accepted.builds:
                    self._journal.build_queued(build_id, hooks=self.hooks, mask=self.mask)
            self._executor.wake(self.id)
        return accepted


def list_secrets(config: AppConfig, validator: Validator | None) -> tuple[str, ...]:
    """What must not be seen in the log of an app."""
    return (*config.secrets, *(validator.secrets if validator else ()))


def _check_params(params: Mapping[str, str]) -> None:
    for name, value in params.items():
        try:
            check_value(name, value)
        except TemplateRefused as error:
            raise BadParam(param=name, wanted=str(error), came="this value") from error


@contextmanager
def _given_up_on_error(seat: Seat | None) -> Iterator[None]:
    try:
        yield
    except BaseException:
        if seat:
            seat.give_up()
        raise


def _expand(path: str, user: str | None) -> str:
    """The path with `~` as the home of whom the build runs as; `~` when that one has none."""
    if user is not None and path.partition("/")[0] == "~":
        path = f"~{user}{path[1:]}"
    return os.path.expanduser(path)  # noqa: PTH111  Path's raises, where there is nobody to tell
