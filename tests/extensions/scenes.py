"""What an extension stands on, for tests: a real store, and all else that a context has."""

import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sloth_ci.builds import BuildStatus, Result
from sloth_ci.config import Section, parse_app
from sloth_ci.extension import Context, Extension
from sloth_ci.hooks import AppEvent, BuildEvent
from sloth_ci.records import DEBUG, Logger, LogRecord, Stream
from sloth_ci.store import Cause, Origin, Store


class Notes(dict[str, str]):
    """Notes in memory."""

    def set(self, key: str, text: str) -> None:
        """Keep a text."""
        self[key] = text


class Scene:
    """An app `web` in a store; time stands still until it is set."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = 1_900_000_000.25
        self.log: list[tuple[int, str]] = []
        self.notes = Notes()
        self.secrets: tuple[str, ...] = ()
        self.reopen()

    def reopen(self) -> None:
        """Begin anew with the same database, as a server that starts again does."""
        if hasattr(self, "store"):
            self.store.close()
        self.store = Store(self.folder / "sloth.db", clock=self.clock)
        self.app_id = self.store.find_app_id("web") or self.store.add_app(
            listen_point="web", origin=Origin.API, config="listen_point: web", file=None
        )

    def clock(self) -> float:
        """The time."""
        return self.now

    def context(self, **changes: Any) -> Context:
        """A context of the app's; work for later is done at once."""
        made = Context(
            name="tell",
            listen_point="web",
            app_id=self.app_id,
            base_dir=self.folder,
            url="https://ci.example.org",
            store=self.store,
            notes=self.notes,
            log=lambda level, text: self.log.append((level, self.mask(text))),
            later=lambda work: work(),
            at=lambda _moment, _call: lambda: None,
            trigger=lambda _listen_point, _params, _actor: 0,
            apps=lambda: ["web"],
            mask=self.mask,
        )
        return replace(made, **changes)

    def mask(self, text: str) -> str:
        """The text without the secrets."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text

    def run_build(
        self, status: BuildStatus, lines: Sequence[str] = (), **params: str
    ) -> BuildEvent:
        """Run a build in the store that prints these lines, and give the event of its end."""
        (build_id,) = self.store.accept(
            app_id=self.app_id,
            listen_point="web",
            cause=Cause.PUSH,
            params=[params],
            total=2,
        ).builds
        self.store.claim(self.app_id)
        for line in lines:
            self.store.write(
                LogRecord(self.app_id, Logger.EXEC, DEBUG, line, self.now, build_id, Stream.STDOUT)
            )
        completed = 2 if status is BuildStatus.COMPLETE else 1
        result = Result(status, completed)
        self.store.finish(app_id=self.app_id, build_id=build_id, result=result, total=2)
        return self.build(status, id=build_id, completed=completed, params=params)

    def build(self, status: BuildStatus = BuildStatus.COMPLETE, **changes: Any) -> BuildEvent:
        """An event of a build."""
        completed = changes.get("completed", 2)
        made = BuildEvent(
            id=17,
            app_id=self.app_id,
            listen_point="web",
            status=status,
            message=status.describe(completed=completed, total=2),
            cause="push",
            params={"branch": "main"},
            total=2,
            completed=2,
            queued=self.now - 65,
            started=None if status is BuildStatus.QUEUED else self.now - 63,
            finished=self.now if status.final else None,
        )
        return replace(made, **changes)

    def app(self, **changes: Any) -> AppEvent:
        """An event of the app."""
        return replace(AppEvent(self.app_id, "web", None), **changes)


def read_options(kind: type[Extension], text: str, base_dir: Path = Path()) -> Any:
    """The options of an extension, as YAML of an app's config."""
    extension = textwrap.indent(textwrap.dedent(text), "    ")
    config = parse_app(
        f"listen_point: web\nextensions:\n  tell:\n    module: any\n{extension}",
        base_dir=base_dir,
        find_options=_no_provider,
        find_extension=lambda _module: kind.Options,
    )
    return config.extensions["tell"].options


def _no_provider(name: str) -> type[Section]:
    raise LookupError(name)
