"""Builds seen and acted on: lists, one build, why it failed, cancel, rerun, pause, preview."""

import json
import re
from collections.abc import Callable

import pytest

from tests.calls import Api, wait_until
from tests.cli.conftest import Done

MakeApp = Callable[..., str]
Typed = Callable[..., Done]
Built = Callable[..., int]
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


def cells(line: str) -> list[str]:
    return re.split(r" {2,}", line.strip())


def test_builds_are_listed_the_newest_first(typed: Typed, app: MakeApp, built: Built) -> None:
    name = app("test {branch} = main")
    green, red = built(name, branch="main"), built(name, branch="dev")

    heads, _rule, first, second = typed("builds", name).out.splitlines()

    assert cells(heads) == ["Build", "App", "Status", "Branch", "Commit", "Queued", "Took"]
    assert cells(first)[:4] == [str(red), name, "Failed (0/1)", "dev"]
    assert cells(second)[:4] == [str(green), name, "Complete (1/1)", "main"]


@pytest.mark.parametrize(
    ("words", "branches"),
    [
        (("--status", "failed"), ["dev"]),
        (("--status", "failed", "complete"), ["dev", "main"]),
        (("--branch", "main"), ["main"]),
        (("--level", "error"), ["dev"]),
        (("-l", "info"), ["dev", "main"]),
        (("--per-page", "1"), ["dev"]),
        (("-f", "2", "-p", "1"), ["main"]),
        (("--since", "1h"), ["dev", "main"]),
        (("--status", "cancelled"), []),
    ],
    ids=" ".join,
)
def test_builds_are_narrowed_by(
    typed: Typed, app: MakeApp, built: Built, words: tuple[str, ...], branches: list[str]
) -> None:
    name = app("test {branch} = main")
    built(name, branch="main")
    built(name, branch="dev")

    found = json.loads(typed("builds", name, *words, "--json").out)

    assert [build["branch"] for build in found] == branches


def test_scripts_that_read_history_of_builds_still_find_it(
    typed: Typed, app: MakeApp, built: Built
) -> None:
    name = app("false")
    built(name)

    [build] = json.loads(typed("builds", name, "-l", "info", "--json").out)
    [record] = json.loads(typed("history", name, "-l", "info", "--json").out)

    del record["id"]
    assert record.items() <= build.items()


def test_no_builds_are_a_sentence(typed: Typed, app: MakeApp) -> None:
    assert typed("builds", app("true")).said == (0, "No builds.\n", "")


def test_more_columns_tell_who_and_why(typed: Typed, app: MakeApp, built: Built) -> None:
    name = app("true")
    built(name)

    heads, _rule, row = typed("builds", name, "-v").out.splitlines()

    assert heads.split()[-3:] == ["Waited", "By", "Reason"]
    assert "sloth (trigger)" in row


def test_a_build_is_shown_with_its_params_and_each_action(
    typed: Typed, app: MakeApp, built: Built
) -> None:
    name = app("echo {who}", "exit 3")
    number = built(name, who="me")

    out = typed("build", str(number)).out

    assert out.startswith(f"Build {number} of {name}: Partially complete (1/2)\n")
    assert re.search(r"^who +me +trigger$", out, re.MULTILINE)
    assert re.search(r"^1 +echo me +completed .* 3 B$", out, re.MULTILINE)
    assert re.search(r"^2 +exit 3 +failed \(Exit code: 3\)", out, re.MULTILINE)
    assert typed("build", name).out == out, "an app's name stands for its newest build"


@pytest.mark.parametrize(("action", "code"), [("true", 0), ("false", 1)])
def test_waiting_for_a_build_ends_with_its_outcome(
    typed: Typed, api: Api, app: MakeApp, action: str, code: int
) -> None:
    number = api.trigger(app(f"sleep 0.2; {action}"))

    done = typed("build", str(number), "-w", "--json")

    assert done.code == code
    assert json.loads(done.out)["finished"]


