"""`logs`: pages of an app's log, all lines of a build, and what happens right now."""

from collections.abc import Iterable, Iterator, Mapping

from sloth_ci.cli.arguments import (
    NO_WORD,
    WrongUsage,
    command,
    read_level,
    read_number,
    read_pages,
)
from sloth_ci.cli.commands.shared import DONE, REFUSED, Commands
from sloth_ci.cli.following import find_current, follow, is_complete, wait_for_next
from sloth_ci.cli.options import BUILD, PAGES, SINCE, UNTIL
from sloth_ci.client import Client, Value
from sloth_ci.render import Record, printable


class LogCommands(Commands):
    """Read the log."""

    theme = "Builds"

    @command(
        "lg",
        short="ftplvb",
        about={
            **PAGES,
            "listen_point": "the app's listen point; may be left out beside the options below",
            "follow": "live: a build to its end, whose outcome is the exit code: that of --build,"
            " or the app's current one, or its next one; without either, whatever happens;"
            " -f without a number is the same",
            "build": f"all lines of one build: {BUILD}",
            "tail": "the last N lines",
            "search": "lines with that text, in upper or lower case",
            "stream": "lines that actions printed: stdout or stderr",
            "since": f"lines {SINCE}",
            "until": f"lines {UNTIL}",
        },
    )
    def logs(
        self,
        listen_point: str = NO_WORD,
        from_page: str = "",
        to_page: str = "",
        per_page: str = "",
        level: str = "",
        verbose: bool = False,
        follow: bool = False,
        build: str = "",
        tail: str = "",
        search: str = "",
        stream: str = "",
        since: str = "",
        until: str = "",
    ) -> None:
        """Show an app's log, the newest records first; or lines as they were written."""
        pages = read_pages(from_page=from_page, to_page=to_page, per_page=per_page)
        least = read_level(level)
        number = read_number(build, name="--build")
        wanted: dict[str, Value] = {
            "tail": read_number(tail, name="--tail"),
            "search": search or None,
            "stream": stream or None,
            "since": since or None,
            "until": until or None,
        }
        is_particular = number is not None or any(wanted.values())
        if any(pages.values()) and (follow or is_particular):
            raise WrongUsage("pages are for an app's whole log, not for a part of it or --follow")
        if follow and any(wanted.values()):
            raise WrongUsage("--follow goes with a listen point, --build and --level only")
        if follow:
            self._follow(listen_point, number, least)
        elif is_particular:
            place = {"listen_point": listen_point or None, "build": number}
            self._show_lines({**wanted, **place, "level": least})
        elif listen_point:
            painter = self._screen().painter
            paint = painter.detailed_logs if verbose else painter.logs
            self._show_records("logs", listen_point, paint, **pages, level=least)
        else:
            raise WrongUsage(
                "name an app, or say which lines: by --build, --tail, --search, --stream, --since,"
                " --until or --follow (see 'sci logs --help')"
            )

    def _show_lines(self, wanted: Mapping[str, Value]) -> None:
        client = self._connect()
        found: Iterable[Record]
        found = client.call("logs", **wanted) if wanted["tail"] else client.records(wanted)
        among_others = wanted["listen_point"] is None and wanted["build"] is None
        is_any = False
        for record in found:
            is_any = True
            self._screen().tell(record, self._write(record, among_others=among_others))
        if not is_any:
            self._screen().say("No records.")

    def _follow(self, listen_point: str, build: int | None, level: int | None) -> None:
        client = self._connect()
        if build is not None:
            self._follow_build(client, client.call("build", id=build), level)
        elif listen_point:
            self._follow_build(client, self._find_current(client, listen_point), level)
        else:
            for event in client.follow(level=level):
                if event.name == "log":
                    self._screen().tell(event.data, self._write(event.data, among_others=True))

    def _find_current(self, client: Client, listen_point: str) -> Record:
        newest = client.call("builds", listen_point=listen_point, per_page=1)["builds"]
        number = find_current(client, listen_point)
        if number is None:
            self._screen().warn(f"no build of {listen_point} runs; waiting for the next one")
            number = wait_for_next(client, listen_point, newest[0]["id"] if newest else 0)
        return {"id": number, "listen_point": listen_point}

    def _follow_build(self, client: Client, build: Record, level: int | None) -> None:
        name = printable(f"Build {build['id']} of {build['listen_point']}")
        self._screen().say(name)
        for record in follow(client, build["listen_point"], build["id"], level=level):
            self._screen().tell(record, self._write(record, among_others=False))
            end = record
        self.exit_code = DONE if is_complete(end) else REFUSED

    def _write(self, record: Record, *, among_others: bool) -> str:
        painter = self._screen().painter
        return painter.line_among_others(record) if among_others else painter.line(record)


def spell_out_follow(words: Iterable[str]) -> Iterator[str]:
    """The words, with an `-f` of `logs` that has no number behind it spelt out.

    `-f N` has been the first page since before there was something to follow.
    """
    given = list(words)
    is_logs = "logs" in given or "lg" in given
    for word, after in zip(given, [*given[1:], ""], strict=False):
        is_follow = is_logs and word == "-f" and not after.isdecimal()
        yield "--follow" if is_follow else word
