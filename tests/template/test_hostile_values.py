"""Hostile values through real shells: nothing of them runs, and every byte arrives."""

# ruff: noqa: E501 (tables of texts)

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sloth_ci.template import TemplateRefused, check_value, compile_template, param_environment
from tests.template.hostile import POLYGLOTS, SHELLS, VALUES
from tests.template.test_accepted import ACCEPTED, lines

MARKER = "M"

#: Each prints the value of {x} and a NUL, in another context.
FORMS = {
    "bare": "printf '%s\\0' {x}",
    "in double quotes": "printf '%s\\0' \"{x}\"",
    "in single quotes": "printf '%s\\0' '{x}'",
    "in a format's place": "printf '%s%s\\0' '' {x}",
    "in a substitution's double quotes": 'V="$(printf \'%s.\' "{x}")"; printf \'%s\\0\' "${V%.}"',
    "in a substitution's single quotes": "V=$(printf '%s.' '{x}'); printf '%s\\0' \"${V%.}\"",
    "in a nested substitution": "V=$(printf '%s' \"$(printf '%s.' {x})\"); printf '%s\\0' \"${V%.}\"",
    "in an assignment": "V={x}; printf '%s\\0' \"$V\"",
    "in a quoted assignment": "V='{x}'; printf '%s\\0' \"$V\"",
    "in an exported assignment": "export V={x}; printf '%s\\0' \"$V\"",
    "in a command's environment": 'V={x} sh -c \'printf "%s\\0" "$V"\'',
    "in env's assignment": 'env V={x} sh -c \'printf "%s\\0" "$V"\'',
    "in a shell's argument": 'sh -c \'printf "%s\\0" "$1"\' -- {x}',
    "in a here-document": "head -c -1 <<HERE\n{x}\nHERE\nprintf '\\0'",
    "in a here-document with tabs": "head -c -1 <<-HERE\n{x}\n\tHERE\nprintf '\\0'",
    "in a loop's items": "for V in {x}; do printf '%s\\0' \"$V\"; done",
    "in a case's subject": "case {x} in *) printf '%s\\0' {x};; esac",
    "in a case's pattern": 'V={x}; case "$V" in {x}) printf \'%s\\0\' "$V";; esac',
    "in a test": 'V={x}; [ "$V" = {x} ] && printf \'%s\\0\' "$V"',
    "in a test's double quotes": "if [ \"a{x}\" != a ]; then :; fi; printf '%s\\0' {x}",
    "in a function's argument": "f() { printf '%s\\0' \"$1\"; }; f {x}",
    "in a function's body": "f() { printf '%s\\0' {x}; }; f",
    "in a subshell": "(printf '%s\\0' {x})",
    "in a group": "{ printf '%s\\0' {x}; }",
    "in a pipeline": "printf '%s\\0' {x} | cat",
    "through a reading loop's variable": "printf '%s\\0' {x} | { cat; }",
    "after a line continuation": "printf '%s\\0' \\\n  {x}",
    "after a comment": "# it's {y} `\nprintf '%s\\0' {x} # \"",
    "as two parts of a word": "V={x}'{x}'; printf '%s\\0' {x}; [ \"$V\" = \"{x}{x}\" ]",
    "after a backslash": 'V="\\{x}"; printf \'%s\\0\' "${V#?}"',
    "beside other braces": "printf '%s\\0' {x} | awk '{print $0}' RS='\\0' ORS='\\0' >/dev/null; "
    "printf '%s\\0' {x} ${NOTHING}",
}


def run(shell: str, text: str, *, folder: Path, environment: dict[str, str]) -> bytes:
    path = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [shell, "-c", text],
        env=path | environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
    )
    return done.stdout


def test_the_corpus_is_large():
    assert len(VALUES) >= 200
    for value in VALUES:
        check_value("x", value)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("value", POLYGLOTS)
