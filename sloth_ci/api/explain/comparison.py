"""What differs between a build and the last good one of its app before it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sloth_ci.config import read_app_document
from sloth_ci.store import StoredBuild


@dataclass(frozen=True, slots=True)
class Comparison:
    """A build beside the last good one."""

    now: StoredBuild
    then: StoredBuild
    #: The config's keys that changed; None when one of the configs isn't known any more.
    config: tuple[str, ...] | None

    @property
    def params(self) -> tuple[tuple[str, str | None, str | None], ...]:
        """Name, then, now of each param that changed; None where there was none."""
        then, now = self.then.params, self.now.params
        return tuple(
            (name, then.get(name), now.get(name))
            for name in sorted({*then, *now})
            if then.get(name) != now.get(name)
        )

    @property
    def same_commit(self) -> bool:
        """Whether both are known to be of the same commit."""
        return bool(self.now.commit_id) and self.now.commit_id == self.then.commit_id

    @property
    def nothing_changed(self) -> bool:
        """Whether the same was run, as far as the server can know."""
        changed = [name for name, _then, _now in self.params]
        return (self.same_commit or not changed) and self.config == ()


def compare_configs(then: str | None, now: str | None) -> tuple[str, ...] | None:
    """The names of the keys whose values differ, and never a value: some are secrets."""
    if then is None or now is None:
        return None
    if then == now:
        return ()
    one, other = _read(then), _read(now)
    return tuple(sorted(key for key in {*one, *other} if one.get(key) != other.get(key)))


def _read(text: str) -> Mapping[str, Any]:
    data: Mapping[str, Any] = read_app_document(text).data
    return data
