"""Statistics: outcomes, durations, what is slow, what is flaky."""

from typing import Any

import pytest

from sloth_ci.api.stats import FLAKY, SLOWEST
from sloth_ci.builds import BuildStatus, Result
from sloth_ci.errors import AppNotFound
from tests.api.conftest import Stage
from tests.api.test_builds import queue


def end(stage: Stage, status: BuildStatus, listen_point: str = "web", **params: str) -> int:
    """A build that ended so."""
    build = queue(stage, listen_point, **params)
    app_id = stage.server.bed.find(listen_point).id
    stage.store.claim(app_id)
    stage.store.finish(app_id=app_id, build_id=build, result=Result(status, 0), total=1)
    return build


def total(stage: Stage, **params: Any) -> dict[str, Any]:
    found: dict[str, Any] = stage.ask("stats", **params)["total"]
    return found


def test_without_builds_nothing_is_made_up(stage: Stage) -> None:
    found = stage.ask("stats")

    assert found["apps"] == []
    assert found["total"]["builds"] == 0
    for name in ("success_rate", "duration", "waited"):
        assert found["total"][name] is None


def test_outcomes_are_counted_of_each_app_and_in_all(stage: Stage) -> None:
    stage.create("echo hi", listen_point="b")
    stage.create("echo hi", listen_point="a")
    for status in ("complete", "complete", "failed", "cancelled"):
        end(stage, BuildStatus(status), "a")
    end(stage, BuildStatus.TIMED_OUT, "b")

    found = stage.ask("stats")

    assert [app["listen_point"] for app in found["apps"]] == ["a", "b"]
    assert [app["builds"] for app in (*found["apps"], found["total"])] == [4, 1, 5]
    assert found["total"]["outcomes"] == {
        "complete": 2,
        "partial": 0,
        "failed": 1,
        "timed_out": 1,
        "cancelled": 1,
        "interrupted": 0,
    }
    assert stage.ask("stats", listen_point="b")["total"]["builds"] == 1


def test_the_rate_counts_what_tells_of_the_code_alone(stage: Stage) -> None:
    stage.create("echo hi")
    for status in ("complete", "complete", "partial", "cancelled", "interrupted"):
        end(stage, BuildStatus(status))

    assert total(stage)["success_rate"] == pytest.approx(2 / 3, abs=0.0001)


def test_durations_have_a_median_and_a_95th_percentile(stage: Stage) -> None:
    stage.create("echo hi")
    durations = sorted(stage.ask("build", id=stage.run())["duration"] for _build in range(5))

    found = total(stage)["duration"]

    assert found == {"median": durations[2], "p95": durations[4]}


def test_the_period_is_bounded(stage: Stage) -> None:
    stage.create("echo hi")
    stage.run()

    assert total(stage, since="2200-01-01")["builds"] == 0
    found = stage.ask("stats")
    assert found["until"] - found["since"] == 30 * 86_400


def test_the_slowest_actions_come_first(stage: Stage) -> None:
    stage.create("sleep 0.2", "echo quick", *["true"] * SLOWEST)
    stage.run()
    stage.run()

    slowest = total(stage)["slowest"]

    assert (slowest[0]["command"], slowest[0]["position"], slowest[0]["runs"]) == (
        "sleep 0.2",
        1,
        2,
    )
    assert slowest[0]["longest"] >= slowest[0]["mean"] >= 0.2
    assert len(slowest) == SLOWEST


def test_a_commit_with_both_outcomes_is_flaky(stage: Stage) -> None:
    stage.create("echo hi")
    stage.create("echo hi", listen_point="other")
    bad = end(stage, BuildStatus.FAILED, commit="both")
    good = end(stage, BuildStatus.COMPLETE, commit="both")
    end(stage, BuildStatus.COMPLETE, commit="good")
    end(stage, BuildStatus.CANCELLED, commit="good")
    end(stage, BuildStatus.FAILED, "other", commit="good")
    end(stage, BuildStatus.FAILED)
    end(stage, BuildStatus.COMPLETE)

    assert total(stage)["flaky"] == [
        {"listen_point": "web", "commit": "both", "good": good, "bad": bad}
    ]


def test_no_more_flaky_commits_are_named_than_somebody_reads(stage: Stage) -> None:
    stage.create("echo hi")
    for number in range(FLAKY + 2):
        end(stage, BuildStatus.FAILED, commit=f"c{number}")
        end(stage, BuildStatus.COMPLETE, commit=f"c{number}")

    assert len(total(stage)["flaky"]) == FLAKY


def test_an_unknown_app_is_refused(stage: Stage) -> None:
    with pytest.raises(AppNotFound):
        stage.ask("stats", listen_point="never")
