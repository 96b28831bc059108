"""Completion of `sci` lines in shells, written from the table of commands.

Bash: its manual, "Programmable Completion"; zsh: zshcompsys(1); fish: complete(1).
"""

from argparse import Action, ArgumentParser
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from shlex import quote

from sloth_ci.cli.options import WORDS
from sloth_ci.cli.samples import provider_names

#: How a script asks for the listen points: with nobody to type a password.
_APPS = "sci list </dev/null 2>/dev/null"
_WORDS: Mapping[str, tuple[str, ...]] = {**WORDS, "PROVIDER": provider_names()}
_BLANKS = " " * 8


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its forms, how its value is named, '' for none, and the words it may be."""

    forms: tuple[str, ...]
    value: str
    words: tuple[str, ...]
    about: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One command, with its aliases."""

    names: tuple[str, ...]
    about: str
    options: tuple[Option, ...]
    #: How its arguments are named.
    arguments: tuple[str, ...]


def read_entries(parsers: Mapping[str, ArgumentParser]) -> list[Entry]:
    """The commands, from the parsers of all names and aliases."""
    names: dict[int, list[str]] = {}
    for name, parser in parsers.items():
        names.setdefault(id(parser), []).append(name)
    return [
        _read(parser, names.pop(id(parser))) for parser in parsers.values() if id(parser) in names
    ]


def read_options(parser: ArgumentParser) -> tuple[Option, ...]:
    """The options of a parser."""
    return tuple(_read_option(one) for one in parser._actions if one.option_strings)


def write_script(shell: str, entries: Iterable[Entry], common: Iterable[Option]) -> str:
    """The script for that shell; raises KeyError for one that isn't known."""
    return _SCRIPTS[shell](list(entries), list(common))


def _read_option(action: Action) -> Option:
    value = "" if action.nargs == 0 else str(action.metavar or action.dest.upper())
    words = tuple(map(str, action.choices)) if action.choices else _WORDS.get(value, ())
    return Option(tuple(action.option_strings), value, words, action.help or "")


def _read(parser: ArgumentParser, names: list[str]) -> Entry:
    arguments = tuple(
        str(one.metavar or one.dest) for one in parser._actions if not one.option_strings
    )
    about = (parser.description or "").splitlines()[0]
    return Entry(tuple(names), about, read_options(parser), arguments)


def _write_bash(entries: list[Entry], common: list[Option]) -> str:
    return f"""\
# bash completion of sci: eval "$(sci completion bash)"
_sci() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} command= found= i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${{COMP_WORDS[i]}} in
        -c | --config | --url) ((i++)) ;;
        -*) ;;
        *)
            command=${{COMP_WORDS[i]}}
            break
            ;;
        esac
    done
{_write_found(entries, common, files="compopt -o default")}
    COMPREPLY=($(compgen -W "$found" -- "$word"))
}}
complete -F _sci sci sloth-ci
"""


def _write_zsh(entries: list[Entry], common: list[Option]) -> str:
    return f"""\
#compdef sci sloth-ci
# zsh completion of sci: eval "$(sci completion zsh)", after compinit
_sci() {{
    local word=$words[CURRENT] before=$words[CURRENT-1] command= found= i
    for ((i = 2; i < CURRENT; i++)); do
        case $words[i] in
        -c | --config | --url) ((i++)) ;;
        -*) ;;
        *)
            command=$words[i]
            break
            ;;
        esac
    done
{_write_found(entries, common, files="_files")}
    [[ -n $found ]] && compadd -- ${{=found}}
}}
compdef _sci sci sloth-ci
"""


