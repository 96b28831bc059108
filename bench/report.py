"""The results as text: a table with ratios first, curves, and both in `docs/performance.md`."""

from dataclasses import dataclass
from typing import Any

from bench import ROOT
from bench.curves import draw
from bench.figures import Curve, Figure, Finding, Series, Verdict, to_json

PAGE = ROOT / "docs" / "performance.md"
PICTURES = ROOT / "docs" / "performance"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


@dataclass(frozen=True, slots=True)
class Results:
    """What a run of the bench found, and where."""

    facts: dict[str, str]
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {"facts": self.facts, "findings": [to_json(one) for one in self.findings]}


def render(results: Results) -> str:
    """The results in Markdown, without pictures."""
    return "\n".join(
        [*_facts(results), "", *_table(results), "", *_spread_table(results), "", *_curves(results)]
    )


def write(results: Results) -> None:
    """Put the results in their place on the page, and the pictures beside it."""
    PICTURES.mkdir(exist_ok=True)
    for finding in results.findings:
        if isinstance(finding, Curve):
            (PICTURES / _picture(finding)).write_text(draw(finding))
    before, rest = PAGE.read_text().split(BEGIN)
    after = rest.split(END)[1]
    pictures = [
        f"![{one.title}](performance/{_picture(one)})"
        for one in results.findings
        if isinstance(one, Curve)
    ]
    text = "\n".join([render(results), "", "\n\n".join(pictures)])
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def _facts(results: Results) -> list[str]:
    return [", ".join(f"{name}: {value}" for name, value in results.facts.items()) + "."]


def _table(results: Results) -> list[str]:
    lines = [
        "| What | Ours | Beside it | Ratio | Target | |",
        "|---|---|---|---|---|---|",
    ]
    for figure in results.findings:
        if isinstance(figure, Figure):
            lines += _rows(figure)
    return lines


def _rows(figure: Figure) -> list[str]:
    ours = f"{show(figure.ours.median)} {figure.unit}"
    beside = [
        f"{one.who}: {show(one.median)} | {_ratio(figure, one)}"
        for one in (*figure.peers, *figure.floors)
    ]
    wanted = [f"{_target(figure, one)} | {_mark(figure, one)}" for one in figure.verdicts()]
    height = max(len(beside), len(wanted), 1)
    rows = []
    for number in range(height):
        head = f"{figure.title} | **{ours}**" if number == 0 else " | "
        left = beside[number] if number < len(beside) else " | "
        right = wanted[number] if number < len(wanted) else " | "
        rows.append(f"| {head} | {left} | {right} |")
    return rows


def _ratio(figure: Figure, other: Series) -> str:
    ratio = figure.ours.median / other.median if other.median else 0.0
    return f"{ratio:.2f} x"


def _target(figure: Figure, verdict: Verdict) -> str:
    bound = {"more": "at least", "less": "at most"}[figure.aim.value]
    target = verdict.target
    if not target.of:
        return f"{bound} {show(target.limit)} {figure.unit}"
    return f"{bound} {target.limit:g} x {target.of}: {show(verdict.limit)}"


def _mark(figure: Figure, verdict: Verdict) -> str:
    if verdict.reached:
        return "reached"
    return f"**missed**: {figure.ours.median / verdict.limit:.2f} of it"


def _spread_table(results: Results) -> list[str]:
    lines = ["| What | Who | Median | Least | Most | Runs |", "|---|---|---|---|---|---|"]
    for figure in results.findings:
        if not isinstance(figure, Figure):
            continue
        lines += [
            f"| {figure.title} ({figure.unit}) | {one.who} | {show(one.median)} |"
            f" {show(min(one.values))} | {show(max(one.values))} | {len(one.values)} |"
            for one in (figure.ours, *figure.peers, *figure.floors)
        ]
    return lines


def _curves(results: Results) -> list[str]:
    lines = ["| Curve | Who | Points | Exponent |", "|---|---|---|---|"]
    for curve in results.findings:
        if not isinstance(curve, Curve):
            continue
        for who, points in curve.lines.items():
            shown = ", ".join(f"{size:,.0f}: {show(cost)}" for size, cost in points)
            exponent = curve.exponents().get(who)
            told = "" if exponent is None else f"{exponent:+.2f}"
            lines.append(f"| {curve.title} ({curve.up}) | {who} | {shown} | {told} |")
    return lines


def show(value: float) -> str:
    """A number with as many digits as mean something."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.01 or not value else f"{value:.1g}"


def _picture(curve: Curve) -> str:
    return f"{curve.key.replace('/', '-')}.svg"
