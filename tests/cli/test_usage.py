"""What is typed wrongly ends with 2, in one line that says what to do instead."""

import re
from pathlib import Path

import pytest

from sloth_ci import __version__
from sloth_ci.cli import main
from tests.cli.conftest import Person

COMMANDS = (
    *("init", "start", "stop", "restart", "status", "stat", "st", "create", "add", "remove", "rm"),
    *("del", "trigger", "run", "fire", "info", "list", "ls", "logs", "lg", "history", "hist"),
    *("builds", "reload", "update", "up", "bind", "version"),
    *("backup", "restore", "doctor", "hash-password", "build", "explain", "cancel", "rerun"),
    *("preview", "pause", "resume", "deliveries", "delivery", "replay", "hook", "top", "stats"),
    *("export", "health", "completion"),
)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("sttus",), "there is no command 'sttus'. Did you mean 'status'?"),
        (("xyzzy",), "there is no command 'xyzzy'. 'sci --help' lists them."),
        (("trigger", "web", "-p", "bad"), "--params takes name=value, not 'bad'"),
        (("trigger", "web", "-p", "=x"), "--params takes name=value, not '=x'"),
        (("trigger", "web", "-p", "a=1", "a=2"), "the param 'a' is given twice"),
        (
            ("trigger", "web", "-p", "action=stop"),
            "'action' belongs to the API and can't be a param",
        ),
        (("logs", "web", "-f", "0"), "--from-page takes a whole number from 1, not '0'"),
        (("history", "web", "-t", "x"), "--to-page takes a whole number from 1, not 'x'"),
        (("logs", "web", "--per-page", "1.5"), "--per-page takes a whole number from 1, not '1.5'"),
        (
            ("logs", "web", "-l", "loud"),
            "--level takes a whole number from 1, or debug, info, warning, error, critical;"
            " not 'loud'",
        ),
        (
            ("logs",),
            "name an app, or say which lines: by --build, --tail, --search, --stream, --since,"
            " --until or --follow (see 'sci logs --help')",
        ),
        (
            ("history",),
            "the following arguments are required: LISTEN_POINT (see 'sci history --help')",
        ),
        (
            ("logs", "web", "--tail", "3", "-p", "2"),
            "pages are for an app's whole log, not for a part of it or --follow",
        ),
        (
            ("logs", "web", "-f", "--search", "x"),
            "--follow goes with a listen point, --build and --level only",
        ),
        (("logs", "--build", "x"), "--build takes a whole number from 1, not 'x'"),
        (("cancel", "1", "0"), "BUILD takes a whole number from 1, not '0'"),
        (("rerun", "web"), "BUILD takes a whole number from 1, not 'web'"),
        (("delivery", "0"), "DELIVERY takes a whole number from 1, not '0'"),
        (("replay", "x"), "DELIVERY takes a whole number from 1, not 'x'"),
        (("hook", "githb", "web"), "there are no samples of 'githb'. Did you mean 'github'?"),
        (
            ("hook", "generic", "web"),
            "what the generic provider sends is the app's own affair: send it with curl",
        ),
        (("hook", "github", "web", "-r", "x"), "--repo takes OWNER/REPO, not 'x'"),
        (
            ("hook", "github", "web", "-b", "x", "-t", "y"),
            "a push is of a --branch or of a --tag, not of both",
        ),
        (
            ("hook", "github", "web", "--commit", "x"),
            "--commit takes 40 hex digits, not 'x'",
        ),
        (("completion", "csh"), "completion is for bash, zsh, fish; not 'csh'"),
        (("top", "-i", "0"), "--interval takes a whole number from 1, not '0'"),
        (("--json", "export", "-f", "csv"), "--json and --format csv want different things"),
        (("create",), "the following arguments are required: FILE (see 'sci create --help')"),
        (("bind", "web"), "the following arguments are required: FILE (see 'sci bind --help')"),
        (("list", "more"), "unrecognized arguments: more (see 'sci --help')"),
        (("init", "one", "two"), "init takes one folder"),
        (("list", "-c"), "the option -c needs a value"),
        (("-c", "none.yml", "list"), "there is no config file 'none.yml'"),
        (
            ("--url", "localhost:8080", "list"),
            "The server's address must be a URL such as http://127.0.0.1:8080, not"
            " 'localhost:8080'.",
        ),
        (
            ("list",),
            "there is no server.yml or sloth.yml in this folder: name the config with -c FILE, the"
            " server with --url URL, or write a config with 'sci init'",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_one_line_says_what_is_wrong_with(
    words: tuple[str, ...],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SLOTH_URL", raising=False)

    assert main(list(words)) == 2
    assert capsys.readouterr() == ("", f"sci: {sentence}\n")


def test_without_a_command_the_help_comes_as_an_error(person: Person) -> None:
    done = person.sci()

    assert (done.code, done.out) == (2, "")
    assert done.err == person.sci("--help").out


def test_the_help_names_every_command_with_its_aliases(person: Person) -> None:
    done = person.sci("-h")

    assert (done.code, done.err) == (0, "")
    for aliases in ("status (stat, st)", "trigger (run, fire)", "history (hist)", "builds  "):
        assert aliases in done.out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_there_for(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert re.match(r"usage: sci [a-z-]+ \[-h\]", capsys.readouterr().out)


@pytest.mark.parametrize("word", ["-v", "--version"])
def test_the_version_needs_no_server(person: Person, word: str) -> None:
    assert person.sci(word).said == (0, f"sci {__version__}\n", "")


@pytest.mark.parametrize(
    "words",
    [
        ("-c", "other.yml", "--json", "list"),
        ("list", "--config", "other.yml", "--json"),
        ("--json", "list", "--config=other.yml"),
    ],
    ids=["before the command", "after it", "on both sides"],
)
def test_global_options_stand(user: Person, words: tuple[str, ...]) -> None:
    (user.folder / "server.yml").rename(user.folder / "other.yml")

    done = user.sci(*words)

    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("[")


def test_after_two_dashes_nothing_is_an_option(user: Person) -> None:
    (user.folder / "--json").write_text("listen_point: [")

    done = user.sci("create", "--", "--json")

    assert done.code == 1
    assert done.err.startswith("sci: --json: ")
