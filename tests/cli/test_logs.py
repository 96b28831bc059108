"""Lines of builds: all of one, some of many, and live."""

import json
import re
from collections.abc import Callable

import pytest

from tests.calls import Api, wait_until
from tests.cli.conftest import Done, Person
from tests.conftest import PATIENCE

MakeApp = Callable[..., str]
Typed = Callable[..., Done]
Built = Callable[..., int]
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
RED, RESET = "\x1b[31m", "\x1b[0m"


def messages(out: str) -> list[str]:
    return [line[21:] for line in out.splitlines()]


def test_all_lines_of_a_build_come_in_order(typed: Typed, app: MakeApp, built: Built) -> None:
    number = built(app("seq 2500"))

    lines = messages(typed("logs", "--build", str(number)).out)

    assert lines[2:-2] == [str(one) for one in range(1, 2501)]
    assert lines[-1] == "Complete (1/1)"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("--search", "SEVEN"), ["seven", "seventy"]),
        (("--stream", "stderr"), ["seventy"]),
        (("--tail", "2"), ["Finished", "Complete (1/1)"]),
        (("--level", "info", "--search", "complete"), ["Complete (1/1)"]),
        (("--search", "nothing like it"), []),
    ],
    ids=" ".join,
)
def test_lines_are_found_by(
    typed: Typed, app: MakeApp, built: Built, words: tuple[str, ...], found: list[str]
) -> None:
    number = built(app("echo seven; sleep 0.1; echo seventy >&2"))

    records = typed("--json", "logs", "--build", str(number), *words).out.splitlines()

    texts = [json.loads(record)["message"] for record in records]
    assert [text for text in texts if not text.startswith("Executing")] == found


def test_lines_of_all_apps_tell_whose_they_are(typed: Typed, app: MakeApp, built: Built) -> None:
    name = app("echo a-rare-word-in-logs")
    number = built(name)

    [_command, line] = typed("logs", "--search", "a-rare-word-in-logs").out.splitlines()

    assert re.fullmatch(rf"{TIME}  {name} {number}  a-rare-word-in-logs", line)


@pytest.mark.parametrize(("action", "code"), [("true", 0), ("exit 4", 1)])
def test_following_an_app_ends_with_its_running_build(
    user: Person, api: Api, app: MakeApp, action: str, code: int
) -> None:
    go = user.folder / "go"
    name = app(f"echo begun; while [ ! -e {go} ]; do sleep 0.02; done; {action}")
    number = api.trigger(name)
    wait_until(lambda: "begun" in api.logs(name))

    process = user.begin("logs", name, "-f")
    assert process.stdout
    while not (line := process.stdout.readline()).endswith("  begun\n"):
        assert line, "it ended too early"
    go.touch()
    rest, errors = process.communicate(timeout=PATIENCE)

    assert (process.returncode, errors) == (code, "")
    assert re.search(r"(Complete|Failed) \(\d/1\)\n$", rest)
    assert api.wait_for_build(name, number)


def test_following_an_app_that_is_idle_waits_for_its_next_build(
    user: Person, api: Api, app: MakeApp, built: Built
) -> None:
    name = app("echo {who}")
    built(name, who="before")
    process = user.begin("logs", "-f", name)
    assert process.stderr

    assert process.stderr.readline() == f"sci: no build of {name} runs; waiting for the next one\n"
    api.trigger(name, who="after")
    shown, _errors = process.communicate(timeout=PATIENCE)

    assert process.returncode == 0
    assert "after" in messages(shown)
    assert "before" not in messages(shown)


def test_a_number_behind_the_short_form_is_still_a_page(
    typed: Typed, app: MakeApp, built: Built
) -> None:
    name = app("true")
    built(name)

    second = json.loads(typed("logs", name, "-f", "2", "-p", "1", "--json").out)

    assert [record["message"] for record in second] == ["Finished"]


def test_a_build_that_ended_can_be_followed_as_values_a_line(
    typed: Typed, app: MakeApp, built: Built
) -> None:
    number = built(app("echo hi", "false"))

    done = typed("--json", "logs", "--follow", "--build", str(number), "-l", "info")

    records = [json.loads(line) for line in done.out.splitlines()]
    assert done.code == 1
    assert records[-1]["message"] == "Partially complete (1/2)"
    assert all(record["build"] == number and record["level_number"] >= 20 for record in records)


def test_a_terminal_gets_the_colours_of_output_and_nothing_worse(
    user: Person, app: MakeApp, built: Built
) -> None:
    number = built(app(r"printf '\033[31mred\033[2J\033[8mno\033]0;own\007\n'"))

    shown = user.type_in_terminal("logs", "--build", str(number)).out
    piped = user.sci("logs", "--build", str(number)).out

    assert rf"  {RED}red\x1b[2Jno\x1b]0;own\x07{RESET}" in shown
    assert r"  red\x1b[2Jno\x1b]0;own\x07" + "\n" in piped
