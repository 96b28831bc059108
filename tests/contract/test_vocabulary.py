"""The words of the build history and of the logs, and the keys of their records."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.api import Api, assert_empty, wait_until

ENDS = {
    "all actions completed": ("actions: ['true', 'true']", "Complete (2/2)", 20),
    "there are no actions": ("", "Complete (0/0)", 20),
    "some completed": ("actions: ['true', 'false', 'true']", "Partially complete (2/3)", 30),
    "the first failed": ("actions: ['false', 'true']", "Partially complete (1/2)", 30),
    "a critical one failed": (
        "actions: ['true', !critical 'false', 'true']",
        "Failed (1/3)",
        40,
    ),
    "a critical one completed": ("actions: [!critical 'true', 'true']", "Complete (2/2)", 20),
    "the first fail stops": (
        "stop_on_first_fail: true\nactions: ['true', 'true', 'false', 'true']",
        "Failed (2/4)",
        40,
    ),
    "none completed": ("actions: ['false', 'exit 7']", "Failed (0/2)", 40),
    "the build's time was over": (
        "timeout: 0.2\nactions: ['true', 'sleep 30', 'true']",
        "Timed out (1/3)",
        40,
    ),
    "a critical one's time was over": (
        "exec_timeout: 0.2\nactions: ['true', !critical 'sleep 30', 'true']",
        "Timed out (1/3)",
        40,
    ),
    "some completed and one's time was over": (
        "exec_timeout: 0.2\nactions: ['true', 'sleep 30', 'true']",
        "Partially complete (2/3)",
        30,
    ),
}
NAMES = {10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR"}


@pytest.mark.parametrize(("config", "message", "level"), ENDS.values(), ids=list(ENDS))
def test_a_build_ends_with_its_status_and_level_when(
    api: Api, make_app: Callable[..., str], config: str, message: str, level: int
) -> None:
    listen_point = make_app(config)
    end = api.build(listen_point)
    assert (end["message"], end["level_number"]) == (message, level)
    assert end["level_name"] == NAMES[level]
    assert end["logger_name"] == f"{listen_point}.build"
    info = api.info(listen_point)
    assert (info["last_build_status"], info["last_build_status_level"]) == (message, level)


def test_a_build_begins_with_triggered_and_the_number_of_actions_at_debug(
    api: Api, make_app: Callable[..., str]
) -> None:
    listen_point = make_app("actions: ['true', 'true', 'true']")
    api.build(listen_point)
    start = api.records("history", listen_point)[-1]
    assert start["message"] == "Triggered, actions in queue: 3"
    assert (start["level_name"], start["level_number"]) == ("DEBUG", 10)
    assert start["logger_name"] == f"{listen_point}.build"


def test_builds_running_and_waiting_are_cancelled_with_their_app(
    api: Api, make_app: Callable[..., str], folder: Path
) -> None:
    begun = folder / "begun"
    listen_point = make_app(f"exec_timeout: 20\nactions: ['true', 'touch {begun}; sleep 20']")
    running, waiting = api.trigger(listen_point), api.trigger(listen_point)
    wait_until(begun.exists, "the build's second action")
    assert_empty(api.call("remove", listen_point=listen_point), 204)
    ends = [api.wait_for_end(listen_point, build) for build in (running, waiting)]
    assert [(end["message"], end["level_number"], end["level_name"]) for end in ends] == [
        ("Cancelled (1/2)", 30, "WARNING"),
        ("Cancelled (0/2)", 30, "WARNING"),
    ]


def test_every_record_of_a_build_carries_its_id(api: Api, make_app: Callable[..., str]) -> None:
    listen_point = make_app("actions: [echo line, 'false', 'echo {missing}']")
    builds = [api.trigger(listen_point) for _ in range(2)]
    api.wait_for_end(listen_point, builds[-1])
    records = api.records("logs", listen_point)
    of_builds = [one for one in records if one["logger_name"] != listen_point]
    assert sorted({one["build"] for one in of_builds}) == builds
    for build in builds:
        names = {one["logger_name"] for one in of_builds if one["build"] == build}
        assert names == {f"{listen_point}.exec", f"{listen_point}.build"}


def test_the_apps_own_records_bear_its_listen_point_as_name(
    api: Api, make_app: Callable[..., str]
) -> None:
    listen_point = make_app()
    records = wait_until(lambda: api.records("logs", listen_point), "the app's first record")
    assert {one["logger_name"] for one in records} == {listen_point}
    assert {one["build"] for one in records} == {None}


def test_each_line_that_an_action_prints_is_one_debug_record_of_exec(
    api: Api, make_app: Callable[..., str]
) -> None:
    listen_point = make_app("actions: [\"printf 'one\\\\ntwo\\\\n\\\\nfour, no end'\"]")
    build = api.build(listen_point)["build"]
    lines = [one for one in reversed(api.records("logs", listen_point)) if "stream" in one]
    assert [one["message"] for one in lines] == ["one", "two", "", "four, no end"]
    for line in lines:
        assert line["logger_name"] == f"{listen_point}.exec"
        assert (line["level_name"], line["level_number"], line["build"]) == ("DEBUG", 10, build)


def test_an_extra_key_tells_stdout_from_stderr(api: Api, make_app: Callable[..., str]) -> None:
    listen_point = make_app("actions: ['echo out', 'echo err >&2']")
    api.build(listen_point)
    lines = [one for one in api.records("logs", listen_point) if "stream" in one]
    assert {one["message"]: one["stream"] for one in lines} == {"out": "stdout", "err": "stderr"}


def test_what_an_action_prints_can_be_followed_while_it_runs(
    api: Api, make_app: Callable[..., str], folder: Path
) -> None:
    go = folder / "go"
    waiting = f"until [ -e {go} ]; do sleep 0.02; done"
    listen_point = make_app(f"exec_timeout: 20\nactions: ['echo early; {waiting}; echo late']")
    build = api.trigger(listen_point)
    wait_until(lambda: api.printed(listen_point), "the first line")
    assert api.printed(listen_point) == ["early"]
    assert api.info(listen_point)["last_build_status"] == "Triggered, actions in queue: 1"
    go.touch()
    api.wait_for_end(listen_point, build)
    assert api.printed(listen_point) == ["early", "late"]


def test_the_records_of_one_build_tell_its_story_in_order(
    api: Api, make_app: Callable[..., str]
) -> None:
    listen_point = make_app("actions: [echo hello, exit 3]")
    api.build(listen_point)
    records = reversed(api.records("logs", listen_point))
    prefix = len(listen_point)
    story = [(one["logger_name"][prefix:], one["level_number"]) for one in records if one["build"]]
    assert story == [
        (".build", 10),  # triggered
        (".exec", 20),  # the first action begins
        (".exec", 10),  # hello
        (".exec", 20),  # it has ended
        (".exec", 20),  # the second begins
        (".exec", 40),  # it has failed
        (".build", 30),  # partially complete
    ]
