"""The courier carries what waits in the outbox to its endpoints, again and again until it is there.

One thread for a server, and none while nothing waits. Each endpoint gets its entries in order, so
one that can't be delivered holds up those behind it, and nobody else's.
"""

from collections.abc import Callable
from logging import ERROR, WARNING
from random import SystemRandom
from threading import Condition, Thread
from time import time
from typing import Protocol
from weakref import WeakKeyDictionary

from sloth_ci.errors import DatabaseUnavailable
from sloth_ci.outgoing import SendFailed
from sloth_ci.store import Store
from sloth_ci.store.outbox import Outbox, OutboxEntry, OutboxState

#: Seconds from each try in vain to the next; after the last one the entry is given up.
PAUSES = (5.0, 30.0, 120.0, 600.0, 3_600.0, 6 * 3_600.0, 24 * 3_600.0)
#: Each pause is longer by up to this part of it, so that servers don't all come back at once.
JITTER = 0.2
#: Seconds after which the clock is looked at again, as it may be set.
LONGEST_SLEEP = 60.0
#: Seconds after trouble with the store.
RETRY_DELAY = 5.0
#: "The endpoint is gone for good" (RFC 9110).
GONE = 410

_RANDOM = SystemRandom()


class Endpoint(Protocol):
    """Where entries go."""

    @property
    def key(self) -> tuple[int, str]:
        """The app's id and the extension's name that the entries are kept under."""

    def entries(self, *, most: int) -> list[OutboxEntry]:
        """What was sent to it, or is to be, newest first."""

    def deliver(self, entry: OutboxEntry) -> int:
        """Send an entry and give the status of the answer; raises SendFailed."""

    def test(self) -> int:
        """Send a test event at once and give the status of the answer; raises SendFailed."""

    def log(self, level: int, text: str) -> None:
        """Say something in the log."""

    def note_gone(self) -> None:
        """The endpoint wants nothing any more."""


class Courier:
    """Serves endpoints from the outbox of one store."""

    def __init__(self, outbox: Outbox, *, clock: Callable[[], float] = time) -> None:
        self.outbox = outbox
        self._clock = clock
        self._changed = Condition()
        self._endpoints: dict[tuple[int, str], Endpoint] = {}
        self._woken = False
        self._works = False

    def serve(self, endpoint: Endpoint) -> None:
        """Deliver what waits for it, from now on; takes the place of an earlier one of its key."""
        with self._changed:
            self._endpoints[endpoint.key] = endpoint
        self.wake()

    def leave(self, endpoint: Endpoint) -> None:
        """Deliver nothing to it any more."""
        with self._changed:
            if self._endpoints.get(endpoint.key) is endpoint:
                del self._endpoints[endpoint.key]
                self._changed.notify_all()

    def wake(self) -> None:
        """Say that something may wait; returns at once."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()
            if not self._works:
                # Where the system gives no thread now, the next event asks again.
                Thread(target=self._work, name="courier", daemon=True).start()
                self._works = True

    def _work(self) -> None:
        while self._has_work():
            try:
                due = self._deliver_next()
            except DatabaseUnavailable:
                due = self._clock() + RETRY_DELAY
            self._sleep_until(due)

    def _has_work(self) -> bool:
        """Whether there is anything to do; when not, the next `wake` needs a new thread."""
        with self._changed:
            self._works = self._woken
            self._woken = False
            return self._works

    def _sleep_until(self, due: float | None) -> None:
        with self._changed:
            if due is None or not self._endpoints:
                return
            if not self._woken:
                self._changed.wait(min(max(0.0, due - self._clock()), LONGEST_SLEEP))
            self._woken = True

    def _deliver_next(self) -> float | None:
        """Try the entry that has waited longest; gives when the next is due, None for never."""
        heads = [
            (entry, endpoint)
            for entry in self.outbox.heads()
            if (endpoint := self._endpoints.get((entry.app_id, entry.extension))) is not None
        ]
        if not heads:
            return None
        entry, endpoint = heads[0]
        if entry.due > self._clock():
            return entry.due
        self._deliver(entry, endpoint)
        return self._clock()

    def _deliver(self, entry: OutboxEntry, endpoint: Endpoint) -> None:
        try:
            status = endpoint.deliver(entry)
        except SendFailed as error:
            self._fail(entry, endpoint, error)
        except DatabaseUnavailable:
            raise
        # One entry's trouble must not end the thread, which delivers all others too.
        except Exception as error:  # noqa: BLE001
            self._fail(entry, endpoint, SendFailed(f"{type(error).__name__}: {error}"))
        else:
            self._settle(entry, OutboxState.DELIVERED, str(status))

    def _fail(self, entry: OutboxEntry, endpoint: Endpoint, error: SendFailed) -> None:
        if error.status == GONE:
            self._settle(entry, OutboxState.GIVEN_UP, str(error))
            endpoint.note_gone()
        elif entry.attempts >= len(PAUSES):
            self._settle(entry, OutboxState.GIVEN_UP, str(error))
            tries = entry.attempts + 1
            endpoint.log(ERROR, f"{entry.kind} is given up after {tries} tries: {error}")
        else:
            pause = max(PAUSES[entry.attempts] * (1 + JITTER * _RANDOM.random()), error.retry_after)
            self.outbox.postpone(entry.id, due=self._clock() + pause, answer=str(error))
            if not entry.attempts:
                endpoint.log(
                    WARNING, f"{entry.kind} could not be delivered, and is tried again: {error}"
                )

    def _settle(self, entry: OutboxEntry, state: OutboxState, answer: str) -> None:
        self.outbox.settle(entry.id, state=state, answer=answer, now=self._clock())


_COURIERS: WeakKeyDictionary[Store, Courier] = WeakKeyDictionary()


def find_courier(store: Store) -> Courier:
    """The one courier of a store."""
    return _COURIERS.setdefault(store, Courier(store.outbox))
