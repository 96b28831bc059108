"""What is on its way into the database, for those who have something else to do meanwhile."""

from collections.abc import Callable
from typing import Generic, TypeVar

from sloth_ci.store.backlog import Waiting

T = TypeVar("T")
U = TypeVar("U")


class Pending(Generic[T]):
    """What a change will give, once it is safe on the disk."""

    __slots__ = ("_settle", "_waiting")

    def __init__(self, waiting: Waiting, settle: Callable[[], T]) -> None:
        self._waiting = waiting
        self._settle = settle

    @property
    def until(self) -> float:
        """When patience ends, by the monotonic clock; from then on `result` does not wait."""
        return self._waiting.until

    def result(self) -> T:
        """Wait for it; to be asked once, by the thread that goes on from there.

        Raises what the change raises; DatabaseUnavailable when its turn does not come in time.
        """
        return self._settle()

    def then(self, step: Callable[[T], U]) -> "Pending[U]":
        """What this step makes of it, taken by whoever asks for the result."""
        return Pending(self._waiting, lambda: step(self._settle()))

    def around(self, step: Callable[[Callable[[], T]], U]) -> "Pending[U]":
        """As `then`, for a step that also sees what is raised: it gets what gives the result."""
        return Pending(self._waiting, lambda: step(self._settle))

    def on_done(self, call: Callable[[], None]) -> None:
        """Call this, on the writing thread, when the result is there; it must return at once."""
        self._waiting.outcome.add_done_callback(lambda _outcome: call())
