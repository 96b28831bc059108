"""What reaches a terminal: colours for those who want them, and nobody's text raw."""

import os
import re
import subprocess
from collections.abc import Callable

import pytest

from tests.calls import Api
from tests.cli.conftest import SCI, Person
from tests.conftest import PATIENCE

MakeApp = Callable[..., str]
GREEN, YELLOW, RED, CYAN, RESET = "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[36m", "\x1b[0m"
#: What no terminal may get: escapes, bells, line breaks of others, and changes of direction.
HOSTILE = r"\x1b]0;owned\x07 \x1b[2J \x1b[1;31mred\x1b[0m \x08 \xe2\x80\xae rtl \xc2\x9b2J"


def built(api: Api, name: str, **params: str) -> str:
    api.wait_for_build(name, api.trigger(name, **params))
    return name


def test_a_terminal_gets_colours_by_level(user: Person, api: Api, app: MakeApp) -> None:
    partly = built(api, app("true", "false"))
    fully = built(api, app("true"))

    history = user.type_in_terminal("history", partly).out
    assert f"{YELLOW}Partially complete (1/2){RESET}" in history
    assert f"{CYAN}Triggered, actions in queue: 2{RESET}" in history
    logs = user.type_in_terminal("logs", partly).out
    assert f"{RED}ERROR{RESET}" in logs
    assert f"{GREEN}INFO{RESET}" in logs
    assert f"{GREEN}Complete (1/1){RESET}" in user.type_in_terminal("info", fully).out


def test_colours_do_not_move_the_columns(user: Person, api: Api, app: MakeApp) -> None:
    name = built(api, app("true", "false"))

    coloured = user.type_in_terminal("history", name).out
    plain = user.sci("history", name).out

    assert re.sub(r"\x1b\[\d+m", "", coloured) == plain


@pytest.mark.parametrize(
    "env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["NO_COLOR", "a dumb terminal"]
)
def test_colours_are_switched_off_by(
    user: Person, api: Api, app: MakeApp, env: dict[str, str]
) -> None:
    name = built(api, app("true"))

    assert "\x1b" not in user.type_in_terminal("history", name, env=env).out


def test_a_pipe_gets_no_colours(user: Person, api: Api, app: MakeApp) -> None:
    name = built(api, app("true", "false"))

    for words in (("logs", name), ("history", name), ("info", name), ("trigger", name, "-w")):
        assert "\x1b" not in user.sci(*words).out


@pytest.mark.parametrize("words", [("logs", "-l", "debug"), ("trigger", "-w")], ids=["logs", "-w"])
def test_what_an_action_prints_can_do_nothing_to_a_terminal(
    user: Person, api: Api, app: MakeApp, words: tuple[str, ...]
) -> None:
    octal = re.sub(r"\\x(..)", lambda code: rf"\{int(code[1], 16):03o}", HOSTILE)
    name = built(api, app(rf"printf '{octal}\n'"))

    done = user.type_in_terminal(words[0], name, *words[1:], env={"NO_COLOR": "1"})

    assert re.findall(r"[^\x20-\x7e\n]", done.out) == []
    assert r"\x1b]0;owned\x07 \x1b[2J red \x08 \u202e rtl \x9b2J" in done.out


def test_what_a_payload_says_can_do_nothing_to_a_terminal(
    user: Person, api: Api, app: MakeApp
) -> None:
    name = built(api, app("echo {who}"), who="\x1b[2J\u2066me")

    done = user.type_in_terminal("logs", name, env={"NO_COLOR": "1"})

    assert "\x1b" not in done.out
    assert r"Executing action: echo \x1b[2J\u2066me" in done.out


def test_what_a_person_typed_comes_back_harmless_in_an_error(user: Person) -> None:
    done = user.type_in_terminal("logs", "\x1b]0;owned\x07")

    assert done.code == 1
    assert re.findall(r"[^\x20-\x7e\n]", done.out) == []


def test_indentation_is_kept_and_numbers_stay_as_they_are(
    user: Person, api: Api, app: MakeApp
) -> None:
    name = built(api, app(r"printf '    1e5\n\tx\n007\n'"))

    lines = user.sci("logs", name, "-l", "debug", "--per-page", "20").out

    assert re.search(r"^.{19}      1e5 ", lines, re.MULTILINE)
    assert re.search(r"^.{19}      x ", lines, re.MULTILINE)
    assert re.search(r"^.{19}  007 ", lines, re.MULTILINE)


def test_an_empty_table_is_a_sentence(user: Person, app: MakeApp) -> None:
    assert user.sci("history", app("true")).said == (0, "No records.\n", "")


def test_a_reader_that_leaves_ends_it_quietly(user: Person, api: Api, app: MakeApp) -> None:
    name = built(api, app("seq 5000"))
    reading, writing = os.pipe()
    os.close(reading)

    done = subprocess.run(
        [*SCI, "logs", name, "-l", "debug", "-p", "5000"],
        cwd=user.folder,
        env=user.env(),
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=PATIENCE,
    )
    os.close(writing)

    assert (done.returncode, done.stderr) == (141, b"")


def test_an_ascii_terminal_gets_every_character_it_can_show(
    user: Person, api: Api, app: MakeApp
) -> None:
    name = built(api, app("echo ünï"))

    done = user.sci("logs", name, "-l", "debug", env={"PYTHONIOENCODING": "ascii"})

    assert done.code == 0
    assert r"\xfcn\xef" in done.out
