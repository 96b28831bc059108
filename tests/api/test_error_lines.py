"""The first line that looks like an error: in the outputs of real tools, in `outputs`."""

from pathlib import Path

import pytest

from sloth_ci.api.explain.error_lines import clean, find_error, likeness

OUTPUTS = Path(__file__).parent / "outputs"

WANTED = {
    "bash_not_found": "bash: line 1: nosuchcommand: command not found",
    "cargo": "error[E0425]: cannot find value `y` in this scope",
    "cd_no_dir": "sh: 1: cd: can't cd to /nonexistent",
    "curl": "curl: (7) Failed to connect to 127.0.0.1 port 9 after 0 ms:"
    " Couldn't connect to server",
    "docker_build": "unable to prepare context: unable to evaluate symlinks in Dockerfile path:"
    " lstat /srv/work/c/Dockerfile: no such file or directory",
    "docker_buildkit": '#7 1.741 npm ERR! Tracker "idealTree" already exists',
    "docker_daemon": "Cannot connect to the Docker daemon at unix:///var/run/docker.sock."
    " Is the docker daemon running?",
    "gcc": "main.c:3:33: error: ‘cout’ undeclared (first use in this function)",
    "git_checkout": "error: pathspec 'nosuchbranch' did not match any file(s) known to git",
    "git_clone": "fatal: repository '/nonexistent/repo.git' does not exist",
    "git_conflict": "CONFLICT (add/add): Merge conflict in f",
    "git_push": "error: src refspec main does not match any",
    "javac": "A.java:1: error: cannot find symbol",
    "ld": "link.c:(.text+0x5): undefined reference to `missing'",
    "make": "main.c:3:33: error: ‘cout’ undeclared (first use in this function)",
    "make_no_rule": "make: *** No rule to make target 'deploy'.  Stop.",
    "mvn": "[ERROR] The goal you specified requires a project to execute but there is no POM in"
    " this directory (/srv/work/jv). Please verify you invoked Maven from the correct directory."
    " -> [Help 1]",
    "mypy": "m.py:1: error: Incompatible types in assignment"
    ' (expression has type "str", variable has type "int")  [assignment]',
    "node_module": "Error: Cannot find module 'nosuch'",
    "npm_build": "sh: 1: nosuchtool: not found",
    "npm_ci": "npm error The `npm ci` command can only install with an existing package-lock.json"
    " or",
    "npm_missing_script": 'npm error Missing script: "deploy"',
    "npm_test": "AssertionError [ERR_ASSERTION]: Expected values to be strictly equal:",
    "pip_none": "ERROR: Could not find a version that satisfies the requirement nosuchpackage"
    " (from versions: none)",
    "pip_requirements": "ERROR: Could not open requirements file: [Errno 2] No such file or"
    " directory: '/nonexistent/requirements.txt'",
    "pytest": "E       assert 2 == 3",
    "python_syntax": "SyntaxError: invalid syntax",
    "python_traceback": "json.decoder.JSONDecodeError: Expecting property name enclosed in double"
    " quotes: line 1 column 2 (char 1)",
    "ruff": "invalid-syntax: Expected a parameter or the end of the parameter list",
    "sh_no_file": "cat: /nonexistent/file: No such file or directory",
    "sh_not_found": "sh: 1: nosuchcommand: not found",
    "sh_permission": "sh: 1: ./c/main.c: Permission denied",
    "ssh": "ssh: connect to host 127.0.0.1 port 9: Connection refused",
    "unittest": "FAIL: test_a (ut.T.test_a)",
}


def test_every_output_has_a_wanted_line() -> None:
    assert {file.stem for file in OUTPUTS.glob("*.txt")} == set(WANTED)


@pytest.mark.parametrize("tool", WANTED)
def test_the_error_of_a_real_tool_is_found(tool: str) -> None:
    lines = (OUTPUTS / f"{tool}.txt").read_text().splitlines()

    number = find_error(lines)

    assert number is not None
    assert clean(lines[number]).strip() == WANTED[tool]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "all is well",
        "0 errors, 0 warnings",
        "Ran 12 tests: no failures",
        "warning: unused variable 'error'",
        "compiling error_pages.c",
        "test_error_handling PASSED",
        "errors.py 100%",
        "collected 14 items",
    ],
)
def test_a_harmless_line_is_no_error(line: str) -> None:
    assert find_error([line]) is None


@pytest.mark.parametrize(
    "line",
    [
        "2026-03-01 14:30:00,123 ERROR the database is gone",
        "[2026-03-01T14:30:00Z] FATAL no route",
        "\x1b[31merror: it is red\x1b[0m",
        'Exception in thread "main" java.lang.IllegalStateException: no',
        "Caused by: java.io.IOException: closed",
        "panic: runtime error: index out of range",
        "--- FAIL: TestTotal (0.00s)",
        "not ok 3 - adds up",
        "src/app.ts(3,5): error TS2322: Type 'string' is not assignable",
        "  3:5  error  'x' is not defined  no-undef",
        "  ● adds up › for two prices",
        "Segmentation fault (core dumped)",
        "./deploy.sh: line 3: 4711 Killed                  ./big",
        "tar: write error: No space left on device",
        "requests.exceptions.ConnectionError: no route",
        "KeyboardInterrupt",
    ],
)
def test_lines_that_tell_of_an_error_in_other_ways_are_found(line: str) -> None:
    assert find_error(["all is well", line, "the end"]) == 1


def test_a_certain_error_goes_before_an_earlier_possible_one() -> None:
    assert find_error(["retrying, as the first try failed", "fatal: no such ref"]) == 1


def test_a_possible_error_is_better_than_none() -> None:
    assert find_error(["one", "the upload failed", "three"]) == 1


def test_lines_that_differ_in_numbers_and_hashes_alone_tell_of_the_same_error() -> None:
    one = likeness("error: pid 4711 at 0x7ffe, commit 8f3c2ab, after 3.2 s")
    other = likeness("error: pid 12 at 0xbeef, commit 1234567, after 11.7 s")

    assert one == other != likeness("error: pid 12 at 0xbeef, commit 1234567, before 11.7 s")


def test_escapes_are_taken_out_of_what_is_shown() -> None:
    hostile = "\x1b]8;;http://x\x07link\x1b]8;;\x07 \x1b[1;31mred\x1b[0m \x1b]0;title\x1b\\text"

    assert clean(hostile) == "link red text"


def test_long_hostile_lines_take_no_long_time() -> None:
    """Fails by the test's time limit when a pattern goes back and forth."""
    seeds = ["a.", "A", "sh: 1: ", " ", "1:", "\x1b[", "\x1b]", "E ", "x.y:1:1: ", "Error"]

    assert len([find_error([seed * 60_000] * 20) for seed in seeds]) == len(seeds)
