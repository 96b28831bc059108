"""What to do next about a build: one sentence, and the call of the API that fits it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from sloth_ci.api.explain.comparison import Comparison
from sloth_ci.api.explain.failures import Failure, Streak
from sloth_ci.builds import BuildStatus, OutcomeStatus
from sloth_ci.store import StoredBuild

_NOT_FOUND = (
    re.compile(r"sh: (?:line )?\d+: (?P<name>[^\s:]+): (?:command )?not found$"),
    re.compile(r"(?:^|: )(?P<name>[^\s:]+): command not found$"),
)
_COMMAND_NOT_FOUND, _CANNOT_EXECUTE = 127, 126


@dataclass(frozen=True, slots=True)
class Advice:
    """A sentence, and the action with its parameters."""

    text: str
    action: str
    params: Mapping[str, str | int] = field(default_factory=dict)


def advise_unfinished(build: StoredBuild, *, paused: bool) -> Advice:
    """For a build that waits or runs."""
    if build.status is BuildStatus.RUNNING:
        return Advice("It runs; follow it.", "follow", {"build": build.id})
    if paused:
        return Advice(
            "It waits, as its app or the server is paused. Resume that, and it runs.",
            "resume",
            {"listen_point": build.listen_point},
        )
    return Advice("It waits for its turn; see what runs.", "status")


def advise_ended(
    build: StoredBuild,
    failure: Failure | None,
    streak: Streak | None,
    comparison: Comparison | None,
    *,
    missing: str | None,
) -> Advice | None:
    """For a build with a final status; None for a good one.

    `missing` is the param without a value that the failing action needed.
    """
    if build.status is BuildStatus.COMPLETE:
        return None
    again: dict[str, str | int] = {"build": build.id, "config": "current"}
    if build.status is BuildStatus.INTERRUPTED:
        return Advice("The server went down under it. Run it again.", "rerun", again)
    if build.status is BuildStatus.CANCELLED:
        return Advice("Run it again if it is wanted after all.", "rerun", again)
    if failure is None:
        return Advice("Read the end of its log.", "logs", {"build": build.id, "tail": 100})
    if missing:
        return Advice(
            f"Trigger it with a value for '{missing}', or give the param one in the app's config.",
            "trigger",
            {"listen_point": build.listen_point, **build.params, missing: ""},
        )
    return (
        _advise_by_end(failure, again)
        or _advise_by_history(build, streak, comparison)
        or Advice("Read what the action printed.", "logs", _lines_of(failure))
    )


def _advise_by_end(failure: Failure, again: Mapping[str, str | int]) -> Advice | None:
    action = failure.action
    if action.exit_code == _COMMAND_NOT_FOUND:
        name = _name_missing(failure)
        what = f"'{name}'" if name else "the command"
        return Advice(
            f"Install {what} on the server, or correct its name or the PATH; then run it again.",
            "rerun",
            again,
        )
    if action.exit_code == _CANNOT_EXECUTE:
        return Advice(
            "Make the file executable ('chmod +x'), or name its interpreter before it; then run it"
            " again.",
            "rerun",
            again,
        )
    if action.status == OutcomeStatus.TIMED_OUT:
        return Advice(
            "See where it stood still. If it only needs longer, raise 'exec_timeout' or 'timeout'.",
            "logs",
            _lines_of(failure),
        )
    return None


def _advise_by_history(
    build: StoredBuild, streak: Streak | None, comparison: Comparison | None
) -> Advice | None:
    if streak and streak.times:
        return Advice(
            f"It has failed this way since build {streak.first.id}: look at what that one changed.",
            "explain",
            {"build": streak.first.id},
        )
    if comparison and comparison.nothing_changed:
        return Advice(
            "The same was run before and was good, so it may fail by chance. Run it again.",
            "rerun",
            {"build": build.id, "config": "stored"},
        )
    return None


def _lines_of(failure: Failure) -> dict[str, str | int]:
    action = failure.action
    params: dict[str, str | int] = {"build": action.build_id, "tail": 200}
    if action.last_record is not None:
        params["before"] = action.last_record + 1
    return params


def _name_missing(failure: Failure) -> str:
    """The command that the shell did not find, as it says itself."""
    text = failure.error.message if failure.error else ""
    found = next((match for one in _NOT_FOUND if (match := one.search(text))), None)
    return found["name"] if found else ""
