"""Moments, durations, sizes and statuses as they stand on the page."""

import pytest

from sloth_ci.builds import BuildStatus
from sloth_ci.page import words
from sloth_ci.page.charts import sparkline


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s ago"),
        (59.9, "59 s ago"),
        (60, "1 min ago"),
        (7_200, "2 h ago"),
        (200_000, "2 d ago"),
    ],
)
def test_a_moment_is_told_by_how_long_ago_it_was(seconds: float, text: str) -> None:
    assert words.ago(1_000_000 - seconds, 1_000_000) == text


def test_a_moment_to_come_is_told_by_how_far_it_is() -> None:
    assert words.ago(1_003_600, 1_000_000) == "in 1 h"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.04, "0.0 s"),
        (9.96, "10.0 s"),
        (59.9, "59 s"),
        (75, "1 min 15 s"),
        (7_384, "2 h 3 min"),
    ],
)
def test_a_duration_is_as_exact_as_people_want_it(seconds: float | None, text: str) -> None:
    assert words.span(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(None, "–"), (999, "999 B"), (12_345, "12.3 kB"), (5 * 10**12, "5.0 TB")]
)
def test_a_size_has_the_unit_that_fits(count: int | None, text: str) -> None:
    assert words.size(count) == text


@pytest.mark.parametrize(("seconds", "text"), [(-1, "0:00"), (67, "1:07"), (3_723, "1:02:03")])
def test_a_line_tells_its_time_since_the_start(seconds: float, text: str) -> None:
    assert words.clock(seconds) == text


def test_every_status_has_its_words() -> None:
    assert [status for status in BuildStatus if words.status(status) == status] == []


def test_a_moment_stands_in_full_too() -> None:
    assert words.moment(0) == "1970-01-01 00:00:00 UTC"
    assert words.stamp(1.5) == "1970-01-01T00:00:01.500+00:00"


def test_a_sparkline_goes_from_the_ground_to_the_top_and_leaves_gaps_out() -> None:
    assert sparkline([0, None, 4, 2]) == "0.0,19.0 66.7,1.0 100.0,10.0"


def test_fewer_than_two_values_make_no_line() -> None:
    assert sparkline([None, 3.0]) == ""


def test_values_that_are_all_zero_lie_on_the_ground() -> None:
    assert sparkline([0.0, 0.0]) == "0.0,19.0 100.0,19.0"
