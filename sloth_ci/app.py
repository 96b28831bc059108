"""An app: one config, its listen point, its builds."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from logging import NOTSET
from pathlib import Path

from sloth_ci.builds import Build
from sloth_ci.config import AppConfig
from sloth_ci.errors import BadParam, NoProvider, SlothError
from sloth_ci.journal import Journal
from sloth_ci.masking import Mask
from sloth_ci.request import Request
from sloth_ci.store import Accepted, Cause, Claimed, NewDelivery, Store
from sloth_ci.template import TemplateRefused, check_value
from sloth_ci.validators import Validator, Verdict

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


class App:
    """Takes deliveries and triggers, and makes builds of them."""

    __slots__ = (
        "_journal",
        "_mask",
        "_store",
        "_validator",
        "_wake",
        "base_dir",
        "config",
        "config_file",
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
        wake: Callable[[int], None],
    ) -> None:
        self.id = app_id
        self.config = config
        self.base_dir = base_dir
        self.config_file = config_file
        self._validator = validator
        self._store = store
        self._journal = journal
        self._wake = wake
        self._mask: Mask | None = None

    @property
    def listen_point(self) -> str:
        """The app's path and only name."""
        return self.config.listen_point

    def receive(self, request: Request) -> Accepted:
        """Take a provider's delivery: check it and queue its builds.

        Raises what the validator raises, NoProvider, or what `Store.accept` raises; then no build
        was queued.
        """
        if self._validator is None:
            raise NoProvider(listen_point=self.listen_point)
        try:
            verdict = _judge(self._validator, request)
            accepted = self._accept(
                Cause.PUSH,
                verdict.params,
                NewDelivery(
                    delivery_id=verdict.delivery_id,
                    event=verdict.event,
                    address=request.address,
                    reason=verdict.reason,
                ),
            )
        except SlothError as error:
            self._journal.delivery_refused(
                self.id, address=request.address, reason=self.mask(error.message)
            )
            raise
        if accepted.builds and not accepted.repeated:
            self._journal.delivery_accepted(
                self.id, address=request.address, builds=len(accepted.builds)
            )
        elif not accepted.builds:
            self._journal.delivery_ignored(self.id, address=request.address, reason=accepted.reason)
        return accepted

    def trigger(self, params: Mapping[str, str]) -> int:
        """Queue a build with these params and give its id.

        Raises BadParam, or what `Store.accept` raises.
        """
        return self._accept(Cause.TRIGGER, (params,), None).builds[0]

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
            from_provider = self._validator.secrets if self._validator else ()
            self._mask = Mask((*self.config.secrets, *from_provider))
        return self._mask

    def _accept(
        self,
        cause: Cause,
        params: tuple[Mapping[str, str], ...],
        delivery: NewDelivery | None,
    ) -> Accepted:
        for one_build in params:
            for name, value in one_build.items():
                try:
                    check_value(name, value)
                except TemplateRefused as error:
                    raise BadParam(param=name, wanted=str(error), came="this value") from error
        accepted = self._store.accept(
            app_id=self.id,
            listen_point=self.listen_point,
            cause=cause,
            params=params,
            total=len(self.config.actions),
            delivery=delivery,
        )
        if accepted.builds and not accepted.repeated:
            self._wake(self.id)
        return accepted


def _judge(validator: Validator, request: Request) -> Verdict:
    """The validator's verdict; one from somebody else's package must not end the server."""
    try:
        return validator.validate(request)
    except (SystemExit, KeyboardInterrupt) as error:
        raise RuntimeError(f"{type(validator).__name__} tried to end the server") from error


def _expand(path: str, user: str | None) -> str:
    """The path with `~` as the home of whom the build runs as; `~` when that one has none."""
    if user is not None and path.partition("/")[0] == "~":
        path = f"~{user}{path[1:]}"
    return os.path.expanduser(path)  # noqa: PTH111  Path's raises, where there is nobody to tell
