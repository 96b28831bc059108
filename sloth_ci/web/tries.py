"""How often somebody may guess a login: an address that guesses wrong waits longer each time."""

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from time import monotonic

from sloth_ci.errors import TooManyTries
from sloth_ci.web.crowd import one_sender

#: Wrong logins that cost no time; after the last of them the waits double from one second.
FREE = 10
LONGEST = 60.0
#: Seconds without a wrong login after which all is forgotten, and addresses remembered at most.
FORGET = 900.0
MAX_SENDERS = 10_000


@dataclass(slots=True)
class _Record:
    wrong: int = 0
    last: float = -math.inf
    waits_until: float = -math.inf


class Tries:
    """Counts wrong logins by address. In a minute, at most 15 of one address are let through."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self._lock = Lock()

    def check(self, address: str) -> None:
        """Raises TooManyTries while that address has to wait."""
        with self._lock:
            record = self._records.get(one_sender(address))
            seconds = record.waits_until - self._clock() if record else 0
        if seconds > 0:
            raise TooManyTries(seconds=math.ceil(seconds))

    def count(self, address: str) -> None:
        """Note a wrong login."""
        sender, now = one_sender(address), self._clock()
        with self._lock:
            record = self._records.pop(sender, None)
            if record is None or now - record.last > FORGET:
                record = _Record()
            record.wrong += 1
            record.last = now
            if record.wrong >= FREE:
                record.waits_until = now + min(LONGEST, 2.0 ** min(record.wrong - FREE, 10))
            self._records[sender] = record
            if len(self._records) > MAX_SENDERS:
                self._records.popitem(last=False)
