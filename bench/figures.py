"""What a measurement gives: figures with their targets, and curves with their exponents."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from math import log
from statistics import fmean, median
from typing import Any


class Aim(Enum):
    """Which way is better."""

    MORE = "more"
    LESS = "less"


@dataclass(frozen=True, slots=True)
class Series:
    """What one contestant showed, run by run."""

    who: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """What half of the runs reached."""
        return median(self.values)


@dataclass(frozen=True, slots=True)
class Target:
    """What ours is to reach: `limit`, or so many times what `of` showed in the same run."""

    limit: float
    of: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target, what it came to in this run, and whether ours reached it."""

    target: Target
    limit: float
    reached: bool


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing measured, of ours and of those beside it."""

    #: Stable, for `compare`: "accept/pushes".
    key: str
    title: str
    unit: str
    aim: Aim
    ours: Series
    peers: tuple[Series, ...] = ()
    #: What physics or the framework allow.
    floors: tuple[Series, ...] = ()
    targets: tuple[Target, ...] = ()

    def verdicts(self) -> list[Verdict]:
        """How ours stands to its targets; those held against an absent peer are left out."""
        beside = {series.who: series for series in (*self.peers, *self.floors)}
        found = []
        for target in self.targets:
            if target.of and target.of not in beside:
                continue
            limit = target.limit * (beside[target.of].median if target.of else 1)
            got = self.ours.median
            reached = got >= limit if self.aim is Aim.MORE else got <= limit
            found.append(Verdict(target, limit, reached))
        return found


@dataclass(frozen=True, slots=True)
class Curve:
    """What one thing costs as another grows."""

    key: str
    title: str
    across: str
    up: str
    #: Pairs of size and cost, for each contestant.
    lines: dict[str, tuple[tuple[float, float], ...]]

    def exponents(self) -> dict[str, float]:
        """The slope in a log-log plane: 0 is flat, 1 is linear."""
        return {who: _slope(points) for who, points in self.lines.items() if len(points) > 1}


Finding = Figure | Curve


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of all is not above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered)) - 1))]


def to_json(finding: Finding) -> dict[str, Any]:
    """The finding as plain values."""
    if isinstance(finding, Curve):
        return {
            "curve": finding.key,
            "title": finding.title,
            "across": finding.across,
            "up": finding.up,
            "lines": finding.lines,
            "exponents": finding.exponents(),
        }
    return {
        "figure": finding.key,
        "title": finding.title,
        "unit": finding.unit,
        "aim": finding.aim.value,
        "ours": finding.ours.values,
        "peers": {series.who: series.values for series in finding.peers},
        "floors": {series.who: series.values for series in finding.floors},
        "targets": [
            {"limit": one.limit, "of": one.target.of, "reached": one.reached}
            for one in finding.verdicts()
        ],
    }


def _slope(points: tuple[tuple[float, float], ...]) -> float:
    across = [log(size) for size, _cost in points]
    up = [log(max(cost, 1e-9)) for _size, cost in points]
    middle, height = fmean(across), fmean(up)
    spread = sum((x - middle) ** 2 for x in across)
    return sum((x - middle) * (y - height) for x, y in zip(across, up, strict=True)) / spread
