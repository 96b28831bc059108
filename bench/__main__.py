"""`python -m bench`: measure, print every figure beside its target, and write the page."""

import argparse
import json
import signal
import sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from bench import ROOT, machine, report
from bench.course import Course, Effort
from bench.figures import Finding
from bench.peers import find_peers

MEASUREMENTS = (
    "accept", "trigger", "builds", "latency", "output", "reading", "scale", "footprint",
)  # fmt: skip


def main() -> None:
    """Measure what is named, or all."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "measurements", nargs="*", help=f"of {', '.join(MEASUREMENTS)}; all if none"
    )
    parser.add_argument("--smoke", action="store_true", help="only show that it works; 30 s")
    parser.add_argument("--runs", type=int, help="turns for each contestant (5)")
    parser.add_argument("--alone", action="store_true", help="without the peers")
    parser.add_argument("--tree", type=Path, default=ROOT, help="source of the server (this one)")
    parser.add_argument("--json", type=Path, help="a file for the results")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    arguments = parser.parse_args()
    unknown = set(arguments.measurements) - set(MEASUREMENTS)
    if unknown:
        parser.error(f"no such measurement: {', '.join(sorted(unknown))}; {MEASUREMENTS}")
    # Told to end, it ends what it started first.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(1))
    results = run(arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(results.to_json(), indent=1))
    print(report.render(results))
    if arguments.write:
        report.write(results)


def run(arguments: argparse.Namespace) -> report.Results:
    """Run the measurements."""
    effort = Effort.SMOKE if arguments.smoke else Effort.FULL
    peers = frozenset[str]()
    if not arguments.alone:
        peers = find_peers(install=not arguments.smoke, say=print)
    course = Course(effort=effort, tree=arguments.tree, peers=peers, runs=arguments.runs)
    found: list[Finding] = []
    facts = {**machine.describe(), "commit": machine.commit(arguments.tree)}
    facts["day"] = f"{datetime.now(UTC):%Y-%m-%d}"
    try:
        for name in arguments.measurements or MEASUREMENTS:
            course.say(f"== {name}")
            found += import_module(f"bench.{name}").measure(course)
    finally:
        course.close()
    return report.Results(facts, tuple(found))


if __name__ == "__main__":
    main()
