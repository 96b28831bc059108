"""What the page about apps says of placeholders and of the ends of builds is so."""

import os
import re
import subprocess
from logging import getLevelName
from pathlib import Path

import pytest

from sloth_ci.builds import BuildStatus
from sloth_ci.config import parse_app
from sloth_ci.errors import ConfigInvalid
from sloth_ci.template import TemplateRefused, compile_template, param_environment
from sloth_ci.validators import ProviderOptions
from tests.docs.pages import find_part, quoted, read_page

PAGE = "docs/app-config.md"
PLACEHOLDERS = find_part(PAGE, "Placeholders")
#: Runs if a value ever becomes shell text.
HOSTILE = "$(touch pwned); `touch pwned`' \""


def code_in(cell: str) -> list[str]:
    """The commands in a cell, in single or double backticks, `|` as it is."""
    found = re.findall(r"``(.+?)``|`([^`]+)`", cell)
    return [(double or single).strip().replace("\\|", "|") for double, single in found]


REFUSED = [text for row in PLACEHOLDERS.table("Refused") for text in code_in(row[0])]
ADVICE = [text for row in PLACEHOLDERS.table("Refused") for text in code_in(row[1]) if "$" in text]
UNTOUCHED = quoted(PLACEHOLDERS.table("You write")[2][1])


@pytest.mark.parametrize("text", REFUSED)
def test_what_the_page_says_is_refused_is_refused(text: str) -> None:
    with pytest.raises(TemplateRefused):
        compile_template(text)


@pytest.mark.parametrize("text", ADVICE)
def test_what_the_page_advises_instead_is_taken(text: str) -> None:
    assert compile_template(f"echo {text}").names


@pytest.mark.parametrize("text", UNTOUCHED)
def test_other_braces_are_the_shells_own(text: str) -> None:
    template = compile_template(text)

    assert (template.shell, template.names) == (text, ())


def test_a_placeholder_in_a_comment_needs_no_value() -> None:
    assert compile_template("make  # {target}").names == ()


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_value_is_printed_and_not_run_whatever_the_quotes(shell: str, tmp_path: Path) -> None:
    environment = {**os.environ, **param_environment({"branch": HOSTILE})}
    examples = [fence.text for fence in PLACEHOLDERS.fences if "'{branch}'" in fence.text]
    lines = [line.removeprefix("  - ") for line in examples[0].splitlines() if "echo" in line]
    printed = [
        subprocess.run(
            [shell, "-c", compile_template(line.replace("echo", "printf %s")).shell],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        ).stdout
        for line in lines
    ]

    assert printed == [HOSTILE] * 3
    assert list(tmp_path.iterdir()) == []


def test_the_table_of_statuses_has_every_status_with_its_level() -> None:
    shown = {
        (quoted(row[0])[0], row[1]) for row in find_part(PAGE, "How a build ends").table("Status")
    }
    sentences = {status: status.describe(completed=1, total=2) for status in BuildStatus}
    expected = {
        (_with_letters(sentence, status), getLevelName(status.level))
        for status, sentence in sentences.items()
    }

    assert shown == expected


def _with_letters(sentence: str, status: BuildStatus) -> str:
    completed = "N" if status is BuildStatus.COMPLETE else "k"
    return sentence.replace("(1/2)", f"({completed}/N)").replace(": 2", ": N")


def test_the_mistake_that_the_page_shows_is_told_in_these_words(tmp_path: Path) -> None:
    (shown,) = (fence.text.strip() for fence in read_page(PAGE)[1].fences if fence.info == "text")
    with pytest.raises(ConfigInvalid) as refused:
        parse_app(
            "listen_point: web\n\nacions: []\n",
            base_dir=tmp_path,
            find_options=lambda _name: ProviderOptions,
        )

    assert refused.value.message == shown
