"""Tables of what has been in `sci` from the start, and the colours of levels."""

import sys
import textwrap
from collections.abc import Iterable, Mapping
from logging import CRITICAL, DEBUG, ERROR, INFO, WARNING
from typing import Any

import tabulate
from colorama import Back, Fore, Style

from sloth_ci.render.texts import coloured, printable, show_time

Record = Mapping[str, Any]

_COLOURS = {
    DEBUG: Fore.CYAN,
    INFO: Fore.GREEN,
    WARNING: Fore.YELLOW,
    ERROR: Fore.RED,
    CRITICAL: Fore.WHITE + Back.RED,
}
#: The level that has the colour of a finding's state.
_LEVELS = {"ok": INFO, "warning": WARNING, "problem": ERROR, "not checked": DEBUG}
#: Characters that a finding takes before its advice, and the least that are left for that.
_FIRST_COLUMNS, _LEAST_WIDTH = 30, 30


class Painter:
    """Makes texts and tables of the API's values, coloured by level when asked to."""

    def __init__(self, *, colours: bool, width: int = sys.maxsize) -> None:
        self._colours = colours
        #: Characters of a line, where long texts are to be wrapped.
        self.width = width

    def info(self, apps: Iterable[Record]) -> str:
        """A table of apps and their last builds."""
        rows = [
            [
                printable(app["listen_point"]),
                printable(app["config_file"] or "-"),
                self.paint(app["last_build_status"], app["last_build_status_level"]),
                show_time(app["last_build_timestamp"]),
            ]
            for app in apps
        ]
        heads = ["Listen Point", "Config File", "Last Build Status", "Last Build Timestamp"]
        return self.table(rows, heads)

    def logs(self, records: Iterable[Record]) -> str:
        """A table of log records."""
        rows = [
            [
                show_time(record["timestamp"]),
                printable(record["message"]),
                self.paint(record["level_name"], record["level_number"]),
            ]
            for record in records
        ]
        return self.table(rows, ["Timestamp", "Message", "Level"])

    def detailed_logs(self, records: Iterable[Record]) -> str:
        """A table of log records with the logger and the build of each."""
        rows = [
            [
                show_time(record["timestamp"]),
                printable(record["message"]),
                self.paint(record["level_name"], record["level_number"]),
                printable(record["logger_name"]),
                _build(record),
            ]
            for record in records
        ]
        return self.table(rows, ["Timestamp", "Message", "Level", "Logger", "Build"])

    def history(self, records: Iterable[Record]) -> str:
        """A table of builds' statuses."""
        rows = [
            [
                show_time(record["timestamp"]),
                self.paint(record["message"], record["level_number"]),
                _build(record),
            ]
            for record in records
        ]
        return self.table(rows, ["Timestamp", "Status", "Build"])

    def detailed_history(self, records: Iterable[Record]) -> str:
        """A table of builds' statuses with the level of each."""
        rows = [
            [
                show_time(record["timestamp"]),
                self.paint(record["message"], record["level_number"]),
                _build(record),
                self.paint(record["level_name"], record["level_number"]),
            ]
            for record in records
        ]
        return self.table(rows, ["Timestamp", "Status", "Build", "Level"])

    def findings(self, found: Iterable[Record]) -> str:
        """A table of the doctor's findings, the long texts in several lines on a terminal."""
        rows = [
            [
                printable(one["check"]),
                self.paint(one["state"], _LEVELS.get(one["state"], WARNING)),
                "\n".join(_wrap(printable(one["advice"]), self.width - _FIRST_COLUMNS)),
            ]
            for one in found
        ]
        return self.table(rows, ["Check", "State", "Advice"])

    def line(self, record: Record) -> str:
        """One log record, as it is shown while its build runs; output has its own colours only."""
        message = record["message"]
        if "stream" not in record:
            text = self.paint(message.strip(), record["level_number"])
        else:
            text = coloured(message) if self._colours else printable(message)
        return f"{show_time(record['timestamp'])}  {text}"

    def line_among_others(self, record: Record) -> str:
        """One log record among those of other builds."""
        build = f" {record['build']}" if record["build"] is not None else ""
        moment, _, text = self.line(record).partition("  ")
        return f"{moment}  {printable(record['listen_point'])}{build}  {text}"

    def table(self, rows: Iterable[list[str]], heads: list[str]) -> str:
        """A table; its texts are printable already."""
        table = tabulate.tabulate(
            list(rows), heads, tablefmt="simple", disable_numparse=True, preserve_whitespace=True
        )
        return "\n".join(line.rstrip() for line in table.splitlines())

    def paint(self, text: object, level: int) -> str:
        """The text, printable, in the colour of that level."""
        shown = printable(text)
        colour = _COLOURS.get(level)
        return f"{colour}{shown}{Style.RESET_ALL}" if self._colours and colour else shown


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(
        text, max(width, _LEAST_WIDTH), break_long_words=False, break_on_hyphens=False
    )


def _build(record: Record) -> str:
    build_id = record.get("build")
    return "" if build_id is None else printable(build_id)
