"""What several tries of an experiment come to."""

import pytest

from tests.faults import Finding, Verdict, found
from tests.faults.__main__ import judge

KEPT, LATE, BROKEN = found(True, "fine"), found(True, "slow", in_time=False), found(False, "lost")


def test_a_promise_that_does_not_hold_is_broken_in_time_or_not() -> None:
    assert found(False, "", in_time=True).verdict is Verdict.BROKEN
    assert found(False, "", in_time=False).verdict is Verdict.BROKEN


def test_one_try_is_what_it_is() -> None:
    assert judge([KEPT]) == KEPT
    assert judge([BROKEN]) == BROKEN


def test_late_once_of_three_times_is_kept_and_told() -> None:
    finding = judge([LATE, KEPT, KEPT])
    assert finding == Finding(Verdict.KEPT, "fine; late in 1 of 3 tries, as in: slow")


@pytest.mark.parametrize("tries", [[LATE, LATE, KEPT], [LATE, KEPT, LATE], [LATE, LATE, LATE]])
def test_late_most_times_is_broken(tries: list[Finding]) -> None:
    assert judge(tries).verdict is Verdict.BROKEN
    assert "slow" in judge(tries).figure


@pytest.mark.parametrize("tries", [[LATE, BROKEN, KEPT], [LATE, KEPT, BROKEN]])
def test_what_broke_in_one_try_is_broken(tries: list[Finding]) -> None:
    assert judge(tries) == BROKEN
