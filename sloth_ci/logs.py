"""The server's own logs: one line an event, nothing in them but printable text."""

import logging
import re
import sys
from logging.handlers import WatchedFileHandler
from pathlib import Path

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_FORMAT = "%(asctime)s %(levelname)s %(message)s"


class OneLine(logging.Formatter):
    """Makes control and escape characters of other people's text harmless."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line; a traceback follows indented, as lines of its own."""
        trace = self.formatException(record.exc_info) if record.exc_info else ""
        record.exc_info = record.exc_text = None
        line = escape_controls(super().format(record))
        return "\n".join([line, *(f"    {escape_controls(row)}" for row in trace.splitlines())])


def escape_controls(text: str) -> str:
    """The text with every control character written out, such as `\\x1b`."""
    return _CONTROL.sub(_write_out, text)


def open_logs(*, access_log: Path | None, error_log: Path | None, screen: bool) -> None:
    """Send the access log and everything else to their files, and the latter to stderr."""
    access = logging.getLogger("sloth_ci.access")
    access.propagate = False
    access.setLevel(logging.INFO if access_log else logging.CRITICAL)
    if access_log:
        access.addHandler(_file(access_log, "%(asctime)s %(message)s"))
    server = logging.getLogger("sloth_ci")
    server.setLevel(logging.INFO)
    server.propagate = False
    if error_log:
        server.addHandler(_file(error_log, _FORMAT))
    if screen:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(OneLine(_FORMAT))
        server.addHandler(handler)


def _file(path: Path, form: str) -> logging.Handler:
    handler = WatchedFileHandler(path, encoding="utf-8", errors="backslashreplace", delay=False)
    handler.setFormatter(OneLine(form))
    return handler


def _write_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
