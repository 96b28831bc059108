"""What `sci` shows: tables, colours on a terminal, and nobody's text raw."""

from sloth_ci.render.painter import Painter, Record
from sloth_ci.render.texts import (
    coloured,
    count,
    printable,
    shorten,
    show_duration,
    show_json,
    show_size,
    show_time,
    wants_colours,
)

__all__ = [
    "Painter",
    "Record",
    "coloured",
    "count",
    "printable",
    "shorten",
    "show_duration",
    "show_json",
    "show_size",
    "show_time",
    "wants_colours",
]
