"""The words of a command line: what cliar makes of them, and what it leaves to us.

cliar 1.3 builds an argument of each parameter of a method. It knows no positional that may be left
out and no option that may be repeated, its commands come in alphabetical order, and its errors take
several lines; `CommandLine` adds these four.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Mapping
from inspect import getdoc, signature
from typing import Any, TypeVar

from cliar import Cliar, add_aliases, ignore, set_help, set_metavars, set_name, set_sharg_map

from sloth_ci.records import LEVEL_NAMES
from sloth_ci.source import suggest

Handler = TypeVar("Handler", bound=Callable[..., None])

#: Options that may stand anywhere in the line.
_GLOBAL_VALUES = {"-c": "--config", "--config": "--config", "--url": "--url"}
_GLOBAL_FLAGS = frozenset({"--json"})


class WrongUsage(Exception):
    """The command line can't be understood; the text says why and what to do."""


class LeftOut(list[str]):
    """The default of a positional list that may be empty."""


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

    `short` has the first letters of those options that have a short form; `about` says what each
    parameter is, `shown` how its value is named in the help.
    """

    def mark(handler: Handler) -> Handler:
        names = [one for one in signature(handler).parameters if one != "self"]
        add_aliases(list(aliases))(handler)
        set_help(about or {})(handler)
        set_metavars(shown or {})(handler)
        set_sharg_map({one: one[0] if one[0] in short else "" for one in names})(handler)
        return set_name(name)(handler) if name else handler

    return mark


class CommandLine(Cliar):  # type: ignore[misc]  # cliar has no types
    """A cliar command line; see the module's text for what is different."""

    def __init__(self, words: Iterable[str]) -> None:
        self._options_first = split_globals(words)
        sys.argv = ["sci"]  # the one place where cliar looks for its name and its words
        super().__init__()
        self._parser.description = getdoc(self)
        self._command_parsers.metavar = "COMMAND"
        for parser in (self._parser, *self._command_parsers.choices.values()):
            parser.error = _complain_about(parser)

    @ignore  # type: ignore[untyped-decorator]  # cliar has no types
    def parse(self) -> None:
        """Run the command that the words ask for.

        Raises WrongUsage, and what the command raises.
        """
        options, rest = self._options_first
        if rest and not rest[0].startswith("-") and rest[0] not in self._commands:
            hint = suggest(rest[0], list(self._commands)) or " 'sci --help' lists them."
            raise WrongUsage(f"there is no command '{rest[0]}'.{hint}")
        sys.argv = ["sci", *options, *rest]
        super().parse()

    def _get_handlers(self) -> list[Callable[..., None]]:
        handlers: Iterable[Any] = super()._get_handlers()
        return sorted(handlers, key=lambda one: one.__func__.__code__.co_firstlineno)

    @staticmethod
    def _register_arg(command_parser: ArgumentParser, arg_name: str, arg: Any) -> None:
        if isinstance(arg.default, LeftOut):
            command_parser.add_argument(
                arg_name, nargs="*", default=[], metavar=arg.metavar, help=arg.help
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
    pages: dict[str, int | None] = {}
    for name, text in given.items():
        pages[name] = _whole_number(text)
        if text and pages[name] is None:
            option = name.replace("_", "-")
            raise WrongUsage(f"--{option} takes a whole number from 1, not '{text}'")
    return pages


def _whole_number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and int(text) > 0 else None


def _complain_about(parser: ArgumentParser) -> Callable[[str], None]:
    def complain(message: str) -> None:
        raise WrongUsage(f"{message} (see '{parser.prog} --help')")

    return complain
