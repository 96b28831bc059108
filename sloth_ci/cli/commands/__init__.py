"""The commands of `sci`: each asks the server and shows what it says."""

import sys
from collections.abc import Iterable

from sloth_ci import __version__
from sloth_ci.cli.arguments import command
from sloth_ci.cli.commands.apps import AppCommands
from sloth_ci.cli.commands.builds import BuildCommands
from sloth_ci.cli.commands.figures import FigureCommands
from sloth_ci.cli.commands.logs import LogCommands, spell_out_follow
from sloth_ci.cli.commands.pushes import PushCommands
from sloth_ci.cli.commands.server import ServerCommands
from sloth_ci.cli.commands.shared import DONE, MISUSED, NOBODY, REFUSED
from sloth_ci.cli.commands.shells import ShellCommands
from sloth_ci.cli.options import GLOBALS

__all__ = ["DONE", "MISUSED", "NOBODY", "REFUSED", "Sci"]


class Sci(
    BuildCommands,
    LogCommands,
    AppCommands,
    PushCommands,
    FigureCommands,
    ServerCommands,
    ShellCommands,
):
    """Sloth CI: a lightweight CI server.

    Exit codes: 0 done, 1 refused or the build failed, 2 wrong usage, 3 no server there.
    The server is that of --url, of the environment variable SLOTH_URL, or of the config;
    the login that of SLOTH_LOGIN and SLOTH_PASSWORD, or of the config.
    """

    def __init__(self, words: Iterable[str]) -> None:
        super().__init__(spell_out_follow(words))

    @command(short="cv", about=GLOBALS, shown={"config": "FILE", "url": "URL"})
    def _root(
        self, config: str = "", url: str = "", json: bool = False, version: bool = False
    ) -> None:
        if version:
            print(f"sci {__version__}")
            return
        self._parser.print_help(sys.stderr)
        self.exit_code = MISUSED
