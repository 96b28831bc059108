"""Real shells, a journal that remembers, and witnesses of who is still alive."""

import ctypes
import os
import select
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import pytest

from sloth_ci.builds import Action, Build, Halt, Limits, Outcome
from sloth_ci.masking import Mask
from sloth_ci.records import Stream
from sloth_ci.shell import ShellRunner, become_subreaper
from sloth_ci.template import compile_template

PATIENCE = 45.0


class Recorder:
    """A journal that keeps what was printed, and may act on a line."""

    def __init__(self, on_line: Callable[[str], None] | None = None) -> None:
        self.lines: list[tuple[Stream, str]] = []
        self._on_line = on_line

    def output(self, build: Build, stream: Stream, line: str) -> None:
        self.lines.append((stream, line))
        if self._on_line:
            self._on_line(line)

    def of(self, stream: Stream) -> list[str]:
        return [line for printed_to, line in self.lines if printed_to is stream]

    @property
    def texts(self) -> list[str]:
        return [line for _, line in self.lines]


class Witness:
    """The reading end of a fifo: it knows whether anybody holds the other end."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def alive(self) -> bool:
        """Whether a process has the fifo open for writing, at this moment."""
        try:
            while os.read(self._descriptor, 4096):
                pass
        except BlockingIOError:
            return True
        return False

    def wait_until_gone(self) -> None:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        end = monotonic() + PATIENCE
        while self.alive():
            assert monotonic() < end, "a process lives on"
            poll.poll(1000)

    def close(self) -> None:
        os.close(self._descriptor)


@dataclass
class Bench:
    """Runs one action, or the several of one build, in a folder of its own."""

    folder: Path
    runner: ShellRunner = field(default_factory=lambda: ShellRunner(grace=0.3))
    journal: Recorder = field(default_factory=Recorder)
    halt: Halt = field(default_factory=Halt)

    def build(
        self,
        *texts: str,
        params: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        work_dir: Path | None = None,
        detach: bool = False,
        exec_timeout: float | None = None,
        max_output: int = 16_000_000,
        secrets: tuple[str, ...] = (),
        limits: Limits | None = None,
        user: str | None = None,
    ) -> Build:
        return Build(
            id=7,
            app_id=1,
            listen_point="spam/eggs",
            actions=tuple(Action(compile_template(text), detach=detach) for text in texts),
            params=params or {},
            env=env or {},
            work_dir=str(work_dir or self.folder),
            exec_timeout=exec_timeout,
            max_output=max_output,
            mask=Mask(secrets),
            limits=limits or Limits(),
            user=user,
        )

    def run(self, build: Build, *, position: int = 0, within: float | None = PATIENCE) -> Outcome:
        deadline = None if within is None else monotonic() + within
        return self.runner(build, position, deadline, self.halt, self.journal)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.halt.close()


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Witness]:
    witness = Witness(tmp_path / "witness")
    yield witness
    witness.close()


@pytest.fixture
def subreaper() -> Iterator[None]:
    """This process adopts orphans for the time of the test."""
    if not become_subreaper():
        pytest.skip("the system has no subreaper")
    yield
    ctypes.CDLL(None).prctl(36, 0, 0, 0, 0)
