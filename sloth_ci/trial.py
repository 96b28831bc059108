"""Surroundings to try an extension in, without a server: for tests, ours and everybody's."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self

from sloth_ci.builds import Action, Build, BuildStatus, Outcome
from sloth_ci.extension import Context
from sloth_ci.hooks import ActionEvent, BuildEvent
from sloth_ci.records import Stream
from sloth_ci.store import Store
from sloth_ci.template import compile_template


class Trial(AbstractContextManager["Trial"]):
    """A context for one extension, and what the extension did with it.

    Work for later is done at once; alarms go off when `ring` is called.
    """

    def __init__(
        self,
        *,
        name: str = "trial",
        listen_point: str = "web",
        base_dir: Path | None = None,
        url: str = "http://ci.example",
    ) -> None:
        #: Levels and texts, as they were logged.
        self.log: list[tuple[int, str]] = []
        #: Listen points, params, and who wanted them.
        self.triggered: list[tuple[str, Mapping[str, str], str]] = []
        #: Moments, and what is to be called then.
        self.alarms: list[tuple[float, Callable[[], None]]] = []
        self.notes = TrialNotes()
        self._store = Store()
        self.context = Context(
            name=name,
            listen_point=listen_point,
            app_id=1 if listen_point else None,
            base_dir=base_dir or Path(),
            url=url,
            store=self._store,
            notes=self.notes,
            log=lambda level, text: self.log.append((level, text)),
            later=lambda work: work(),
            at=self._set_alarm,
            trigger=self._trigger,
            apps=lambda: [listen_point] if listen_point else [],
            mask=str,
        )

    def ring(self) -> None:
        """Let the next alarm go off."""
        self.alarms.sort(key=lambda alarm: alarm[0])
        _moment, call = self.alarms.pop(0)
        call()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._store.close()

    def _set_alarm(self, moment: float, call: Callable[[], None]) -> Callable[[], None]:
        alarm = (moment, call)
        self.alarms.append(alarm)
        return lambda: self.alarms.remove(alarm)

    def _trigger(self, listen_point: str, params: Mapping[str, str], actor: str) -> int:
        self.triggered.append((listen_point, params, actor))
        return len(self.triggered)


class TrialNotes:
    """Notes that are kept in memory."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def get(self, key: str) -> str | None:
        """The text under that key."""
        return self.texts.get(key)

    def set(self, key: str, text: str) -> None:
        """Keep a text."""
        self.texts[key] = text


class TrialJournal:
    """Keeps what a running action says: for `run_action` and `prepare_build`."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def action_started(self, build: Build, position: int) -> None:
        """An action begins."""

    def output(self, build: Build, stream: Stream, line: str) -> None:
        """The running action printed a line."""
        self.lines.append(line)

    def action_finished(self, build: Build, position: int, outcome: Outcome) -> None:
        """An action ended."""

    def progress(self, build: Build, completed: int) -> None:
        """So many actions have completed."""


def build_event(
    status: BuildStatus = BuildStatus.COMPLETE,
    *,
    params: Mapping[str, str] | None = None,
    completed: int = 1,
    total: int = 1,
) -> BuildEvent:
    """What extensions are told of build 17 of the app `web`, of which `total` actions there are."""
    return BuildEvent(
        id=17,
        app_id=1,
        listen_point="web",
        status=status,
        message=status.describe(completed=completed, total=total),
        cause="push",
        params=params or {},
        total=total,
        completed=completed,
        queued=1_000.0,
        started=1_001.0,
        finished=1_002.5 if status.final else None,
    )


def action_event(outcome: Outcome) -> ActionEvent:
    """What extensions are told of the first action of build 17."""
    return ActionEvent(build_id=17, listen_point="web", position=0, outcome=outcome, seconds=1.5)


def build(*commands: str, params: Mapping[str, str] | None = None) -> Build:
    """Build 17 of the app `web` with these commands, ready to run."""
    return Build(
        id=17,
        app_id=1,
        listen_point="web",
        actions=tuple(Action(compile_template(command)) for command in commands),
        params=params or {},
    )
