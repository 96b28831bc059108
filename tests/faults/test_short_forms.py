"""The short form of every fault experiment."""

from pathlib import Path

import pytest

from tests.faults import EXPERIMENTS, Scale, Verdict
from tests.faults.catalogue import load

load()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", EXPERIMENTS)
def test_the_promise_is_kept(number: str, tmp_path: Path) -> None:
    finding = EXPERIMENTS[number].run(Scale.SHORT, tmp_path)
    if finding.verdict is Verdict.NOT_RUN:
        pytest.skip(finding.figure)
    assert finding.verdict is Verdict.KEPT, finding.figure
