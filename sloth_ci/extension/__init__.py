"""What an extension is: a named instance of a module with options, and what it may use of us."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from sloth_ci.config import Section
from sloth_ci.hooks import hook
from sloth_ci.shell import ShellRunner
from sloth_ci.store import Store

__all__ = ["Context", "Extension", "Notes", "hook"]


class Notes(Protocol):
    """Texts that an extension keeps in the store; they outlive the server."""

    def get(self, key: str) -> str | None:
        """The text under that key."""

    def set(self, key: str, text: str) -> None:
        """Keep a text; safe on the disk on return."""


@dataclass(frozen=True, slots=True)
class Context:
    """Where an extension stands, and what it may use."""

    #: As the config names it; the same module may be declared several times.
    name: str
    #: '' for an extension of the server.
    listen_point: str
    #: None for an extension of the server; known from `open` on.
    app_id: int | None
    #: Relative paths count from here.
    base_dir: Path
    #: The server's address as others reach it, without a slash at the end; '' when not configured.
    url: str
    store: Store
    notes: Notes
    #: Says something in the app's log, or the server's, with the extension's name before it.
    log: Callable[[int, str], None]
    #: Does some work soon, in the background; one extension's work is done in order, one at a time.
    #: What it raises is logged. Work has timeouts of its own.
    later: Callable[[Callable[[], None]], None]
    #: Calls something at a moment of the wall clock (seconds since the epoch), on a thread that
    #: must not be held up; gives what takes it back.
    at: Callable[[float, Callable[[], None]], Callable[[], None]]
    #: Queues a build of an app: listen point, params, and who wants it; gives the build's id.
    trigger: Callable[[str, Mapping[str, str], str], int]
    #: The listen points of all apps, sorted.
    apps: Callable[[], Sequence[str]]
    #: What keeps the app's secrets out of a text.
    mask: Callable[[str], str]
    #: Runs actions and programs on this machine; the server's own, so that it ends them with it.
    shell: ShellRunner = field(default_factory=ShellRunner)

    def build_url(self, build_id: int) -> str:
        """Where people see a build; '' when the server's address isn't configured."""
        return f"{self.url}/-/builds/{build_id}" if self.url else ""


class Extension:
    """One extension; a module of an extension holds one subclass as `EXTENSION`.

    Its hooks are methods marked with `hook` and named as in `hooks.Specs`.
    """

    #: What may be said of it in a config beside `module`.
    Options: ClassVar[type[Section]] = Section
    #: Where it may be declared.
    for_apps: ClassVar[bool] = True
    for_server: ClassVar[bool] = False

    def __init__(self, options: Any, context: Context) -> None:
        self.options = options
        self.context = context

    def open(self) -> None:
        """Begin; called once, when all apps are there.

        What is wrong is refused before, when it is made: with ValueError and a sentence.
        """

    def close(self) -> None:
        """End within a few seconds; called when its app goes or changes, or the server ends.

        A build that runs then goes on with it: the hooks of that build are still called. One that
        was made for a single build, which runs again as it was, is closed without having begun.
        """
