"""{placeholders} of an action's text -> shell text and environment.

`{identifier}` (ASCII letters, digits and `_`, no digit first) is a placeholder. `{{identifier}}` is
a literal `{identifier}`. Every other brace is the shell's own and passes byte for byte: `${HOME}`,
`awk '{print $1}'`, `{a,b}`, `find -exec … {}`, `{{.Names}}`, `\\{x}`. So does a text without
placeholders, and a comment.

A value never becomes shell text. It travels in the environment as `SLOTH_PARAM_<name>`, and the
placeholder becomes a reference that fits the quotes around it, so that the three print the same
bytes: `echo {x}`, `echo "{x}"`, `echo '{x}'`. It is one word always, never split, never a pattern.

| stands                   | becomes                  |
|--------------------------|--------------------------|
| bare, in `$(…)`          | `"${SLOTH_PARAM_x}"`     |
| in double quotes         | `${SLOTH_PARAM_x}`       |
| in single quotes         | `'"${SLOTH_PARAM_x}"'`   |
| in a here-document       | `${SLOTH_PARAM_x}`       |

A value never chooses what runs. A placeholder is refused, with the reason and what to write:

- as a command's name, also after `sudo`, `env A=b`, `timeout 5`, `xargs`, `find -exec`, `then`, …;
- in a program: `sh -c`, `eval`, `ssh`, `python -c`, `awk`, `sed`, `psql -c`, …; arguments of a
  script are fine: `bash deploy.sh {x}`, `sh -c 'echo "$1"' -- {x}`;
- in what an interpreter reads as its program: `echo {x} | sh`, `bash <<EOF`;
- where a shell evaluates: arithmetic, array indexes, `[[ … -eq … ]]`, `declare -i`, `printf -v`,
  names of variables, `PATH=` and other variables that decide what runs;
- where shells differ: backticks, `$'…'`, `${x:-…}`, a quoted here-document, an open quote.

Values are followed through variables, functions, loops and pipes of the same text; not through
files, other actions, or what a script does with its arguments. A value that starts with `-` is an
option to most programs: write `--` before it where the program knows that.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sloth_ci.template.commands import CommandReader
from sloth_ci.template.flow import check_commands
from sloth_ci.template.parts import (
    IDENTIFIER,
    PLACEHOLDER,
    PREFIX,
    TemplateRefused,
    Unreadable,
)

__all__ = [
    "PREFIX",
    "Template",
    "TemplateRefused",
    "check_value",
    "compile_template",
    "param_environment",
]

#: What the kernel takes for one string of the environment, its end included.
MAX_STRING = 128 * 1024

_NAME = re.compile(IDENTIFIER)
_DOUBLED = re.compile(r"\{\{(" + IDENTIFIER + r")\}\}")
_BRACED = re.compile(r"\{\{(" + IDENTIFIER + r")\}\}|\{(" + IDENTIFIER + r")\}")
_CANDIDATE = re.compile(r"(?:(?<![$])|(?<=[$\\]\$))\{" + IDENTIFIER + r"\}")


@dataclass(frozen=True, slots=True)
class Template:
    """The text of one action, ready to run with any params."""

    #: As the user wrote it.
    text: str
    #: What the shell gets; constant, as values travel in the environment.
    shell: str
    #: The placeholders, each once, in order of appearance.
    names: tuple[str, ...]

    def missing(self, params: Mapping[str, str]) -> str | None:
        """The first placeholder without a value; None when all have one."""
        return next((name for name in self.names if name not in params), None)

    def fill(self, params: Mapping[str, str]) -> str:
        """The text with values in place of placeholders: for a reader, never for a shell.

        `{{x}}` becomes `{x}`; a `{x}` that is no placeholder, or has no value, stays.
        """
        known = {name: params[name] for name in self.names if name in params}

        def shown(found: re.Match[str]) -> str:
            if found[1]:
                return f"{{{found[1]}}}"
            if self.text[found.start() - 1 : found.start()] == "$":
                return found[0]
            return known.get(found[2], found[0])

        return _BRACED.sub(shown, self.text)


def compile_template(text: str) -> Template:
    """The action's text as shell text that refers to values and never contains one.

    A text without placeholders is taken as it is. Raises TemplateRefused when a placeholder
    stands where its value could choose what runs, or where the text can't be read.
    """
    if "\0" in text:
        raise TemplateRefused("The action has a NUL character, which no shell takes; remove it.")
    marked = _DOUBLED.sub("{\0\\1}", text)
    if not _CANDIDATE.search(marked):
        return Template(text=text, shell=marked.replace("\0", ""), names=())
    reader = CommandReader(marked)
    try:
        pipelines = reader.read()
    except Unreadable as error:
        first = next(iter(reader.names), None) or _rest(marked, reader.pos)
        if first is None:
            return Template(text=text, shell=marked.replace("\0", ""), names=())
        raise TemplateRefused(
            f"The action has the placeholder {{{first}}}, but can't be read as shell text: {error}."
        ) from error
    if reader.names:
        check_commands(pipelines)
    shell = "".join(reader.out).replace("\0", "")
    return Template(text=text, shell=shell, names=tuple(reader.names))


def param_environment(params: Mapping[str, str]) -> dict[str, str]:
    """The environment that carries the values: `{"SLOTH_PARAM_branch": "main"}`."""
    return {f"{PREFIX}{name}": value for name, value in params.items()}


def check_value(name: str, value: str) -> None:
    """Raise TemplateRefused when a value can't travel in the environment under that name."""
    if not _NAME.fullmatch(name):
        raise TemplateRefused(
            f"The param's name {name!r} can't be used: a name has letters a-z, digits and _, "
            "and starts with no digit."
        )
    if "\0" in value:
        raise TemplateRefused(f"The value of '{name}' has a NUL character, which no command takes.")
    try:
        size = len(f"{PREFIX}{name}={value}".encode()) + 1
    except UnicodeEncodeError as error:
        raise TemplateRefused(
            f"The value of '{name}' has half of a surrogate pair, which is no text in UTF-8."
        ) from error
    if size > MAX_STRING:
        spare = MAX_STRING - len(f"{PREFIX}{name}=") - 1
        raise TemplateRefused(
            f"The value of '{name}' is too long: it has {len(value.encode())} bytes, and a command "
            f"takes at most {spare}."
        )


def _rest(marked: str, pos: int) -> str | None:
    found = PLACEHOLDER.search(marked, pos)
    return found[1] if found else None
