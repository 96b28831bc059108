"""Every hook there is, typed, with what it gets and what may come back.

A hook comes only together with an extension that uses it. Told hooks must return quickly: what
waits for somebody else goes to `Context.later`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import pluggy

from sloth_ci.builds import Build, BuildJournal, BuildStatus, Halt, Outcome
from sloth_ci.parameters import ApiAction
from sloth_ci.request import Reply, Request

_spec = pluggy.HookspecMarker("sloth_ci")
#: Marks a method of an extension as the hook of its name.
hook = pluggy.HookimplMarker("sloth_ci")


class Unprepared(Exception):
    """A build could not be prepared; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class AppEvent:
    """Something that happened to an app."""

    app_id: int
    listen_point: str
    #: None while the app isn't bound.
    config_file: str | None
    #: What its config says under further keys, those of `app_keys`.
    further: Mapping[str, Any] = field(default_factory=dict)
    #: Whether it is nothing new: the server starts and takes up an app that it knew.
    at_start: bool = False


@dataclass(frozen=True, slots=True)
class BuildEvent:
    """Something that happened to a build; all texts are masked."""

    id: int
    app_id: int
    listen_point: str
    status: BuildStatus
    #: The published sentence, such as `Complete (2/2)`.
    message: str
    #: A value of `store.Cause`.
    cause: str
    params: Mapping[str, str]
    total: int
    completed: int
    #: Seconds since the epoch.
    queued: float
    started: float | None
    finished: float | None


@dataclass(frozen=True, slots=True)
class ActionEvent:
    """An action of a running build that ended."""

    build_id: int
    listen_point: str
    #: From 0.
    position: int
    outcome: Outcome
    seconds: float


class DeliveryVerdict(StrEnum):
    """What became of a delivery."""

    ACCEPTED = "accepted"
    #: It came before, and nothing runs twice.
    REPEATED = "repeated"
    #: Authentic, and nothing to do.
    IGNORED = "ignored"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class DeliveryEvent:
    """A provider's delivery, answered."""

    app_id: int
    listen_point: str
    #: The sender's IP address.
    address: str
    verdict: DeliveryVerdict
    #: Why it was ignored or refused, masked; '' otherwise.
    reason: str
    #: The builds that it queued.
    builds: Sequence[int]


@dataclass(frozen=True, slots=True)
class Page:
    """A page of an extension: of an app below `/<listen point>/-/`, of the server below `/-/`.

    A `path` of the server that begins with `/` is one at the top, such as `/robots.txt`. One that
    ends with `/` answers for everything below it too. GET and HEAD are all that is asked.
    """

    path: str
    about: str
    answer: Callable[[Request], Reply]
    #: Whether it is shown without login.
    open: bool = False


class Specs:
    """Every hook there is."""

    @_spec
    def app_added(self, app: AppEvent) -> None:
        """An app takes requests from now on; also told of each app at the server's start."""

    @_spec
    def app_updated(self, app: AppEvent) -> None:
        """An app has a new config."""

    @_spec
    def app_removed(self, app: AppEvent) -> None:
        """An app is gone."""

    @_spec
    def delivery_received(self, delivery: DeliveryEvent) -> None:
        """A provider's delivery was taken, ignored or refused."""

    @_spec
    def build_queued(self, build: BuildEvent) -> None:
        """A build waits; it is safe on the disk."""

    @_spec
    def build_started(self, build: BuildEvent) -> None:
        """A build runs."""

    @_spec
    def build_finished(self, build: BuildEvent) -> None:
        """A build has its final status; it is safe on the disk."""

    @_spec
    def action_finished(self, action: ActionEvent) -> None:
        """An action ended."""

    @_spec(firstresult=True)
    def prepare_build(self, build: Build, halt: Halt, journal: BuildJournal) -> Build | None:
        """Get a build ready before its first action, and give the build that is to run.

        Raises `Unprepared` with the reason; then the build fails without running an action.
        """

    @_spec(firstresult=True)
    def run_action(
        self,
        build: Build,
        position: int,
        deadline: float | None,
        halt: Halt,
        journal: BuildJournal,
    ) -> Outcome | None:
        """Run the build's action at `position` (from 0) elsewhere than in a shell of this machine.

        As `builds.RunAction`; every trouble of the runner is a FAILED outcome with its reason.
        """

    @_spec
    def pages(self) -> Sequence[Page]:  # type: ignore[empty-body]
        """The pages that the extension shows; asked once, when it is loaded."""

    @_spec
    def api_actions(self) -> Sequence[ApiAction]:  # type: ignore[empty-body]
        """Further actions of the API; asked once. Their functions get the API's server first.

        An extension that may be declared several times gives the same ones each time, and its
        functions find whom they are about with `Extensions.pick`.
        """

    @_spec
    def app_keys(self) -> Mapping[str, Any]:  # type: ignore[empty-body]
        """Further keys of apps' configs, each with its type: a `Section` or a kind of `config`.

        Asked once, of the server's extensions; what an app says stands in `AppConfig.further`.
        """

    @_spec
    def app_info(self) -> Mapping[str, Any]:  # type: ignore[empty-body]
        """What `info` and the page say of the app beside the rest: names and JSON values."""
