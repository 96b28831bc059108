"""How a measurement is gone through: its size, its runs, its folder, its progress."""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from time import monotonic
from typing import TypeVar

from bench import WORKPLACE
from bench.figures import Series

T = TypeVar("T")


class Effort(Enum):
    """How much is done."""

    SMOKE = "smoke"
    FULL = "full"

    def pick(self, *, smoke: T, full: T) -> T:
        """A number of rounds, seconds or sizes."""
        return smoke if self is Effort.SMOKE else full


class Course:
    """What every measurement gets.

    `tree` is the source of the server that is measured; `peers` are the names of those that can
    be measured beside it; `runs` is how often each contestant has its turn. Without
    `curves`, nothing is measured for them alone.
    """

    def __init__(
        self,
        *,
        effort: Effort,
        tree: Path,
        peers: frozenset[str],
        runs: int | None = None,
        curves: bool = True,
    ) -> None:
        self.effort = effort
        self.tree = tree
        self.peers = peers
        self.curves = curves
        self.runs = runs or effort.pick(smoke=1, full=5)
        self._began = monotonic()
        WORKPLACE.mkdir(parents=True, exist_ok=True)
        self._place = Path(tempfile.mkdtemp(dir=WORKPLACE))

    def folder(self) -> Path:
        """A new empty folder."""
        return Path(tempfile.mkdtemp(dir=self._place))

    def forget(self, folder: Path) -> None:
        """Delete a folder that nobody needs any more."""
        shutil.rmtree(folder, ignore_errors=True)

    def say(self, text: str) -> None:
        """Show progress."""
        print(f"{monotonic() - self._began:6.0f} s  {text}", flush=True)

    def alternate(
        self, what: str, contestants: Mapping[str, Callable[[], T]], *, runs: int | None = None
    ) -> dict[str, list[T]]:
        """Give each contestant its turn, run after run, so that a slow minute hits them all."""
        runs = runs or self.runs
        found: dict[str, list[T]] = {who: [] for who in contestants}
        for run in range(1, runs + 1):
            for who, measure in contestants.items():
                found[who].append(measure())
                self.say(f"{what}, run {run} of {runs}: {who}: {_tell(found[who][-1])}")
        return found

    def close(self) -> None:
        """Delete all folders."""
        shutil.rmtree(self._place, ignore_errors=True)


def _tell(value: object) -> str:
    return f"{value:,.1f}" if isinstance(value, float) else str(value)


def series(who: str, values: list[float]) -> Series:
    """What a contestant showed."""
    return Series(who, tuple(values))
