"""`explain`: the failing action, its error, what changed, since when, and what to do next."""

from typing import Any

import pytest

from sloth_ci.builds import BuildStatus, Result
from tests.api.conftest import Stage
from tests.api.test_builds import queue

PYTEST = (
    '\'printf "%s\\n" .F "E       assert 2 == 3" "FAILED test_x.py::test_total" "1 failed";'
    " exit 1'"
)


def end(stage: Stage, build: int, status: BuildStatus, completed: int = 0, **more: Any) -> None:
    """End a running or waiting build as nothing here would."""
    found = stage.store.find_build(build)
    assert found is not None
    if found.status is BuildStatus.QUEUED:
        stage.store.claim(found.app_id)
    stage.store.finish(
        app_id=found.app_id,
        build_id=build,
        result=Result(status, completed, **more),
        total=found.total,
    )


def test_the_action_that_ended_the_build_is_named_with_its_error(stage: Stage) -> None:
    stage.create("echo one", f"!critical {PYTEST}", "echo three")

    told = stage.ask("explain", build=stage.run())

    failing = told["failing"]
    assert (failing["position"], failing["exit_code"], failing["others"]) == (2, 1, [])
    assert failing["error"]["text"] == "E       assert 2 == 3"
    assert failing["in_words"] == "the command reports a failure"
    assert [line["text"] for line in told["last_lines"]] == [
        ".F",
        "E       assert 2 == 3",
        "FAILED test_x.py::test_total",
        "1 failed",
    ]
    assert told["summary"] == (
        "Action 2 of 3 failed with exit code 1: the command reports a failure."
        " First error: E       assert 2 == 3"
    )


def test_of_a_partial_build_the_first_failing_action_is_told_and_the_others_are_named(
    stage: Stage,
) -> None:
    stage.create("echo one", "'exit 3'", "echo three", "'exit 4'")

    told = stage.ask("explain", build=stage.run())

    assert told["build"]["status"] == "partial"
    assert (told["failing"]["position"], told["failing"]["others"]) == (2, [4])


def test_a_failure_before_the_one_that_ended_the_build_is_another(stage: Stage) -> None:
    stage.create("'exit 3'", "!critical 'exit 4'", "echo three")

    failing = stage.ask("explain", build=stage.run())["failing"]

    assert (failing["position"], failing["others"]) == (2, [1])


def test_a_critical_action_at_the_end_is_the_one_that_ended_the_build(stage: Stage) -> None:
    stage.create("echo one", "'exit 3'", "!critical 'exit 4'")

    failing = stage.ask("explain", build=stage.run())["failing"]

    assert (failing["position"], failing["others"]) == (3, [2])


@pytest.mark.parametrize(
    ("action", "words", "advice"),
    [
        ("nosuchcommand --x", "was not found", "Install 'nosuchcommand'"),
        ("'touch f; ./f'", "can't be executed", "chmod"),
        ("'kill -9 $$'", "memory", "Read"),
        ("'kill -11 $$'", "segmentation fault", "Read"),
        ("'sh -c \"kill -15 \\$\\$\"'", "told to end", "Read"),
    ],
)
def test_an_end_is_told_in_words_with_what_to_do(
    stage: Stage, action: str, words: str, advice: str
) -> None:
    stage.create(action)

    told = stage.ask("explain", build=stage.run())

    assert words in told["failing"]["in_words"]
    assert words in told["summary"]
    assert told["next"]["advice"].startswith(advice) or advice in told["next"]["advice"]


def test_a_missing_param_is_told_with_the_trigger_that_gives_it(stage: Stage) -> None:
    stage.create("echo {a} {b}")

    told = stage.ask("explain", build=stage.run(a="1"))

    assert "Missing param: 'b'" in told["summary"]
    assert told["next"]["action"] == "trigger"
    assert told["next"]["params"] == {"listen_point": "web", "a": "1", "b": ""}


def test_an_action_out_of_time_is_told_as_such(stage: Stage) -> None:
    stage.create("'echo begun; sleep 60'", more="exec_timeout: 0.3\n")

    told = stage.ask("explain", build=stage.run())

    assert told["build"]["status"] == "timed_out"
    assert told["failing"]["in_words"] == "its time was over"
    assert "Timed out after 0.3 seconds" in told["summary"]
    assert [line["text"] for line in told["last_lines"]] == ["begun"]
    assert "exec_timeout" in told["next"]["advice"]


def test_what_changed_since_the_last_good_build_is_told(stage: Stage) -> None:
    stage.create("'[ {n} = 1 ]'", more="params: {n: 1, word: a}\n")
    good = stage.run(commit="aaa", branch="main")
    stage.update("'[ {n} = 1 ]'", "echo more", more="params: {n: 1, word: b}\n")

    told = stage.ask("explain", build=stage.run(commit="bbb", branch="main", n="2"))

    compared = told["compared_with"]
    assert compared["build"] == good
    assert compared["commit"] == {"then": "aaa", "now": "bbb"}
    assert compared["params"] == [
        {"name": "commit", "then": "aaa", "now": "bbb"},
        {"name": "n", "then": None, "now": "2"},
    ]
    assert compared["config"] == ["actions", "params"]
    assert compared["duration"]["then"] > 0
    assert compared["duration"]["now"] > 0


def test_without_a_good_build_there_is_nothing_to_compare_with(stage: Stage) -> None:
    stage.create("'exit 1'")
    stage.run()

    assert stage.ask("explain", build=stage.run())["compared_with"] is None


