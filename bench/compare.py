"""`python -m bench.compare A B`: tell a change from noise.

A and B are two files of `python -m bench --json`, or two commits (`.` is the folder as it is).
Commits are measured here, in turn: A, B, A, B, ... so that a slow minute hits both. A difference
counts when a rank test gives chance less than 1 in 20 (Mann and Whitney, 1947, two-sided).
"""

import argparse
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import combinations
from math import comb, erfc, sqrt
from pathlib import Path
from statistics import median
from typing import Any

from bench import ROOT, WORKPLACE
from bench.course import Course, Effort
from bench.figures import Aim, Figure, to_json
from bench.report import show

#: What commits are compared by, where nothing is named.
USUAL = ("accept", "trigger", "builds", "latency")
CHANCE = 0.05
#: Values of both together, up to which chance is counted out exactly.
EXACT = 16


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure, before and after."""

    title: str
    unit: str
    aim: Aim
    before: tuple[float, ...]
    after: tuple[float, ...]

    @property
    def change(self) -> float:
        """The share by which the median grew."""
        base = median(self.before)
        return median(self.after) / base - 1 if base else 0.0

    @property
    def chance(self) -> float:
        """How likely ranks as uneven as these are by chance."""
        return rank_test(self.before, self.after)

    @property
    def verdict(self) -> str:
        """What the change is."""
        if self.chance >= CHANCE:
            return "noise"
        return "better" if (self.change > 0) == (self.aim is Aim.MORE) else "WORSE"


def rank_test(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """The chance that two samples of the same thing differ so much or more."""
    wins = _wins(one, other)
    middle = len(one) * len(other) / 2
    if len(one) + len(other) > EXACT:
        spread = sqrt(len(one) * len(other) * (len(one) + len(other) + 1) / 12)
        return erfc(abs(wins - middle) / spread / sqrt(2))
    both = [*one, *other]
    uneven = 0
    for chosen in combinations(range(len(both)), len(one)):
        picked = tuple(both[place] for place in chosen)
        left = tuple(value for place, value in enumerate(both) if place not in chosen)
        uneven += abs(_wins(picked, left) - middle) >= abs(wins - middle)
    return uneven / comb(len(both), len(one))


def main() -> None:
    """Compare, and print a line for each figure."""
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__)
    parser.add_argument("before", help="a file of results, or a commit")
    parser.add_argument("after")
    parser.add_argument("measurements", nargs="*", help=f"for commits; {', '.join(USUAL)} if none")
    parser.add_argument("--runs", type=int, default=7, help="turns for each commit")
    arguments = parser.parse_args()
    if Path(arguments.before).is_file() and Path(arguments.after).is_file():
        before, after = (
            json.loads(Path(name).read_text()) for name in (arguments.before, arguments.after)
        )
        found = compare(before["findings"], after["findings"])
    else:
        found = _measure(arguments)
    print(render(found))


def compare(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[Comparison]:
    """The figures that both results have."""
    later = {one["figure"]: one for one in after if "figure" in one}
    return [
        Comparison(
            title=one["title"],
            unit=one["unit"],
            aim=Aim(one["aim"]),
            before=tuple(one["ours"]),
            after=tuple(later[one["figure"]]["ours"]),
        )
        for one in before
        if one.get("figure") in later
    ]


def render(found: list[Comparison]) -> str:
    """A table in Markdown."""
    lines = ["| What | Before | After | Change | Chance | |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {one.title} ({one.unit}) | {show(median(one.before))} | {show(median(one.after))} |"
        f" {one.change:+.1%} | {one.chance:.3f} | {one.verdict} |"
        for one in found
    ]
    return "\n".join(lines)


def _measure(arguments: argparse.Namespace) -> list[Comparison]:
    trees = {name: _tree(name) for name in (arguments.before, arguments.after)}
    figures: dict[str, dict[str, Figure]] = {name: {} for name in trees}
    values: dict[str, dict[str, list[float]]] = {name: {} for name in trees}
    for run in range(1, arguments.runs + 1):
        for name, tree in trees.items():
            print(f"== run {run} of {arguments.runs}: {name}", flush=True)
            for figure in _measure_once(tree, arguments.measurements or USUAL):
                figures[name][figure.key] = figure
                values[name].setdefault(figure.key, []).extend(figure.ours.values)
    results = [
        [{**to_json(figures[name][key]), "ours": found} for key, found in values[name].items()]
        for name in trees
    ]
    return compare(results[0], results[1])


def _measure_once(tree: Path, measurements: Sequence[str]) -> list[Figure]:
    course = Course(effort=Effort.FULL, tree=tree, peers=frozenset(), runs=1, curves=False)
    try:
        return [
            finding
            for name in measurements
            for finding in import_module(f"bench.{name}").measure(course)
            if isinstance(finding, Figure)
        ]
    finally:
        course.close()


def _tree(name: str) -> Path:
    """The source of a commit in a folder of its own; `.` is this one."""
    if name == ".":
        return ROOT
    folder = WORKPLACE / "trees" / name.replace("/", "-")
    folder.mkdir(parents=True, exist_ok=True)
    packed = subprocess.run(
        ["git", "archive", name, "sloth_ci", "extensions"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    subprocess.run(["tar", "-x", "-C", str(folder)], input=packed.stdout, check=True)
    return folder


def _wins(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Pairs in which the first is greater; equal ones are half a win."""
    return sum((a > b) + (a == b) / 2 for a in one for b in other)


if __name__ == "__main__":
    main()
