"""What goes into the store and comes out of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from sloth_ci.builds import BuildStatus


class Origin(StrEnum):
    """Where an app comes from."""

    #: Made over the API: kept until it is removed there.
    API = "api"
    #: From a config file named by `paths: configs`.
    FILE = "file"


class Cause(StrEnum):
    """Why a build was queued."""

    TRIGGER = "trigger"
    PUSH = "push"
    RERUN = "rerun"


@dataclass(frozen=True, slots=True)
class StoredApp:
    """An app as the store keeps it."""

    id: int
    listen_point: str
    origin: Origin
    config: str
    config_file: str | None


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """An authentic delivery, as it comes in."""

    delivery_id: str | None
    event: str
    address: str
    #: Why it makes no builds, '' when it does.
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What an accepted trigger or delivery led to."""

    builds: tuple[int, ...]
    reason: str = ""
    #: The same delivery was accepted before; these are its builds.
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Claimed:
    """A build taken from the queue, to be run now."""

    id: int
    params: Mapping[str, str]
    cause: Cause
    #: Actions that its app had when it was queued.
    total: int


@dataclass(frozen=True, slots=True)
class StoredBuild:
    """A build as the store keeps it; times in seconds since the epoch."""

    id: int
    app_id: int
    listen_point: str
    cause: Cause
    status: BuildStatus
    total: int
    completed: int
    queued: float
    started: float | None
    finished: float | None

    @property
    def touched(self) -> float:
        """When the build got the status it has in the history."""
        return self.queued if self.finished is None else self.finished


def make_storable(text: str) -> str:
    """The text; halves of characters, which JSON may hold and no database takes, are spelt out."""
    return text.encode("utf-8", "backslashreplace").decode()
