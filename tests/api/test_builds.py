"""Builds over the API: listed, shown whole, waited for, cancelled, run again, shown beforehand."""

import json
from typing import Any

import pytest

from sloth_ci.api import builds
from sloth_ci.api.build import Wait
from sloth_ci.builds import BuildStatus
from sloth_ci.errors import AppNotFound, BadParam, BuildNotFound
from sloth_ci.store import Cause
from sloth_ci.store.acceptance import MOST_NAME
from tests.api.conftest import Stage


def queue(stage: Stage, listen_point: str = "web", **params: str) -> int:
    """A build that waits."""
    app = stage.server.bed.find(listen_point)
    accepted = stage.store.accept(
        app_id=app.id,
        listen_point=listen_point,
        cause=Cause.TRIGGER,
        params=(params,),
        total=len(app.config.actions),
    )
    return accepted.builds[0]


def ids(answer: dict[str, Any]) -> list[int]:
    return [build["id"] for build in answer["builds"]]


def test_builds_are_listed_newest_first_with_a_cursor_to_the_rest(stage: Stage) -> None:
    stage.create("echo hi")
    made = [stage.run() for _build in range(5)][::-1]

    first = stage.ask("builds", per_page=2)
    second = stage.ask("builds", per_page=2, before=first["next"])
    third = stage.ask("builds", per_page=2, before=second["next"])

    assert [*ids(first), *ids(second), *ids(third)] == made
    assert third["next"] is None


def test_pages_by_number_go_as_well(stage: Stage) -> None:
    stage.create("echo hi")
    made = [stage.run() for _build in range(5)][::-1]

    assert ids(stage.ask("builds", from_page=2, to_page=3, per_page=2)) == made[2:]
    assert ids(stage.ask("builds", from_page=4, per_page=2)) == []


def test_builds_are_chosen_by_app_status_branch_and_time(stage: Stage) -> None:
    stage.create("'[ {n} = 1 ]'", listen_point="one")
    stage.create("echo hi", listen_point="two")
    good = stage.run("one", n="1", branch="main")
    bad = stage.run("one", n="2", branch="dev")
    other = stage.run("two", branch="main")

    assert ids(stage.ask("builds", listen_point="one")) == [bad, good]
    assert ids(stage.ask("builds", status="failed")) == [bad]
    assert ids(stage.ask("builds", status=["failed", "complete"])) == [other, bad, good]
    assert ids(stage.ask("builds", branch="main")) == [other, good]
    assert ids(stage.ask("builds", since="1h")) == [other, bad, good]
    assert ids(stage.ask("builds", since="2200-01-01")) == []


def test_builds_of_an_app_that_is_gone_are_still_listed(stage: Stage) -> None:
    stage.create("echo hi")
    build = stage.run()
    stage.answer("remove", listen_point="web")

    assert ids(stage.ask("builds", listen_point="web")) == [build]
    with pytest.raises(AppNotFound):
        stage.ask("builds", listen_point="never")


@pytest.mark.parametrize(
    "params",
    [
        {"status": "good"},
        {"before": 3, "from_page": 2},
        {"from_page": 1_002, "per_page": 10},
        {"per_page": 10_001},
        {"since": "soon"},
    ],
    ids=str,
)
def test_what_can_not_be_listed_is_refused(stage: Stage, params: dict[str, Any]) -> None:
    with pytest.raises(BadParam):
        stage.ask("builds", **params)


def test_a_build_tells_how_each_of_its_actions_ended(stage: Stage) -> None:
    stage.create("echo {word}", "'exit 3'", "'kill -9 $$'", more="params: {word: hello}\n")
    build = stage.ask("build", id=stage.run())

    assert build["status"] == "partial"
    assert [one["position"] for one in build["outcomes"]] == [1, 2, 3]
    assert [one["command"] for one in build["outcomes"]] == ["echo hello", "exit 3", "kill -9 $$"]
    assert [one["status"] for one in build["outcomes"]] == ["completed", "failed", "failed"]
    assert [one["exit_code"] for one in build["outcomes"]] == [0, 3, None]
    assert [one["signal"] for one in build["outcomes"]] == [None, None, 9]
    assert build["outcomes"][0]["output"] == len("hello\n")
    for one in build["outcomes"]:
        assert one["cpu"] >= 0
        assert one["memory"] is None or one["memory"] > 0
        assert one["started"] <= one["finished"]
        assert one["duration"] >= 0


