"""The words of a command line: what cliar makes of them, and what it leaves to us.

cliar 1.3 builds an argument of each parameter of a method. It knows no positional that may be left
out and no option that may be repeated, its commands come in alphabetical order under one heading,
and its errors take several lines; `CommandLine` adds these four.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from inspect import getdoc, signature
from types import SimpleNamespace
from typing import Any, TypeVar

from cliar import Cliar, add_aliases, ignore, set_help, set_metavars, set_name, set_sharg_map

from sloth_ci.cli.options import SHOWN
from sloth_ci.command import Command, Terminal, command_names, find_command
from sloth_ci.records import LEVEL_NAMES
from sloth_ci.source import suggest

Handler = TypeVar("Handler", bound=Callable[..., None])

#: The heading of commands that installed packages bring.
_FURTHER = "From extensions"
#: Options that may stand anywhere in the line.
_GLOBAL_VALUES = {"-c": "--config", "--config": "--config", "--url": "--url"}
_GLOBAL_FLAGS = frozenset({"--json"})


class WrongUsage(Exception):
    """The command line can't be understood; the text says why and what to do."""


class LeftOut(list[str]):
    """The default of a positional list that may be empty."""


class LeftOutWord(str):
    """The default of a positional that may be left out."""

    __slots__ = ()


#: What a positional is that was left out.
NO_WORD: str = LeftOutWord()
#: Defaults of lists, never written to: of a positional one, and of an option's.
LEFT_OUT: list[str] = LeftOut()
NO_WORDS: list[str] = []


def command(
    *aliases: str,
    name: str = "",
    short: str = "",
    about: Mapping[str, str] | None = None,
    shown: Mapping[str, str] | None = None,
) -> Callable[[Handler], Handler]:
    """Make a method a command.

    `short` has the letters of short forms, each for the first option that begins with it; `about`
    says what each parameter is, `shown` how its value is named where `options.SHOWN` doesn't fit.
    """

    def mark(handler: Handler) -> Handler:
        add_aliases(list(aliases))(handler)
        set_help(about or {})(handler)
        set_metavars({**SHOWN, **(shown or {})})(handler)
        set_sharg_map(_shorten(handler, short))(handler)
        return set_name(name)(handler) if name else handler

    return mark


class CommandLine(Cliar):  # type: ignore[misc]  # cliar has no types
    """A cliar command line; see the module's text for what is different.

    Its commands are the methods of its parents, each of which has a `theme` for the help.
    """

    theme = "Others"

    def __init__(self, words: Iterable[str]) -> None:
        self._options_first = split_globals(words)
        self._themes: dict[str, str] = {}
        sys.argv = ["sci"]  # the one place where cliar looks for its name and its words
        super().__init__()
        self._parser.description = getdoc(self)
        self._command_parsers.metavar = "COMMAND"
        self._parser.format_help = self._write_help
        for parser in (self._parser, *self._command_parsers.choices.values()):
            parser.error = _complain_about(parser)

    @ignore  # type: ignore[untyped-decorator]  # cliar has no types
    def parse(self) -> None:
        """Run the command that the words ask for.

        Raises WrongUsage, and what the command raises.
        """
        options, rest = self._options_first
        if not rest or rest[0] in ("-h", "--help"):
            self._add_all_further()
        elif not rest[0].startswith("-") and rest[0] not in self._commands:
            known = [*self._commands, *command_names()]
            if rest[0] not in known:
                hint = suggest(rest[0], known) or " 'sci --help' lists them."
                raise WrongUsage(f"there is no command '{rest[0]}'.{hint}")
            self._add_further(rest[0])
        sys.argv = ["sci", *options, *rest]
        super().parse()

    def _run_further(self, command: Command, **given: Any) -> None:
        """Run a command of an installed package."""
        raise NotImplementedError

    def _add_all_further(self) -> None:
        for name in command_names():
            self._add_further(name)

    def _add_further(self, name: str) -> None:
        """Make a command of an installed package one of ours, as cliar makes those of a class."""
        try:
            command = find_command(name)
        except LookupError as error:
            reason = str(error.args[0])
            command = Command(reason, partial(_refuse, reason))
        parser = self._command_parsers.add_parser(
            name, help=command.about.replace("%", "%%"), description=command.about
        )
        command.declare(parser)
        parser.error = _complain_about(parser)
        taken = [action.dest for action in parser._actions if action.dest != "help"]
        parser.set_defaults(
            _command=SimpleNamespace(
                args=taken,
                arg_map={name: name for name in taken},
                handler=partial(self._run_further, command),
            )
        )

    def _get_handlers(self) -> list[Callable[..., None]]:
        handlers: Iterable[Any] = super()._get_handlers()
        parents = list(type(self).__mro__)

        def place(handler: Any) -> tuple[int, int]:
            parent = next(one for one in parents if handler.__name__ in vars(one))
            self._themes[_name_of(handler)] = parent.__dict__.get("theme", self.theme)
            return parents.index(parent), handler.__func__.__code__.co_firstlineno

        return sorted(handlers, key=place)

    def _write_help(self) -> str:
        """The help with a heading for each theme."""
        parser = self._parser
        form = parser._get_formatter()
        form.add_usage(parser.usage, parser._actions, parser._mutually_exclusive_groups)
        form.add_text(parser.description)
        form.start_section("options")
        form.add_arguments([one for one in parser._actions if one.option_strings])
        form.end_section()
        head: str = form.format_help()
        return head + "".join(self._write_themes())

    def _write_themes(self) -> Iterator[str]:
        rows: dict[str, list[tuple[str, str]]] = {}
        for choice in self._command_parsers._choices_actions:
            name = choice.dest
            theme = self._themes.get(name, _FURTHER)
            rows.setdefault(theme, []).append((choice.metavar, choice.help % {}))
        width = max(len(name) for theme in rows.values() for name, _ in theme)
        for theme, commands in rows.items():
            lines = [f"    {name:<{width}}  {about}\n" for name, about in commands]
            yield f"\n{theme}:\n" + "".join(lines)

    @staticmethod
    def _register_arg(command_parser: ArgumentParser, arg_name: str, arg: Any) -> None:
        if isinstance(arg.default, LeftOut):
            command_parser.add_argument(
                arg_name, nargs="*", default=[], metavar=arg.metavar, help=arg.help
            )
        elif isinstance(arg.default, LeftOutWord):
            command_parser.add_argument(
                arg_name, nargs="?", default="", metavar=arg.metavar, help=arg.help
            )
        elif arg.nargs and arg.default is not None:
            command_parser.add_argument(
                *([f"-{arg.short_name}"] if arg.short_name else []),
                f"--{arg_name}",
                dest=arg_name,
                action="extend",
                nargs="+",
                default=[],
                metavar=arg.metavar,
                help=arg.help,
            )
        else:
            Cliar._register_arg(command_parser, arg_name, arg)


