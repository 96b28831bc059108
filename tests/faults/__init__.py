"""Fault experiments: each of the server's promises, tried until it would break.

`make faults` runs them all in full and writes the table in `docs/reliability.md`; `make test` runs
the short form of each. An experiment is a function in a module here, registered with `experiment`;
its numbers are those of the list of experiments in the docs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class Scale(Enum):
    """How much an experiment does."""

    SHORT = "short"
    FULL = "full"

    def pick(self, *, short: int, full: int) -> int:
        """A number of rounds, clients or seconds."""
        return short if self is Scale.SHORT else full


class Verdict(Enum):
    """What an experiment showed."""

    KEPT = "kept"
    #: All held but the times, which a busy machine may spoil.
    LATE = "late"
    BROKEN = "BROKEN"
    NOT_RUN = "not run"


@dataclass(frozen=True)
class Finding:
    """What an experiment saw."""

    verdict: Verdict
    #: The figures, or why it was not run.
    figure: str


@dataclass(frozen=True)
class Experiment:
    """One promise, and how it is tried."""

    number: str
    title: str
    #: What must hold, with its figures.
    criterion: str
    #: Gets an empty folder of its own.
    run: Callable[[Scale, Path], Finding]


EXPERIMENTS: dict[str, Experiment] = {}

Run = Callable[[Scale, Path], Finding]


def experiment(number: str, *, title: str, criterion: str) -> Callable[[Run], Run]:
    """Register an experiment."""

    def register(run: Run) -> Run:
        assert number not in EXPERIMENTS, number
        EXPERIMENTS[number] = Experiment(number, title, criterion, run)
        return run

    return register


def found(holds: bool, figure: str, *, in_time: bool = True) -> Finding:
    """The finding of an experiment that was run."""
    if holds:
        return Finding(Verdict.KEPT if in_time else Verdict.LATE, figure)
    return Finding(Verdict.BROKEN, figure)


def not_run(reason: str) -> Finding:
    """The finding of an experiment that this machine does not allow."""
    return Finding(Verdict.NOT_RUN, reason)
