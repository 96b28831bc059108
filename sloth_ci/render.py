"""What `sci` shows: tables, colours on a terminal, and nobody's text raw."""

import json
import os
import re
import sys
import textwrap
from collections.abc import Iterable, Mapping
from datetime import datetime
from logging import CRITICAL, DEBUG, ERROR, INFO, WARNING
from typing import Any, TextIO

import tabulate
from colorama import Back, Fore, Style

from sloth_ci.logs import escape_controls

Record = Mapping[str, Any]

_COLOURS = {
    DEBUG: Fore.CYAN,
    INFO: Fore.GREEN,
    WARNING: Fore.YELLOW,
    ERROR: Fore.RED,
    CRITICAL: Fore.WHITE + Back.RED,
}
_COLOUR_CODE = re.compile(r"\x1b\[[0-9;:]*m")
_TAB_WIDTH = 4
#: The level that has the colour of a finding's state.
_LEVELS = {"ok": INFO, "warning": WARNING, "problem": ERROR, "not checked": DEBUG}
#: Characters that a finding takes before its advice, and the least that are left for that.
_FIRST_COLUMNS, _LEAST_WIDTH = 30, 30


def printable(text: object) -> str:
    """The text as one line that can't do anything to a terminal.

    Colour codes are dropped, tabs become blanks, other control characters are written out.
    """
    plain = _COLOUR_CODE.sub("", str(text)).expandtabs(_TAB_WIDTH)
    return escape_controls(plain)


def show_json(value: Any) -> str:
    """The value as JSON, in ASCII, for scripts."""
    return json.dumps(value, indent=2)


def show_time(timestamp: float) -> str:
    """Local date and time; `never` for 0."""
    if not timestamp:
        return "never"
    return f"{datetime.fromtimestamp(timestamp):%Y-%m-%d %H:%M:%S}"


def show_size(size: float) -> str:
    """A number of bytes for people, such as 1.5 GB."""
    for unit in ("B", "kB", "MB"):
        if size < 1_000:
            return f"{size:.3g} {unit}"
        size /= 1_000
    return f"{size:.3g} GB" if size < 1_000 else f"{size / 1_000:.3g} TB"


def wants_colours(stream: TextIO) -> bool:
    """Whether the stream is a terminal whose owner did not switch colours off (no-color.org)."""
    switched_off = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return stream.isatty() and not switched_off


class Painter:
    """Makes texts and tables of the API's values, coloured by level when asked to."""

    def __init__(self, *, colours: bool, width: int = sys.maxsize) -> None:
        self._colours = colours
        #: Characters of a line, where long texts are to be wrapped.
        self._width = width

    def info(self, apps: Iterable[Record]) -> str:
        """A table of apps and their last builds."""
        rows = [
            [
                printable(app["listen_point"]),
                printable(app["config_file"] or "-"),
                self._paint(app["last_build_status"], app["last_build_status_level"]),
                show_time(app["last_build_timestamp"]),
            ]
            for app in apps
        ]
        heads = ["Listen Point", "Config File", "Last Build Status", "Last Build Timestamp"]
        return _table(rows, heads)

    def logs(self, records: Iterable[Record]) -> str:
        """A table of log records."""
        rows = [
            [
                show_time(record["timestamp"]),
                printable(record["message"]),
                self._paint(record["level_name"], record["level_number"]),
            ]
            for record in records
        ]
        return _table(rows, ["Timestamp", "Message", "Level"])

    def detailed_logs(self, records: Iterable[Record]) -> str:
        """A table of log records with the logger and the build of each."""
        rows = [
            [
                show_time(record["timestamp"]),
                printable(record["message"]),
                self._paint(record["level_name"], record["level_number"]),
                printable(record["logger_name"]),
                _build(record),
            ]
            for record in records
        ]
        return _table(rows, ["Timestamp", "Message", "Level", "Logger", "Build"])

    def history(self, records: Iterable[Record]) -> str:
        """A table of builds' statuses."""
        rows = [
            [
                show_time(record["timestamp"]),
                self._paint(record["message"], record["level_number"]),
                _build(record),
            ]
            for record in records
        ]
        return _table(rows, ["Timestamp", "Status", "Build"])

    def detailed_history(self, records: Iterable[Record]) -> str:
        """A table of builds' statuses with the level of each."""
        rows = [
            [
                show_time(record["timestamp"]),
                self._paint(record["message"], record["level_number"]),
                _build(record),
                self._paint(record["level_name"], record["level_number"]),
            ]
            for record in records
        ]
        return _table(rows, ["Timestamp", "Status", "Build", "Level"])

    def findings(self, found: Iterable[Record]) -> str:
        """A table of the doctor's findings, the long texts in several lines on a terminal."""
        rows = [
            [
                printable(one["check"]),
                self._paint(one["state"], _LEVELS.get(one["state"], WARNING)),
                "\n".join(_wrap(printable(one["advice"]), self._width - _FIRST_COLUMNS)),
            ]
            for one in found
        ]
        return _table(rows, ["Check", "State", "Advice"])

    def line(self, record: Record) -> str:
        """One log record, as it is shown while its build runs; an action's output is plain."""
        printed = "stream" in record
        message = record["message"]
        text = printable(message) if printed else self._paint(message, record["level_number"])
        return f"{show_time(record['timestamp'])}  {text}"

    def _paint(self, text: object, level: int) -> str:
        shown = printable(text)
        colour = _COLOURS.get(level)
        return f"{colour}{shown}{Style.RESET_ALL}" if self._colours and colour else shown


def _table(rows: list[list[str]], heads: list[str]) -> str:
    table = tabulate.tabulate(
        rows, heads, tablefmt="simple", disable_numparse=True, preserve_whitespace=True
    )
    return "\n".join(line.rstrip() for line in table.splitlines())


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(
        text, max(width, _LEAST_WIDTH), break_long_words=False, break_on_hyphens=False
    )


def _build(record: Record) -> str:
    build_id = record.get("build")
    return "" if build_id is None else printable(build_id)