def _write_found(entries: list[Entry], common: list[Option], *, files: str) -> str:
    """Sets `found` to what may stand where the cursor is; alike in bash and zsh, but for files."""
    names = " ".join(name for entry in entries for name in entry.names)
    return f"""\
    case "$command $before" in
{_write_values(entries, common, reply="found={}", files=f"{files}; return")}
    *)
        case $command in
        '') found={quote(names)} ;;
{_write_cases(entries, files=files)}
        esac
        if [[ $word == -* ]]; then
            case $command in
{_write_options(entries)}
            esac
            found+={quote(" " + " ".join(_forms(common)))}
        fi
        ;;
    esac"""


def _write_fish(entries: list[Entry], common: list[Option]) -> str:
    lines = ["# fish completion of sci: sci completion fish | source", "complete -c sci -f"]
    lines += [f"complete -c sci{_fish_option(option)}" for option in common]
    for entry in entries:
        about = quote(entry.about)
        lines += [
            f"complete -c sci -n __fish_use_subcommand -a {name} -d {about}" for name in entry.names
        ]
        seen = quote(f"__fish_seen_subcommand_from {' '.join(entry.names)}")
        lines += [f"complete -c sci -n {seen}{_fish_option(one)}" for one in entry.options]
        for argument in entry.arguments:
            lines += [
                f"complete -c sci -n {seen}{one}"
                for one in _fish_words(argument, _WORDS.get(argument, ()))
            ]
    return "\n".join([*lines, "complete -c sloth-ci -w sci", ""])


def _fish_option(option: Option) -> str:
    forms = "".join(
        f" -l {form[2:]}" if form.startswith("--") else f" -s {form[1:]}" for form in option.forms
    )
    words = "".join(_fish_words(option.value, option.words))
    value = f" -r{words}" if option.value else ""
    return f"{forms}{value} -d {quote(option.about)}"


def _fish_words(value: str, words: tuple[str, ...]) -> Iterator[str]:
    if value == "LISTEN_POINT":
        yield f" -a {quote(f'({_APPS})')}"
    elif value == "FILE":
        yield " -F"
    elif words:
        yield f" -a {quote(' '.join(words))}"


def _write_values(entries: list[Entry], common: list[Option], *, reply: str, files: str) -> str:
    """What completes the value of the option before."""
    lines, without = [], []
    for names, option in (
        *((("*",), option) for option in common),
        *((entry.names, option) for entry in entries for option in entry.options),
    ):
        cases = [_write_case(name, form) for name in names for form in option.forms]
        completed = _complete(option.value, reply, files, words=option.words)
        if completed:
            lines.append(f"    {' | '.join(cases)}) {completed} ;;")
        elif option.value:
            without += cases
    return "\n".join([*lines, f"    {' | '.join(without)}) ;;"])


def _write_case(name: str, form: str) -> str:
    return f"*' {form}'" if name == "*" else f"'{name} {form}'"


def _write_cases(entries: list[Entry], *, files: str) -> str:
    """What completes the arguments of each command."""
    lines = []
    for entry in entries:
        found = [
            one
            for argument in entry.arguments
            if (one := _complete(argument, 'found+=" "{}', files, words=_WORDS.get(argument, ())))
        ]
        if found:
            lines.append(f"{_BLANKS}{' | '.join(entry.names)}) {'; '.join(found)} ;;")
    return "\n".join(lines)


def _write_options(entries: list[Entry]) -> str:
    return "\n".join(
        f"{_BLANKS}    {' | '.join(entry.names)}) found={quote(' '.join(_forms(entry.options)))} ;;"
        for entry in entries
        if entry.options
    )


def _complete(value: str, reply: str, files: str, *, words: tuple[str, ...]) -> str:
    if value == "LISTEN_POINT":
        return reply.format(f"$({_APPS})")
    if value == "FILE":
        return files
    return reply.format(quote(" ".join(words))) if words else ""


def _forms(options: Iterable[Option]) -> Iterator[str]:
    return (form for option in options for form in option.forms)


_SCRIPTS: Mapping[str, Callable[[list[Entry], list[Option]], str]] = {
    "bash": _write_bash,
    "zsh": _write_zsh,
    "fish": _write_fish,
}
