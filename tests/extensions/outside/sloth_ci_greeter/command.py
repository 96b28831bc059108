"""`sci greet NAME`: greet somebody, or ask the server to (`-s`)."""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from sloth_ci.command import Command, Terminal


def declare(parser: ArgumentParser) -> None:
    """Whom to greet, and who does it."""
    parser.add_argument("name", metavar="NAME", help="whom to greet")
    parser.add_argument("-s", "--server", action="store_true", help="let the server do it")


def run(given: Mapping[str, Any], terminal: Terminal) -> int:
    """Greet."""
    name = given["name"]
    greeting = f"Hello, {name}!"
    if given["server"]:
        greeting = terminal.connect().call("greet", name=name)
    terminal.show({"greeting": greeting}, greeting)
    return 0 if name != "nobody" else 1


COMMAND = Command("Greet somebody.", run, declare)