def test_one_command_tells_why_a_build_failed(typed: Typed, app: MakeApp, built: Built) -> None:
    name = app("echo begin", "test {branch} = main || { echo error:no luck >&2; exit 7; }")
    good, bad = built(name, branch="main"), built(name, branch="dev")

    out = typed("explain", name).out

    assert out.startswith(f"Build {bad} of {name}: Partially complete (1/2)\n")
    assert "Action 2 of 2 failed with exit code 7" in out
    assert "\n> error:no luck\n" in out
    assert f"Since build {good}, the last good one" in out
    assert re.search(r"Param branch: +main -> dev", out)
    assert re.search(r"^Next: .+\n  sci \w+ ", out, re.MULTILINE)


def test_what_an_explanation_advises_can_be_typed(typed: Typed, app: MakeApp, built: Built) -> None:
    bad = built(app("no-such-command-here"))

    order = typed("explain", str(bad)).out.splitlines()[-1].split()

    assert order == ["sci", "rerun", str(bad), "--current"]
    assert typed(*order[1:]).code == 0


def test_an_app_without_builds_has_none_to_explain(typed: Typed, app: MakeApp) -> None:
    name = app("true")

    assert typed("explain", name).said == (1, "", f"sci: The app '{name}' has no builds.\n")


def test_builds_are_cancelled_waiting_or_running(typed: Typed, api: Api, app: MakeApp) -> None:
    name = app("echo begun; sleep 60")
    running, waiting = api.trigger(name), api.trigger(name)
    wait_until(lambda: "begun" in api.logs(name))

    done = typed("cancel", str(waiting), str(running), "999999999")

    assert done.code == 1
    assert done.out.splitlines()[0] == f"Build {waiting} of {name} is cancelled."
    assert done.err.startswith("sci: 999999999: There is no build 999999999")
    assert api.wait_for_build(name, running)["message"] == "Cancelled (0/1)"
    again = typed("cancel", str(running))
    assert again.said == (0, f"Build {running} of {name} is cancelled.\n", "")


def test_cancelling_a_build_that_ended_says_so(typed: Typed, app: MakeApp, built: Built) -> None:
    name = app("true")
    number = built(name)

    sentence = f"Build {number} of {name} had ended before: Complete (1/1).\n"
    assert typed("cancel", str(number)).said == (0, sentence, "")


def test_a_build_is_run_again_as_it_was_or_as_the_app_is_now(
    typed: Typed, api: Api, app: MakeApp, built: Built
) -> None:
    name = app("echo old {who}")
    number = built(name, who="me")
    api(
        "update",
        listen_point=name,
        config_string=f"{{listen_point: {name}, actions: ['echo new {{who}}']}}",
    )

    stored = typed("rerun", str(number), "-w")
    current = typed("rerun", str(number), "--current", "--wait")

    assert (stored.code, current.code) == (0, 0)
    assert stored.out.splitlines()[-3].endswith("  old me")
    assert current.out.splitlines()[-3].endswith("  new me")


def test_a_paused_app_lets_its_builds_wait(typed: Typed, api: Api, app: MakeApp) -> None:
    name = app("true")

    paused = typed("pause", name, "-r", "moving", "--json")
    number = api.trigger(name)

    assert json.loads(paused.out)["paused"]["reason"] == "moving"
    assert f"Paused: {name}" in typed("top").out
    assert json.loads(typed("build", str(number), "--json").out)["status"] == "queued"
    assert typed("resume", name).said == (0, f"{name} is not paused any more.\n", "")
    assert api.wait_for_build(name, number)


def test_a_preview_shows_what_would_run_and_what_is_missing(typed: Typed, app: MakeApp) -> None:
    name = app("!critical echo {who}", "echo {other}", params="{who: you}")

    out = typed("preview", name, "-p", "who=me").out

    assert re.search(r"^who +me +trigger$", out, re.MULTILINE)
    assert re.search(r"^1 +echo me +critical$", out, re.MULTILINE)
    assert re.search(r"^2 +.* +the param 'other' is missing$", out, re.MULTILINE)
    assert typed("builds", name).out == "No builds.\n"
