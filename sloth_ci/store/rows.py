"""What goes into the store and comes out of it; times are in seconds since the epoch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256

from sloth_ci.builds import BuildStatus, OutcomeStatus
from sloth_ci.records import LogRecord
from sloth_ci.request import Rule


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
    #: What `Store.config` gives the same text for, for good.
    config_id: int | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """Why no build of an app, or of any app, starts."""

    #: None for the whole server.
    app_id: int | None
    #: '' for the whole server.
    listen_point: str
    reason: str
    by: str
    since: float


@dataclass(frozen=True, slots=True)
class Sent:
    """What came with a delivery and is kept beside it, once `mask` took the secrets out."""

    headers: Mapping[str, str]
    body: bytes
    rules: tuple[Rule, ...] = ()
    mask: Callable[[str], str] = str


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """A delivery, as it comes in."""

    delivery_id: str | None
    event: str
    address: str
    #: Why it makes no builds, '' when it does.
    reason: str = ""
    method: str = "POST"
    #: The delivery that this one is a replay of.
    replay_of: int | None = None
    sent: Sent | None = None

    def key(self, app_id: int) -> tuple[int, str] | None:
        """What another delivery to the app shares that is the same; None when none ever is."""
        if self.delivery_id is None or self.replay_of is not None:
            return None
        return app_id, make_storable(self.delivery_id)


@dataclass(frozen=True, slots=True)
class Accepted:
    """What an accepted trigger or delivery led to."""

    builds: tuple[int, ...]
    reason: str = ""
    #: The same delivery was accepted before; these are its builds.
    repeated: bool = False
    #: The delivery's number here, of the first one when it came again.
    delivery: int | None = None
    #: The first of the builds, where it is to be run at once.
    claimed: "Claimed | None" = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """A build taken from the queue, to be run now."""

    id: int
    params: Mapping[str, str]
    cause: Cause
    #: Actions that its app had when it was queued.
    total: int
    #: The config that it runs with, and what `hash_config` gives for it.
    config_id: int | None = None
    config_hash: str = ""


@dataclass(frozen=True, slots=True)
class StoredBuild:
    """A build as the store keeps it."""

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
    #: Who wanted it: a login, "provider address", an extension's name; '' when nobody said.
    actor: str = ""
    #: The build that this one does once more.
    rerun_of: int | None = None
    #: Why it ended as it did, where the status alone doesn't tell; '' elsewhere.
    reason: str = ""
    #: Its own, without those of the app's config.
    params: Mapping[str, str] = field(default_factory=dict)
    #: Of its own params; '' without them.
    branch: str = ""
    commit_id: str = ""
    #: None while it waits for what its app has then, and for builds older than the column.
    config_id: int | None = None
    delivery_id: int | None = None

    @property
    def touched(self) -> float:
        """When the build got the status it has in the history."""
        return self.queued if self.finished is None else self.finished


@dataclass(frozen=True, slots=True)
class StoredAction:
    """An action of a build that has begun; None stands for what is not known."""

    build_id: int
    #: From 0.
    position: int
    #: With values filled in, and secrets masked.
    command: str
    #: None while it runs.
    status: OutcomeStatus | None
    reason: str
    exit_code: int | None
    signal: int | None
    started: float
    finished: float | None
    #: Seconds of processor time.
    cpu: float | None
    #: Bytes, at the most of its largest process.
    memory: int | None
    #: Bytes that it printed.
    output: int | None
    #: Its log records are among those from the first to the last.
    first_record: int | None
    last_record: int | None


@dataclass(frozen=True, slots=True)
class RecordPage:
    """Log records, and where to go on."""

    records: tuple[LogRecord, ...]
    #: To be given as `before` (`after` with the oldest first) for what follows; None at the end.
    cursor: int | None = None


@dataclass(frozen=True, slots=True)
class StoredDelivery:
    """A delivery as the store keeps it."""

    id: int
    app_id: int
    listen_point: str
    received: float
    method: str
    address: str
    event: str
    #: The provider's; None when it sent none, or was not asked for it.
    delivery_id: str | None
    #: The HTTP status of the answer.
    status: int
    #: The error's code, '' for one that was accepted.
    code: str
    #: Why it made no builds, '' when it did.
    reason: str
    replay_of: int | None
    #: Those that are still kept.
    builds: tuple[int, ...] = ()
    #: What it was held against, in order.
    rules: tuple[Rule, ...] = ()
    #: Those with a meaning, without secrets. As the body, only in an answer for one delivery.
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Its beginning, masked; None when it isn't kept.
    body: bytes | None = None
    #: Bytes that came; None when not known.
    body_size: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the whole body is kept."""
        return self.body is not None and len(self.body) == self.body_size


@dataclass(frozen=True, slots=True)
class BuildFigure:
    """What statistics need of one finished build."""

    id: int
    app_id: int
    listen_point: str
    status: BuildStatus
    queued: float
    started: float | None
    finished: float
    branch: str
    commit_id: str


@dataclass(frozen=True, slots=True)
class ActionFigure:
    """All runs of the action at one position of an app, over a period."""

    app_id: int
    listen_point: str
    position: int
    #: That of the newest run.
    command: str
    runs: int
    #: Those that did not complete.
    failed: int
    #: Seconds.
    mean: float
    longest: float


@dataclass(frozen=True, slots=True)
class Statistics:
    """What happened over a period."""

    #: The newest first.
    builds: tuple[BuildFigure, ...]
    actions: tuple[ActionFigure, ...]
    #: Whether there are more builds than are looked at; then the oldest are left out.
    cut: bool


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much the store holds."""

    #: Bytes of the file, and of what is written but not yet merged into it.
    database: int
    wal: int
    #: At the most; what was forgotten in between counts too.
    records: int
    builds: int


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits and what runs, over all apps."""

    waiting: int
    running: int
    #: When the build that waits the longest was queued; None when none waits.
    oldest: float | None


def hash_config(text: str) -> str:
    """What tells a config's text from all others: SHA-256 in hex."""
    return sha256(text.encode()).hexdigest()


def make_storable(text: str) -> str:
    """The text; halves of characters, which JSON may hold and no database takes, are spelt out."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
