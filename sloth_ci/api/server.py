"""What the actions work on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import time
from typing import Protocol

from sloth_ci.bed import Bed
from sloth_ci.parameters import ApiAction
from sloth_ci.store import Store


class Life(Protocol):
    """The server's life, as far as the API can ask for a change."""

    def ask_restart(self) -> None:
        """Restart as soon as this request is answered."""

    def ask_stop(self) -> None:
        """Stop as soon as this request is answered."""


@dataclass(frozen=True, slots=True)
class Server:
    """What the actions work on."""

    bed: Bed
    store: Store
    life: Life
    clock: Callable[[], float] = time
    #: When it started, by the clock.
    started: float = field(default_factory=time)
    #: The actions that extensions add, by name.
    further: Mapping[str, ApiAction] = field(default_factory=dict)
