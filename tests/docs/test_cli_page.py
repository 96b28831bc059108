"""The page about `sci` tells every command, alias, option and exit code, and no other."""

import re

import pytest

from sloth_ci import cli
from sloth_ci.cli import commands
from tests.docs.pages import find_part, parts_below, quoted, read_page

PAGE = "docs/cli.md"
ROWS = next(part for part in read_page(PAGE) if part.level == 1).table("Command")
EXPLAINED = {part.names[0]: part for part in parts_below(PAGE, "Commands")}


@pytest.fixture
def help_of(capsys: pytest.CaptureFixture[str]) -> "Help":
    """What `sci` says when asked for help."""
    return Help(capsys)


class Help:
    """The help of `sci` and of its commands."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: str) -> str:
        assert cli.main([*words, "--help"]) == 0
        return self._capsys.readouterr().out

    def commands(self) -> dict[str, list[str]]:
        """The commands with their aliases."""
        lines = re.findall(r"^    ([a-z-]+)(?: \(([^)]+)\))?(?:\s|$)", self(), re.MULTILINE)
        return {name: aliases.split(", ") if aliases else [] for name, aliases in lines}

    def options(self, *words: str) -> set[str]:
        """The options of a command, `--help` aside, each with all its forms."""
        section = self(*words).partition("\noptions:\n")[2].partition("\n\n")[0]
        forms = re.findall(r"^  (-[^ ].*?)(?:  |$)", section, re.MULTILINE)
        return {form for form in forms if form != "-h, --help"}


def option_rows(title: str) -> set[str]:
    part = EXPLAINED.get(title) or find_part(PAGE, title)
    return {", ".join(quoted(row[0])) for row in part.table("Option")}


def test_every_command_is_listed_with_its_aliases_and_there_is_no_other(help_of: Help) -> None:
    shown = {quoted(row[0])[0]: quoted(row[1]) for row in ROWS}

    assert shown == help_of.commands()
    assert list(shown) == list(EXPLAINED)


@pytest.mark.parametrize("command", EXPLAINED)
def test_the_options_of_a_command_are_those_it_takes(command: str, help_of: Help) -> None:
    taken = {re.sub(r" \[[A-Z=]+ \.\.\.\]", " ...", form) for form in help_of.options(command)}

    assert option_rows(command) == taken


def test_the_options_for_every_command_are_those_sci_takes(help_of: Help) -> None:
    shown = option_rows("Options for every command")

    assert shown == help_of.options() | {"-h, --help"}


@pytest.mark.parametrize("command", EXPLAINED)
def test_each_command_has_an_example_of_it(command: str) -> None:
    fences = [fence for fence in EXPLAINED[command].fences if fence.info == "sh"]
    lines = [line for fence in fences for line in fence.text.splitlines()]

    assert lines
    assert all(line.split()[:2] == ["sci", command] for line in lines)


def test_the_exit_codes_are_those_of_the_code() -> None:
    shown = {int(row[0]) for row in find_part(PAGE, "Exit codes").table("Code")}

    assert shown == {
        commands.DONE,
        commands.REFUSED,
        commands.MISUSED,
        commands.NOBODY,
        cli.INTERRUPTED,
        cli.UNREAD,
    }