def test_how_often_and_since_when_it_has_failed_the_same_way_is_told(stage: Stage) -> None:
    stage.create(
        "'if [ {ok} = 1 ]; then exit 0; fi; echo \"error: {why}\"; exit 2'", listen_point="a"
    )
    stage.run("a", ok="1", why="")
    first = stage.run("a", ok="0", why="gone after 12 s")
    stage.run("a", ok="0", why="gone after 13 s")
    last = stage.run("a", ok="0", why="gone after 9 s")

    told = stage.ask("explain", build=last)

    assert told["before"] == {
        "same": True,
        "times": 2,
        "more": False,
        "since_build": first,
        "since": told["before"]["since"],
    }
    assert f"The 2 builds before failed the same way, since build {first}." in told["summary"]
    assert told["next"]["action"] == "explain"
    assert told["next"]["params"] == {"build": first}


def test_another_error_or_exit_code_is_another_failure(stage: Stage) -> None:
    stage.create("'echo \"error: {why}\"; exit {code}'")
    stage.run(why="one", code="2")
    other = stage.ask("explain", build=stage.run(why="two", code="2"))["before"]
    code = stage.ask("explain", build=stage.run(why="two", code="3"))["before"]

    assert (other["same"], other["times"]) == (False, 0)
    assert (code["same"], code["times"]) == (False, 0)


def test_cancelled_builds_in_between_break_no_row(stage: Stage) -> None:
    stage.create("'echo \"error: no\"; exit 2'")
    first = stage.run()
    end(stage, queue(stage), BuildStatus.CANCELLED)

    before = stage.ask("explain", build=stage.run())["before"]

    assert (before["times"], before["since_build"]) == (1, first)


def test_a_long_row_is_looked_at_in_part(stage: Stage) -> None:
    stage.create("'exit 2'")
    for _build in range(22):
        last = stage.run()

    told = stage.ask("explain", build=last)

    assert (told["before"]["times"], told["before"]["more"]) == (20, True)
    assert "at least 20" in told["summary"]


def test_the_same_run_that_was_good_once_is_to_be_run_again(stage: Stage) -> None:
    stage.create("'[ -e flag ]'")
    folder = stage.store.folder
    (folder / "flag").touch()
    stage.run(commit="aaa")
    (folder / "flag").unlink()

    told = stage.ask("explain", build=stage.run(commit="aaa"))

    assert told["next"] == {
        "advice": "The same was run before and was good, so it may fail by chance. Run it again.",
        "action": "rerun",
        "params": {"build": 2, "config": "stored"},
    }


def test_a_good_build_is_told_as_good(stage: Stage) -> None:
    stage.create("echo one", "echo two")

    told = stage.ask("explain", build=stage.run())

    assert told["summary"] == "It is good: all of its 2 actions completed."
    assert (told["failing"], told["before"], told["next"]) == (None, None, None)
    assert [line["text"] for line in told["last_lines"]] == ["one", "two"]


@pytest.mark.parametrize(
    ("status", "words", "action"),
    [
        (BuildStatus.CANCELLED, "cancelled", "rerun"),
        (BuildStatus.INTERRUPTED, "went down", "rerun"),
        (BuildStatus.TIMED_OUT, "time was over", "logs"),
        (BuildStatus.FAILED, "failed", "logs"),
    ],
)
def test_an_end_without_a_failing_action_is_explained_too(
    stage: Stage, status: BuildStatus, words: str, action: str
) -> None:
    stage.create("echo one")
    build = queue(stage)
    end(stage, build, status)

    told = stage.ask("explain", build=build)

    assert words in told["summary"]
    assert told["next"]["action"] == action


def test_the_reason_of_an_order_is_told(stage: Stage) -> None:
    stage.create("echo one")
    build = queue(stage)
    stage.ask("cancel", build=build)

    assert "ann" in stage.ask("explain", build=build)["summary"]


def test_what_waits_and_what_is_paused_is_told_with_the_way_out(stage: Stage) -> None:
    stage.create("echo one")
    build = queue(stage)
    waiting = stage.ask("explain", build=build)
    stage.ask("pause", listen_point="web")
    paused = stage.ask("explain", build=build)
    stage.ask("resume", listen_point="web")

    assert waiting["next"]["action"] == "status"
    assert paused["next"]["action"] == "resume"
    assert paused["next"]["params"] == {"listen_point": "web"}


def test_what_runs_is_to_be_followed(stage: Stage) -> None:
    stage.create("echo one")
    build = queue(stage)
    stage.store.claim(stage.server.bed.find("web").id)

    told = stage.ask("explain", build=build)

    assert told["summary"] == "It is running: 0 of 1 actions completed."
    assert told["next"] == {
        "advice": "It runs; follow it.",
        "action": "follow",
        "params": {"build": build},
    }


def test_colours_are_left_out_and_long_lines_are_cut(stage: Stage) -> None:
    stage.create('\'printf "\\033[31m"; head -c 9000 /dev/zero | tr "\\0" X; echo; exit 1\'')

    told = stage.ask("explain", build=stage.run())

    (line,) = told["last_lines"]
    assert set(line["text"]) == {"X"}
    assert 1_900 < len(line["text"]) <= 2_000


def test_the_error_is_found_at_both_ends_of_a_long_output(stage: Stage) -> None:
    stage.create("'echo \"fatal: first\"; seq 5000; exit 1'", listen_point="head")
    stage.create("'seq 5000; echo \"fatal: last\"; seq 500; exit 1'", listen_point="tail")

    for listen_point, wanted in (("head", "fatal: first"), ("tail", "fatal: last")):
        told = stage.ask("explain", build=stage.run(listen_point))
        assert told["failing"]["error"]["text"] == wanted
        assert len(told["last_lines"]) == 20


def test_the_same_build_is_always_explained_the_same(stage: Stage) -> None:
    stage.create("echo one", "'echo \"error: no\"; exit 2'")
    build = stage.run()

    assert stage.ask("explain", build=build) == stage.ask("explain", build=build)
