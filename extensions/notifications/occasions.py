"""Which builds are worth a notification: how they ended, and whether that is a change."""

from dataclasses import dataclass
from enum import StrEnum

from sloth_ci.builds import BuildStatus
from sloth_ci.hooks import BuildEvent
from sloth_ci.store import Store
from sloth_ci.store.rows import make_storable


class Change(StrEnum):
    """What a build's end means after the one before it."""

    BROKEN = "broken"
    FIXED = "fixed"
    STILL_FAILING = "still_failing"


STARTED = "started"
#: What may be asked for.
OCCASIONS = (
    STARTED,
    *(status.value for status in BuildStatus if status.final),
    *(change.value for change in Change),
)

_GOOD = frozenset({BuildStatus.COMPLETE})
_BAD = frozenset({BuildStatus.PARTIAL, BuildStatus.FAILED, BuildStatus.TIMED_OUT})


@dataclass(frozen=True, slots=True)
class Occasion:
    """A build, and what is to be said of it."""

    build: BuildEvent
    change: Change | None = None

    @property
    def names(self) -> frozenset[str]:
        """What it is, among OCCASIONS."""
        status = STARTED if self.build.status is BuildStatus.RUNNING else self.build.status.value
        return frozenset({status, *([self.change.value] if self.change else ())})


def possible(build: BuildEvent) -> frozenset[str]:
    """All that the build may be an occasion of, as far as it tells itself."""
    changes: tuple[Change, ...] = ()
    if build.status in _GOOD:
        changes = (Change.FIXED,)
    elif build.status in _BAD:
        changes = (Change.BROKEN, Change.STILL_FAILING)
    return Occasion(build).names | {change.value for change in changes}


def find_change(build: BuildEvent, store: Store) -> Change | None:
    """What changed since the build before it, of the same branch if it has one.

    Builds that were cancelled or interrupted say nothing of the code, and are passed by.
    """
    if build.status not in _GOOD | _BAD:
        return None
    before = store.builds(
        app_id=build.app_id,
        statuses=tuple(_GOOD | _BAD),
        branch=make_storable(build.params.get("branch", "")) or None,
        before=build.id,
        most=1,
    )
    was_bad = bool(before) and before[0].status in _BAD
    if build.status in _GOOD:
        return Change.FIXED if was_bad else None
    return Change.STILL_FAILING if was_bad else Change.BROKEN