def test_the_records_of_an_action_are_those_that_its_outcome_names(stage: Stage) -> None:
    stage.create("echo one", "seq 3", "echo four")
    build = stage.run()
    second = stage.ask("build", id=build)["outcomes"][1]

    found = stage.ask(
        "logs", build=build, after=second["first_record"] - 1, before=second["last_record"] + 1
    )
    assert [one["message"] for one in found] == ["Executing action: seq 3", *"123", "Finished"]


def test_params_are_told_with_where_they_came_from(stage: Stage) -> None:
    stage.create("echo {a} {b}", more="params: {a: 1, b: 2}\n")
    build = stage.run(b="9", c="8")
    wanted = [
        {"name": "a", "value": "1", "origin": "config"},
        {"name": "b", "value": "9", "origin": "trigger"},
        {"name": "c", "value": "8", "origin": "trigger"},
    ]

    assert stage.ask("build", id=build)["params"] == wanted
    again = stage.ask("rerun", build=build)["build"]
    assert stage.ask("build", id=again)["params"] == wanted


def test_no_secret_is_told(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "very-secret-word")
    stage.create("echo {token}", more="params: {token: {env: TOKEN}}\n")
    build = stage.run(other="it is very-secret-word")
    stage.run(token="very-secret-word")

    for action in ("build", "explain", "logs", "preview", "builds", "stats"):
        given = {"build": {"id": build}, "explain": {"build": build}, "logs": {"build": build}}
        given["preview"] = {"listen_point": "web", "other": "very-secret-word"}
        answer = json.dumps(stage.ask(action, **given.get(action, {})))
        assert "very-secret-word" not in answer, action
    params = {one["name"]: one["value"] for one in stage.ask("build", id=build)["params"]}
    assert params == {"token": "***", "other": "it is ***"}


def test_who_wanted_it_is_told(stage: Stage) -> None:
    stage.create("echo hi")

    assert stage.ask("build", id=stage.run())["actor"] == "ann"


def test_a_build_tells_whether_its_app_has_its_config_still(stage: Stage) -> None:
    stage.create("echo hi")
    build = stage.run()
    assert stage.ask("build", id=build)["config"] == "current"
    stage.update("echo ho")
    assert stage.ask("build", id=build)["config"] == "former"


def test_the_usual_duration_is_the_median_of_good_builds(stage: Stage) -> None:
    stage.create("'[ {n} = 1 ]'")
    assert stage.ask("build", id=stage.run(n="0"))["usual_duration"] is None
    good = [stage.ask("build", id=stage.run(n="1")) for _build in range(3)]

    usual = stage.ask("build", id=good[0]["id"])["usual_duration"]
    assert usual == sorted(build["duration"] for build in good)[1]


def test_what_there_is_no_build_of_is_404(stage: Stage) -> None:
    for action in ("explain", "cancel", "rerun", "follow", "logs"):
        with pytest.raises(BuildNotFound):
            stage.answer(action, build=17)
    with pytest.raises(BuildNotFound):
        stage.answer("build", id=17)


# Waiting


def test_a_wait_for_a_build_that_is_over_is_none(stage: Stage) -> None:
    stage.create("echo hi")

    assert stage.ask("build", id=stage.run(), wait=60)["status"] == "complete"


def test_a_wait_ends_with_the_build_and_gives_it_once(stage: Stage) -> None:
    stage.create("echo hi")
    build = queue(stage)
    stream = stage.answer("build", id=build, wait=60).stream
    assert stream is not None
    assert (stream.content_type, stream.pull(), stream.ended) == ("application/json", b"", False)

    stage.server.bed.executor.wake(stage.server.bed.find("web").id)
    value = json.loads(stream.pull())

    assert stream.ended
    assert (value["status"], len(value["outcomes"])) == ("complete", 1)
    assert (stream.pull(), stream.close()) == (b"", b"")


def test_a_wait_ends_when_its_time_is_over(stage: Stage) -> None:
    stage.create("echo hi")
    moment = [100.0]
    found = stage.store.find_build(queue(stage))
    assert found is not None
    stream = Wait(stage.server, found, seconds=5, now=lambda: moment[0])

    moment[0] = 104.9
    assert (stream.pull(), stream.ended) == (b"", False)
    moment[0] = 105
    assert json.loads(stream.pull())["status"] == "queued"
    assert stream.ended