def split_globals(words: Iterable[str]) -> tuple[list[str], list[str]]:
    """The global options, wherever they stand, and all the other words.

    Raises WrongUsage when one of them lacks its value.
    """
    options: list[str] = []
    rest: list[str] = []
    coming = iter(words)
    for word in coming:
        name, equals, value = word.partition("=")
        if word == "--":
            rest += [word, *coming]
        elif word in _GLOBAL_FLAGS:
            options.append(word)
        elif word in _GLOBAL_VALUES:
            given = next(coming, "")
            if not given:
                raise WrongUsage(f"the option {word} needs a value")
            options.append(f"{_GLOBAL_VALUES[word]}={given}")
        elif equals and value and name in ("--config", "--url"):
            options.append(word)
        else:
            rest.append(word)
    return options, rest


def read_params(words: Iterable[str]) -> dict[str, str]:
    """Params of a build from words like `name=value`; the value may hold further `=`.

    Raises WrongUsage.
    """
    params: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name or not equals:
            raise WrongUsage(f"--params takes name=value, not '{word}'")
        if name in params:
            raise WrongUsage(f"the param '{name}' is given twice")
        if name in ("action", "listen_point"):
            raise WrongUsage(f"'{name}' belongs to the API and can't be a param")
        params[name] = value
    return params


def read_level(text: str) -> int | None:
    """A level by its number or its name; None for ''.

    Raises WrongUsage.
    """
    if not text:
        return None
    numbers = {name: number for number, name in LEVEL_NAMES.items()}
    number = numbers.get(text.upper()) or _whole_number(text)
    if number is None:
        known = ", ".join(name.lower() for name in numbers)
        raise WrongUsage(f"--level takes a whole number from 1, or {known}; not '{text}'")
    return number


def read_pages(*, from_page: str, to_page: str, per_page: str) -> dict[str, int | None]:
    """The API's page parameters; those that are '' are left to the server, which has defaults.

    Raises WrongUsage.
    """
    given = {"from_page": from_page, "to_page": to_page, "per_page": per_page}
    return {
        name: read_number(text, name=f"--{name.replace('_', '-')}") for name, text in given.items()
    }


def read_number(text: str, *, name: str) -> int | None:
    """A whole number from 1; None for ''.

    Raises WrongUsage.
    """
    number = _whole_number(text)
    if text and number is None:
        raise WrongUsage(f"{name} takes a whole number from 1, not '{text}'")
    return number


def _name_of(handler: Callable[..., None]) -> str:
    named: str = getattr(handler, "_command_name", handler.__name__.replace("_", "-"))
    return named


def _shorten(handler: Callable[..., None], letters: str) -> dict[str, str]:
    """The short form of each parameter, '' for none."""
    forms: dict[str, str] = {}
    for name, parameter in signature(handler).parameters.items():
        is_option = not isinstance(parameter.default, LeftOut | LeftOutWord)
        is_option &= parameter.default is not parameter.empty
        is_free = name[0] in letters and name[0] not in forms.values()
        forms[name] = name[0] if is_option and is_free else ""
    return forms


def _whole_number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and int(text) > 0 else None


def _refuse(reason: str, _given: Mapping[str, Any], _terminal: Terminal) -> int:
    raise WrongUsage(reason)


def _complain_about(parser: ArgumentParser) -> Callable[[str], None]:
    def complain(message: str) -> None:
        raise WrongUsage(f"{message} (see '{parser.prog} --help')")

    return complain
