"""Texts for people: nobody's raw, times and sizes as one reads them."""

import json
import os
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, TextIO

from colorama import Style

from sloth_ci.logs import escape_controls

_COLOUR_CODE = re.compile(r"\x1b\[[0-9;:]*m")
_TAB_WIDTH = 4
#: Colours and styles by ECMA-48, 8.3.117 (SGR): none that blinks, hides or inverts.
_HARMLESS = re.compile(
    r"(?:0*|0*[1-4]|2[1-4]|3[0-79]|4[0-79]|9[0-7]|10[0-7]"
    r"|[34]8;5;[0-9]{1,3}|[34]8;2;[0-9]{1,3};[0-9]{1,3};[0-9]{1,3})"
)
_STYLE = re.compile(r"[34]8;5;[0-9]*|[34]8;2;[0-9]*;[0-9]*;[0-9]*|[^;]*")


def printable(text: object) -> str:
    """The text as one line that can't do anything to a terminal.

    Colour codes are dropped, tabs become blanks, other control characters are written out.
    """
    plain = _COLOUR_CODE.sub("", str(text)).expandtabs(_TAB_WIDTH)
    return escape_controls(plain)


def coloured(text: str) -> str:
    """The same as `printable`, but with the text's own colours, which end with it."""
    if "\x1b[" not in text:
        return printable(text)
    shown = "".join(_show_parts(text))
    return shown + Style.RESET_ALL if "\x1b" in shown else shown


def _show_parts(text: str) -> Iterator[str]:
    column = end = 0
    for code in (*_COLOUR_CODE.finditer(text), None):
        part = text[end : code.start() if code else None]
        before = " " * (column % _TAB_WIDTH)
        plain = (before + part).expandtabs(_TAB_WIDTH)[len(before) :]
        column += len(plain)
        yield escape_controls(plain)
        if code:
            end = code.end()
            yield code[0] if _is_harmless(code[0][2:-1]) else ""


def _is_harmless(styles: str) -> bool:
    found = [one for one in _STYLE.findall(styles) if one]
    return ";".join(found) == styles and all(_HARMLESS.fullmatch(one) for one in found)


def shorten(text: object, width: int) -> str:
    """The text's first line that has something in it, cut to that width."""
    lines = [line for line in str(text).splitlines() if line.strip()]
    line = printable(lines[0]) if lines else ""
    return line if len(line) <= width and len(lines) < 2 else line[: max(0, width - 1)] + "…"


def show_json(value: Any) -> str:
    """The value as JSON, in ASCII, for scripts."""
    return json.dumps(value, indent=2)


def show_time(timestamp: float | None) -> str:
    """Local date and time; `never` for 0, nothing when it isn't known."""
    if timestamp is None:
        return ""
    if not timestamp:
        return "never"
    return f"{datetime.fromtimestamp(timestamp):%Y-%m-%d %H:%M:%S}"


def show_duration(seconds: float | None) -> str:
    """A number of seconds for people, such as 7 ms, 0.25 s, 42 s, 3 m 05 s or 2 h 07 m."""
    if seconds is None:
        return ""
    if 0 < seconds < 0.01:
        return f"{seconds * 1_000:.2g} ms"
    if seconds < 10:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3_600:
        return f"{whole // 60} m {whole % 60:02} s"
    if whole < 86_400:
        return f"{whole // 3_600} h {whole % 3_600 // 60:02} m"
    return f"{whole // 86_400} d {whole % 86_400 // 3_600:02} h"


def show_size(size: float) -> str:
    """A number of bytes for people, such as 1.5 GB."""
    for unit in ("B", "kB", "MB"):
        if size < 1_000:
            return f"{size:.3g} {unit}"
        size /= 1_000
    return f"{size:.3g} GB" if size < 1_000 else f"{size / 1_000:.3g} TB"


def count(number: int, word: str) -> str:
    """So many of these: `1 build`, `2 builds`."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def wants_colours(stream: TextIO) -> bool:
    """Whether the stream is a terminal whose owner did not switch colours off (no-color.org)."""
    switched_off = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return stream.isatty() and not switched_off