def test_the_marker_appears_when_a_value_runs(shell, value, tmp_path):
    text = f"echo $(( {value} ))" if value.startswith("a[") else f"echo {value}"
    if value.startswith("a[") and shell == "/bin/sh":
        text = f"echo {value}"
    run(shell, text, folder=tmp_path, environment={})
    assert (tmp_path / MARKER).exists()


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_every_value_arrives_byte_for_byte_and_none_runs(form, shell, tmp_path):
    (tmp_path / "a file").touch()
    params = {f"x{number}": value for number, value in enumerate(VALUES)}
    script = "\n".join(form.replace("{x}", f"{{{name}}}") for name in params)
    template = compile_template(script)
    assert template.names == tuple(params)
    file = tmp_path / "script"
    file.write_text(template.shell)
    output = run(shell, ". ./script", folder=tmp_path, environment=param_environment(params))
    received = output.split(b"\0")[:-1]
    assert received == [value.encode() for value in VALUES]
    assert {path.name for path in tmp_path.iterdir()} == {"a file", "script"}


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with harmless stand-ins for what the ordinary commands run."""
    folder = tmp_path_factory.mktemp("commands")
    stand_in = folder / "stand-in"
    stand_in.write_text("#!/bin/sh\nexit 0\n")
    stand_in.chmod(0o755)
    texts = " ".join(lines(ACCEPTED)).replace("{", " ").replace("(", " ").split()
    for name in {text for text in texts if text.isalnum() and text not in SHELLS}:
        real = shutil.which(name) if name in ("sh", "bash", "cat", "sleep") else None
        (folder / name).symlink_to(real or stand_in)
    return folder


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("value", POLYGLOTS)
def test_no_ordinary_command_runs_a_value(shell, value, commands, tmp_path):
    environment = param_environment({"x": value}) | {"PATH": str(commands)}
    for number, text in enumerate(lines(ACCEPTED)):
        scratch = tmp_path / str(number)
        scratch.mkdir()
        shell_path = shutil.which(shell) or shell
        template = compile_template(text)
        run(shell_path, template.shell, folder=scratch, environment=environment)
        # A text like `exec > {x}` writes a file of that name; it runs nothing.
        named = ">" in text and value in (MARKER, f">{MARKER}")
        assert named or not (scratch / MARKER).exists(), text


_WORDS = st.sampled_from(
    ["{x}", '"{x}"', "'{x}'", "a{x}", '"$(echo {x})"', "$(echo {x})", "$V", '"$V"', '"$1"', '"$@"',
     "a", "-c", "-e", "-i", "-n", "--", "-", "$((1))", "$((V))", "${V:-a}", "`echo {x}`", "$'{x}'",
     "V={x}", "{a,{x}}", "{sh,-c}", "\\{x}", "<(echo {x})", "'echo {x}'", "'eval \"$V\"'", "$((V+1))",
     "${V@P}", "${!V}", "a[{x}]=1", "a[V]=1", "'$1'", '"sh -c {x}"', "% {x}", "-I%", "\"'\"", "'\"'"]
)  # fmt: skip
_COMMAND = st.builds(
    lambda name, words, redirection: " ".join([name, *words, redirection]).strip(),
    st.sampled_from(
        ["echo", "printf %s", "printf", "eval", "sh", "bash", "sh -c", "bash -c", "env", "env A=b",
         "command", "exec", "xargs", "xargs -I% sh -c", "V={x}", "V=a", "export V={x}", "declare -i V",
         "read V", "test", "[ -v", "[[ -v", "[[ 1 -eq", "let", "unset", "trap", ".", "awk", "sed -n",
         "perl -e", "nice", "timeout 5", "set --", "f", "cat", "cat;", "builtin", "local", "sh -s",
         "V=$(cat);", "case {x} in a)", "f() {", "if", "(", "{", "!", "((", "readonly V={x};", "nohup",
         "find . -exec", "mapfile", "printf -v", "time", "busybox", "alias a={x};", "bash -ec"]
    ),
    st.lists(_WORDS, max_size=4),
    st.sampled_from(["", "", "", "<<E\n{x}\nE\n", "<<'E'\n$V\nE\n", "<<< {x}", "]", "]]", "))", ";}",
                     ";)", ";; esac", "; then echo; fi", "2>&1", "> f", "# {x}"]),
)  # fmt: skip
_TEXTS = st.builds(
    lambda start, commands, glue: start + glue.join(commands),
    st.sampled_from(["", "", "V={x}; ", "f() { eval \"$1\"; }; ", "f() { sh; }; ", "set -- {x}; "]),
    st.lists(_COMMAND, min_size=1, max_size=3),
    st.sampled_from([" | ", "; ", " && ", "\n", " || ", " | cat | ", " |& "]),
)  # fmt: skip


@settings(
    max_examples=int(os.environ.get("SLOTH_FUZZ", "60")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(text=_TEXTS)
def test_any_text_is_refused_or_runs_no_value(text, tmp_path):
    try:
        template = compile_template(text)
    except TemplateRefused:
        return
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    for shell in SHELLS:
        for value in POLYGLOTS:
            run(shell, template.shell, folder=folder, environment=param_environment({"x": value}))
            assert not (folder / MARKER).exists(), (shell, value, template.shell)
