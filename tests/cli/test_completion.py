"""Completion: every command and option is in it, and bash really completes by it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Done, Person
from tests.cli.test_usage import COMMANDS
from tests.conftest import PATIENCE

Typed = Callable[..., Done]
#: Gives what bash would offer behind the words.
ASK = """
eval "$SCRIPT"
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_sci 2>/dev/null
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def offered(user: Person, typed: Typed, tmp_path: Path) -> Callable[..., list[str]]:
    """What bash offers behind `sci ...`, where the last word is the one begun."""
    script = typed("completion", "bash").out
    tools = tmp_path / "tools"
    tools.mkdir()
    sci = tools / "sci"
    sci.write_text(f'#!/bin/sh\nexec {sys.executable} -m sloth_ci "$@"\n')
    sci.chmod(0o755)

    def ask(*words: str) -> list[str]:
        done = subprocess.run(
            ["bash", "-c", ASK, "bash", "sci", *words],
            cwd=user.folder,
            env=user.env(SCRIPT=script, PATH=f"{tools}:{os.environ['PATH']}"),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.stderr == ""
        return done.stdout.split()

    return ask


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_command_and_alias_is_in_the_script_of(shell: str, typed: Typed) -> None:
    words = typed("completion", shell).out.replace("'", " ").split()

    assert set(COMMANDS) <= set(words)
    assert {"dev", "notify"} <= set(words), "those of installed packages, too"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_takes_the_script_of(shell: str, typed: Typed) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")

    done = subprocess.run(
        [shell, "-n"],
        input=typed("completion", shell).out,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("expl",), ["explain"]),
        (("--json", "canc"), ["cancel"]),
        (("-c", "server.yml", "del"), ["del", "deliveries", "delivery"]),
        (("export", "--ki"), ["--kind"]),
        (("export", "--kind", "h"), ["history"]),
        (("builds", "--status", "f"), ["failed"]),
        (("list", "--js"), ["--json"]),
        (("completion", "f"), ["fish"]),
        (("export", "-k", "h"), ["history"]),
        (("dev", "-k", ""), ["extension", "validator", "runner"]),
        (("builds", "-b", ""), []),
        (("hook", "bitb"), ["bitbucket", "bitbucket_server"]),
        (("trigger", "web", "--params", ""), []),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bash_completes(
    offered: Callable[..., list[str]], words: tuple[str, ...], found: list[str]
) -> None:
    assert offered(*words) == found


def test_bash_completes_the_listen_points_of_the_server(
    offered: Callable[..., list[str]], app: Callable[..., str]
) -> None:
    name = app("true")

    assert offered("trigger", name[:-2]) == [name]
