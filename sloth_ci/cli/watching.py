"""A live view: redrawn in place on a terminal, one text after the other on a pipe."""

import os
import select
import shutil
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from types import FrameType
from typing import Any, NoReturn

from sloth_ci.cli.screen import Screen
from sloth_ci.errors import ServerUnreachable, Unavailable
from sloth_ci.render import printable

# Of xterm's control sequences: another screen, the cursor away, long lines cut; and all of it back.
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l\x1b[?7l", "\x1b[?7h\x1b[?25h\x1b[?1049l"
_HOME, _REST_OF_LINE, _REST_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"
#: Exit code of who is ended by SIGTERM, as shells have it.
_TERMINATED = 128 + signal.SIGTERM


class Watch:
    """Shows what `look` shows by it, again and again."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._is_live = sys.stdout.isatty() and not screen.is_for_scripts

    def run(self, look: Callable[[], None], interval: int | None) -> None:
        """Look once, or every so many seconds; on a terminal until `q` or Ctrl-C.

        A terminal is left as it was, whatever happens; a server that is away is waited for.
        """
        if not self._is_live:
            look()
            while interval:
                sleep(interval)
                look()
            return
        with _other_screen():
            while True:
                try:
                    look()
                except (ServerUnreachable, Unavailable) as error:
                    self._draw(printable(error.message))
                if _wait_for_key("q", interval or 1):
                    return

    def show(self, value: Any, text: str) -> None:
        """Show it, in the place of what was shown before."""
        if self._is_live:
            self._draw(text)
        else:
            self._screen.tell(value, text)

    def _draw(self, text: str) -> None:
        height = shutil.get_terminal_size().lines
        lines = [line + _REST_OF_LINE for line in text.splitlines()[: height - 1]]
        sys.stdout.write(_HOME + "\n".join(lines) + "\n" + _REST_OF_SCREEN)
        sys.stdout.flush()


@contextmanager
def _other_screen() -> Iterator[None]:
    """The terminal's other screen, without cursor and echo; put back at the end, and at SIGTERM."""
    before = signal.signal(signal.SIGTERM, _end)
    typed = sys.stdin.fileno() if sys.stdin.isatty() else None
    kept = None if typed is None else termios.tcgetattr(typed)
    try:
        sys.stdout.write(_ENTER)
        sys.stdout.flush()
        if typed is not None:
            tty.setcbreak(typed)
        yield
    finally:
        if typed is not None and kept is not None:
            termios.tcsetattr(typed, termios.TCSADRAIN, kept)
        sys.stdout.write(_LEAVE)
        sys.stdout.flush()
        signal.signal(signal.SIGTERM, before)


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(_TERMINATED)


def _wait_for_key(key: str, seconds: float) -> bool:
    """Whether that key was typed within so many seconds."""
    deadline = monotonic() + seconds
    if not sys.stdin.isatty():
        sleep(seconds)
        return False
    while (left := deadline - monotonic()) > 0:
        ready, _, _ = select.select([sys.stdin], [], [], left)
        if ready and os.read(sys.stdin.fileno(), 1) in (key.encode(), b""):
            return True
    return False
