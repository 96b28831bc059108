"""A further command of `sci`, which an installed package brings.

It is found by an entry point in the group `sloth_ci.commands`: the name in front is the command's,
what is behind it is the module that has the command as `COMMAND`.
"""

from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sloth_ci.client import Client
from sloth_ci.registry import Kind, find, names


@dataclass(frozen=True, slots=True)
class Terminal:
    """Where a command speaks, and whom it asks."""

    #: The client for the server that the command line and the config mean.
    connect: Callable[[], Client]
    #: Shows the result: the value to a script (`--json`), the text to a person.
    show: Callable[[Any, str], None]
    #: Tells on stderr what needs attention.
    warn: Callable[[str], None]


def _declare_nothing(_parser: ArgumentParser) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Command:
    """What `sci` runs for a word that is none of its own commands."""

    #: One line for `sci --help`.
    about: str
    #: Does it with its arguments by name, and gives the exit code. May raise any `SlothError`.
    run: Callable[[Mapping[str, Any], Terminal], int]
    #: Adds its arguments to the parser, as `argparse` has it.
    declare: Callable[[ArgumentParser], None] = _declare_nothing


COMMANDS = Kind(
    word="command", group="sloth_ci.commands", constant="COMMAND", built_in=(), parent=Command
)


def find_command(name: str) -> Command:
    """The command of that name; raises LookupError with a sentence."""
    command: Command = find(COMMANDS, name)
    return command


def command_names() -> list[str]:
    """The names of all such commands, sorted."""
    return names(COMMANDS)