def test_a_wait_that_the_server_ends_gives_what_there_is(stage: Stage) -> None:
    stage.create("echo hi")
    stream = stage.answer("build", id=queue(stage), wait=60).stream
    assert stream is not None

    assert json.loads(stream.close())["status"] == "queued"
    assert stream.ended


# Changes


def test_a_waiting_build_is_cancelled_once_and_for_all(stage: Stage) -> None:
    stage.create("echo hi")
    build = queue(stage)

    first, second = (stage.ask("cancel", build=build) for _time in range(2))

    assert first == second
    assert (first["status"], first["finished"] is None) == ("cancelled", False)
    assert "ann" in first["reason"]


def test_a_build_that_is_over_stays_as_it_is(stage: Stage) -> None:
    stage.create("echo hi")

    assert stage.ask("cancel", build=stage.run())["status"] == "complete"


def test_a_rerun_has_the_config_of_then_or_that_of_now(stage: Stage) -> None:
    stage.create("echo then {n}")
    build = stage.run(n="1")
    stage.update("echo now {n}", "echo more")

    def run_again(**config: str) -> list[str]:
        answer = stage.answer("rerun", build=build, **config)
        assert answer.value["rerun_of"] == build
        assert answer.headers["X-Build-Id"] == str(answer.value["build"])
        again = stage.ask("build", id=answer.value["build"])
        assert (again["cause"], again["rerun_of"], again["actor"]) == ("rerun", build, "ann")
        return [one["command"] for one in again["outcomes"]]

    assert run_again() == ["echo then 1"]
    assert run_again(config="stored") == ["echo then 1"]
    assert run_again(config="current") == ["echo now 1", "echo more"]


def test_a_preview_shows_what_would_run_and_runs_nothing(stage: Stage) -> None:
    stage.create("!critical echo {a}", "!detach echo {b}", more="params: {a: 1}\n")

    shown = stage.ask("preview", listen_point="web", a="2")

    assert shown["params"] == [{"name": "a", "value": "2", "origin": "trigger"}]
    assert shown["actions"] == [
        {"position": 1, "command": "echo 2", "critical": True, "detach": False, "missing": None},
        {"position": 2, "command": "echo {b}", "critical": False, "detach": True, "missing": "b"},
    ]
    assert shown["paused"] is None
    assert stage.ask("builds") == {"builds": [], "next": None}


def test_a_preview_refuses_what_a_trigger_refuses(stage: Stage) -> None:
    stage.create("echo hi")
    with pytest.raises(BadParam):
        stage.ask("preview", listen_point="web", **{"not-a-name": "x"})


def test_every_status_can_be_asked_for(stage: Stage) -> None:
    assert stage.ask("builds", status=[one.value for one in BuildStatus])["builds"] == []


def test_a_list_has_the_beginning_of_a_monstrous_name(stage: Stage) -> None:
    stage.create("echo hi")
    build = stage.run(branch="b" * 100_000, commit="c" * 100_000)

    (listed,) = stage.ask("builds")["builds"]
    params = {one["name"]: one["value"] for one in stage.ask("build", id=build)["params"]}

    assert (listed["branch"], listed["commit"]) == ("b" * MOST_NAME, "c" * MOST_NAME)
    assert params["branch"] == "b" * 100_000


def test_a_long_list_is_read_in_pieces_and_is_whole(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builds, "PIECE", 3)
    stage.create("echo hi")
    made = [stage.run() for _build in range(8)][::-1]
    asked: list[int] = []
    ask = stage.store.builds
    monkeypatch.setattr(
        type(stage.store),
        "builds",
        lambda _store, **given: asked.append(given["most"]) or ask(**given),
    )

    whole = stage.ask("builds", per_page=8)
    second = stage.ask("builds", per_page=4, from_page=2)
    first = stage.ask("builds", per_page=7)

    assert [one["id"] for one in whole["builds"]] == made
    assert [one["id"] for one in second["builds"]] == made[4:]
    assert [one["id"] for one in first["builds"]] == made[:7]
    assert (whole["next"], second["next"], first["next"]) == (None, None, made[6])
    assert max(asked) == 3
