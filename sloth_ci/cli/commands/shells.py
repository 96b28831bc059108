"""`completion`: what a shell needs to complete lines of `sci`."""

from sloth_ci.cli.arguments import WrongUsage, command
from sloth_ci.cli.commands.shared import Commands
from sloth_ci.cli.completion import read_entries, read_options, write_script
from sloth_ci.cli.options import WORDS


class ShellCommands(Commands):
    """Make typing easier."""

    theme = "This shell"

    @command(about={"shell": f"{', '.join(WORDS['SHELL'])}"})
    def completion(self, shell: str) -> None:
        """Print a script that completes commands, options and listen points."""
        if shell not in WORDS["SHELL"]:
            raise WrongUsage(f"completion is for {', '.join(WORDS['SHELL'])}; not '{shell}'")
        self._add_all_further()
        entries = read_entries(self._command_parsers.choices)
        script = write_script(shell, entries, read_options(self._parser))
        self._screen().show({"shell": shell, "script": script}, script.rstrip())
