"""What the commands of `sci` share: where they speak, whom they ask, how they end."""

from collections.abc import Callable, Iterable
from typing import Any

from sloth_ci.cli.arguments import CommandLine
from sloth_ci.cli.connection import Options, connect
from sloth_ci.cli.following import follow, is_complete
from sloth_ci.cli.screen import JsonScreen, Screen
from sloth_ci.client import Client
from sloth_ci.command import Command, Terminal
from sloth_ci.errors import LoginRequired, ServerUnreachable, SlothError, UnexpectedAnswer
from sloth_ci.render import Record, printable

#: Exit codes: done, refused or failed, wrong usage, no server there.
DONE, REFUSED, MISUSED, NOBODY = 0, 1, 2, 3

#: What a script and what a person get to know of one thing that was done.
Done = tuple[Any, str]
#: Errors that all further requests would meet as well.
_HOPELESS = (ServerUnreachable, UnexpectedAnswer, LoginRequired)


class Commands(CommandLine):
    """Commands of one theme."""

    exit_code = DONE
    #: What the help has above them.
    theme = ""

    def _options(self) -> Options:
        return Options(config=self.global_args["config"], url=self.global_args["url"])

    def _screen(self) -> Screen:
        return JsonScreen() if self.global_args["json"] else Screen()

    def _connect(self) -> Client:
        return connect(self._options())

    def _show_records(
        self,
        action: str,
        listen_point: str,
        paint: Callable[[list[Record]], str],
        **params: int | None,
    ) -> None:
        records = self._connect().call(action, listen_point=listen_point, **params)
        self._screen().show(records, paint(records) if records else "No records.")

    def _do_each(self, names: Iterable[str], do_one: Callable[[str], Done]) -> None:
        """Do it for each name; one that fails is told of and doesn't keep the others from it."""
        values = []
        for name in names:
            try:
                value, sentence = do_one(name)
            except _HOPELESS:
                raise
            except SlothError as error:
                self._screen().warn(f"{name}: {error}")
                self.exit_code = REFUSED
                continue
            values.append(value)
            self._screen().say(printable(sentence))
        self._screen().conclude(values)

    def _conclude_queued(
        self, client: Client, listen_point: str, value: dict[str, Any], *, wait: bool
    ) -> None:
        build_id = value["build"]
        if not wait:
            sentence = printable(f"Build {build_id} of {listen_point} is queued.")
            self._screen().show(value, sentence)
            return
        self._screen().say(printable(f"Build {build_id} of {listen_point}"))
        for record in follow(client, listen_point, build_id):
            self._screen().say(self._screen().painter.line(record))
            end = record
        self._screen().conclude({**value, "end": end})
        self.exit_code = DONE if is_complete(end) else REFUSED

    def _run_further(self, command: Command, **given: Any) -> None:
        screen = self._screen()
        terminal = Terminal(connect=self._connect, show=screen.show, warn=screen.warn)
        self.exit_code = command.run(given, terminal)
