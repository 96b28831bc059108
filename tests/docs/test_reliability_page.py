"""The page about reliability tells of every experiment and every threat."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT
from tests.faults import EXPERIMENTS
from tests.faults.catalogue import load

load()
TEXT = (ROOT / "docs" / "reliability.md").read_text()
PROMISES, _, REST = TEXT.partition("## Threats")
THREATS = REST.partition("## Figures")[0]


@pytest.mark.parametrize("number", EXPERIMENTS)
def test_every_experiment_stands_behind_a_promise(number: str) -> None:
    assert re.search(rf"[(, ]{number}[,)]", PROMISES), number


def test_no_promise_names_an_experiment_that_is_none() -> None:
    named = {
        number.strip()
        for group in re.findall(r"\((?:experiments )?((?:T?\d+\w?(?: user)?(?:, )?)+)\)", PROMISES)
        for number in group.split(",")
    }
    assert named == set(EXPERIMENTS)


@pytest.mark.parametrize("number", range(1, 33))
def test_every_threat_is_listed_once(number: int) -> None:
    assert len(re.findall(rf"^\| T{number}\. ", THREATS, re.MULTILINE)) == 1


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(tests/[\w/.]+)`", TEXT))))
def test_the_tests_it_names_are_there(name: str) -> None:
    assert (ROOT / Path(name)).exists()
