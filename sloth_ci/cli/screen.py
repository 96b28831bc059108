"""Where `sci` speaks: values and sentences to stdout, trouble to stderr, one line each."""

import json
import shutil
import sys
from typing import Any

from sloth_ci.render import Painter, printable, show_json, wants_colours


class Screen:
    """Shows what a command has to say, to a person."""

    is_for_scripts = False

    def __init__(self) -> None:
        self.painter = Painter(colours=wants_colours(sys.stdout), width=_width())

    def show(self, value: Any, text: str) -> None:
        """Show a command's result: the value to a script, the text to a person."""
        print(text)

    def say(self, line: str) -> None:
        """Tell a person what is going on, at once."""
        print(line, flush=True)

    def tell(self, value: Any, line: str) -> None:
        """Tell one of many things that come one after the other, at once."""
        print(line, flush=True)

    def conclude(self, value: Any) -> None:
        """End a command that told a person everything as it went."""

    def warn(self, sentence: str) -> None:
        """Tell on stderr what needs attention."""
        sys.stdout.flush()
        print(f"sci: {printable(sentence)}", file=sys.stderr, flush=True)


def _width() -> int:
    """The terminal's width; on a pipe a line is as long as it wants to be."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize


class JsonScreen(Screen):
    """Shows one JSON value, or one a line, to a script."""

    is_for_scripts = True

    def show(self, value: Any, text: str) -> None:
        """Show the value."""
        print(show_json(value))

    def say(self, line: str) -> None:
        """Scripts get the result only."""

    def tell(self, value: Any, line: str) -> None:
        """Show the value in one line."""
        print(json.dumps(value), flush=True)

    def conclude(self, value: Any) -> None:
        """Show the value."""
        print(show_json(value))
