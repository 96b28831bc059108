"""`make faults`: run every experiment in full, show progress, write the table."""

import argparse
import platform
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.faults import EXPERIMENTS, Experiment, Finding, Scale, Verdict, found
from tests.faults.catalogue import load

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
#: Tries of an experiment that was late.
TRIES = 3
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def main() -> None:
    """Run the experiments named, or all, and exit with 1 if a promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("numbers", nargs="*", help="experiments to run; all if not given")
    parser.add_argument("--short", action="store_true", help="run the short forms")
    parser.add_argument("--write", action="store_true", help=f"write the table to {PAGE.name}")
    arguments = parser.parse_args()
    load()
    scale = Scale.SHORT if arguments.short else Scale.FULL
    chosen = [EXPERIMENTS[number] for number in arguments.numbers] or list(EXPERIMENTS.values())
    findings = [
        (one, run_one(one, scale, f"{place}/{len(chosen)}"))
        for place, one in enumerate(chosen, start=1)
    ]
    table = render(findings)
    print(f"\n{table}")
    if arguments.write:
        write(table)
    if any(finding.verdict is Verdict.BROKEN for _one, finding in findings):
        sys.exit("A promise is broken.")


def run_one(one: Experiment, scale: Scale, place: str) -> Finding:
    """Run one experiment; a late one three times, and then it is what it is most often."""
    print(f"[{place}] {one.number} {one.title} ...", flush=True)
    findings = [try_one(one, scale)]
    if findings[0].verdict is Verdict.LATE:
        findings += [try_one(one, scale) for _ in range(TRIES - 1)]
    return judge(findings)


def judge(tries: list[Finding]) -> Finding:
    """What all tries of an experiment come to: only times may be missed, and only by a minority."""
    late = [one for one in tries if one.verdict is Verdict.LATE]
    others = [one for one in tries if one.verdict is not Verdict.LATE]
    broken = [one for one in others if one.verdict is Verdict.BROKEN]
    if not late or broken:
        return (broken or others)[-1]
    told = f"late in {len(late)} of {len(tries)} tries, as in: {late[-1].figure}"
    if len(late) > len(others):
        return Finding(Verdict.BROKEN, told)
    return Finding(Verdict.KEPT, f"{others[-1].figure}; {told}")


def try_one(one: Experiment, scale: Scale) -> Finding:
    """Run one experiment in a folder of its own and say what it showed."""
    folder = Path(tempfile.mkdtemp(prefix="sloth-ci-fault-"))
    began = time.monotonic()
    try:
        finding = one.run(scale, folder)
    except Exception as error:
        traceback.print_exc()
        finding = found(False, f"it ended with {type(error).__name__}: {error}")
    seconds = time.monotonic() - began
    print(f"      {finding.verdict.value}: {finding.figure} ({seconds:.0f} s)", flush=True)
    if finding.verdict in (Verdict.BROKEN, Verdict.LATE):
        print(f"      What it left is in {folder}", flush=True)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return finding


def render(findings: list[tuple[Experiment, Finding]]) -> str:
    """The table, in Markdown."""
    rows = [
        "| Experiment | Wanted | Seen | Verdict |",
        "|---|---|---|---|",
        *(
            f"| {one.number}. {one.title} | {one.criterion} | {finding.figure} |"
            f" {finding.verdict.value} |"
            for one, finding in findings
        ),
    ]
    return "\n".join(rows)


def write(table: str) -> None:
    """Put the table in its place in the docs."""
    text = PAGE.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    machine = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    PAGE.write_text(f"{before}{BEGIN}\n{machine}.\n\n{table}\n{END}{after}")


if __name__ == "__main__":
    main()
