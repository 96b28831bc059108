"""The bench itself: that it measures, tells noise from a change, and draws; nothing is timed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import ROOT, profile
from bench.compare import rank_test
from bench.curves import draw
from bench.figures import Aim, Curve, Figure, Series, Target, percentile

NEEDED = {"wrk": "wrk", "webhook": "webhook"}


@pytest.mark.timeout(180)
def test_every_measurement_runs_in_small(tmp_path: Path) -> None:
    missing = [package for program, package in NEEDED.items() if not shutil.which(program)]
    if missing and "CI" not in os.environ:
        pytest.skip(f"not installed: {', '.join(missing)}")
    results = tmp_path / "results.json"
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--smoke", "--json", str(results)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    findings = json.loads(results.read_text())["findings"]
    groups = {(one.get("figure") or one["curve"]).partition("/")[0] for one in findings}
    assert groups == {
        "accept", "trigger", "builds", "latency", "output", "reading", "scale", "footprint",
    }  # fmt: skip
    targets = [one for one in findings if one.get("targets")]
    assert all(one["title"] in done.stdout for one in targets)
    assert len(targets) > 15


@pytest.mark.timeout(120)
def test_the_profile_tells_of_each_kind_of_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not shutil.which("wrk") and "CI" not in os.environ:
        pytest.skip("not installed: wrk")
    monkeypatch.setattr(profile, "SECONDS", 0.6)
    monkeypatch.setattr(profile, "ROUNDS", 3)
    profile.main()
    pieces, steps = (
        [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
        for table in capsys.readouterr().out.split("\n\n")
    )
    assert all(float(delay) >= 0 for _step, delay in steps)
    assert len(steps) == 4
    assert [row[0] for row in pieces] == [
        "push accepted",
        "trigger accepted, nothing run",
        "build run",
    ]
    for _work, own, in_kernel, _shell, switches, where in pieces:
        assert 0 <= float(in_kernel) <= float(own)
        assert float(own) > 0
        assert float(switches) > 0
        assert where


def test_a_change_is_told_from_noise() -> None:
    slow, fast = (100.0, 104.0, 98.0, 101.0, 99.0), (120.0, 118.0, 125.0, 119.0, 121.0)
    assert rank_test(slow, fast) == pytest.approx(2 / 252)
    assert rank_test(slow, slow) == 1
    mixed = (99.5, 103.0, 97.0, 102.0, 100.5)
    assert rank_test(slow, mixed) > 0.5


def test_many_values_are_compared_by_the_normal_distribution() -> None:
    one = tuple(float(number) for number in range(30))
    assert rank_test(one, tuple(value + 0.5 for value in one)) > 0.5
    assert rank_test(one, tuple(value + 20 for value in one)) < 0.001


def test_a_target_may_be_a_multiple_of_a_peer() -> None:
    figure = Figure(
        "a/b",
        "Things",
        "/s",
        Aim.MORE,
        Series("ours", (90.0, 110.0, 100.0)),
        peers=(Series("peer", (30.0,)),),
        targets=(Target(3, "peer"), Target(4, "peer"), Target(2, "absent"), Target(100)),
    )
    assert [(one.limit, one.reached) for one in figure.verdicts()] == [
        (90, True),
        (120, False),
        (100, True),
    ]


def test_less_is_better_where_that_is_the_aim() -> None:
    figure = Figure("a/b", "Delay", "ms", Aim.LESS, Series("ours", (3.0,)), targets=(Target(2),))
    assert [one.reached for one in figure.verdicts()] == [False]


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(number) for number in range(1, 101)]
    assert percentile(values, 0.5) == 50
    assert percentile(values, 0.99) == 99
    assert percentile([7.0], 0.99) == 7


def test_an_exponent_is_the_slope_of_a_power() -> None:
    sizes = (1.0, 10.0, 100.0, 1000.0)
    curve = Curve(
        "a/b",
        "Costs",
        "size",
        "ms",
        {
            "flat": tuple((size, 5.0) for size in sizes),
            "linear": tuple((size, 0.1 * size) for size in sizes),
            "square": tuple((size, size**2) for size in sizes),
        },
    )
    assert curve.exponents() == pytest.approx({"flat": 0, "linear": 1, "square": 2})


def test_a_curve_is_drawn_as_a_picture_within_its_frame() -> None:
    line = ((1.0, 0.5), (30.0, 2.0), (1000.0, 90.0))
    picture = draw(Curve("a/b", "Cost of <it>", "apps & more", "ms", {"ours": line}))
    root = ElementTree.fromstring(picture)
    dots = [one for one in root.iter() if one.tag.endswith("circle")]
    assert len(dots) == len(line)
    heights = [float(dot.attrib["cy"]) for dot in dots]
    assert heights == sorted(heights, reverse=True)
    assert all(0 < float(dot.attrib["cx"]) < float(root.attrib["width"]) for dot in dots)
    assert "exponent" in picture
