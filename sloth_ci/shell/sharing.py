"""What the actions of one build share, whoever runs them."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from sloth_ci.builds import Build

Shared = TypeVar("Shared")


class PerBuild(threading.local, Generic[Shared]):
    """Something made with a build's first action, and used by the following ones.

    A thread runs one build at a time, its actions one after another; so this needs no key, no
    lock, and no end: the next build's takes its place.
    """

    _held: tuple[Build, Shared] | None = None

    def of(self, build: Build, *, position: int, make: Callable[[], Shared]) -> Shared:
        """What the build's actions share, for the one at `position`."""
        if self._held and self._held[0] is build and position > 0:
            return self._held[1]
        made = make()
        self._held = (build, made)
        return made
