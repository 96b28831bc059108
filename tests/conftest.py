"""What all tests share: a real server in a process of its own, and a client for it."""

import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from sloth_ci.builds import Build, BuildJournal, Halt, Outcome, OutcomeStatus

LOGIN = ("sloth", "slow-but-steady")
#: Seconds after which a thing that should have happened won't happen any more.
PATIENCE = 45

# A slow machine is no fault of the code under test.
settings.register_profile("sloth-ci", deadline=None)
settings.load_profile("sloth-ci")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the contract's tests be pointed at a server that runs already."""
    group = parser.getgroup("sloth-ci", "a running server for the tests in tests/contract")
    group.addoption("--server-url", help="its address; without it a server of our own is started")
    group.addoption("--login", default=LOGIN[0], help="its API's user name (%(default)s)")
    group.addoption("--password", default=LOGIN[1], help="the user's password (%(default)s)")


@dataclass
class RunningServer:
    """A server process that answers at `url`."""

    url: str
    folder: Path
    process: subprocess.Popen[bytes]
    login: tuple[str, str] = LOGIN

    def signal(self, number: int) -> None:
        """Send the process a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """The exit code, once it ended."""
        return self.process.wait(PATIENCE)

    def stop(self) -> None:
        """End the process, by force in the end."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@dataclass
class StartFailed(Exception):
    """The server said this instead of listening."""

    line: str
    folder: Path = field(default_factory=Path)


def start_server(
    folder: Path,
    *,
    config: str = "",
    port: int = 0,
    api_auth: tuple[str, str] | None = LOGIN,
    host: str = "127.0.0.1",
) -> RunningServer:
    """Start a server in that folder; `config` is further YAML for its server.yml."""
    keys = [f"host: {host}", f"port: {port}"]
    if api_auth:
        keys.append(f"api_auth: {{login: {api_auth[0]}, password: {api_auth[1]}}}")
    config_file = folder / "server.yml"
    config_file.write_text("\n".join([*keys, textwrap.dedent(config)]))
    ready, waiting = os.pipe()
    with (folder / "screen.txt").open("ab") as screen:
        process = subprocess.Popen(
            [sys.executable, "-m", "sloth_ci.server", str(config_file)],
            cwd=folder,
            env={**os.environ, "SLOTH_READY_FD": str(waiting)},
            pass_fds=[waiting],
            stdin=subprocess.DEVNULL,
            stdout=screen,
            stderr=subprocess.STDOUT,
        )
    os.close(waiting)
    with os.fdopen(ready) as pipe:
        line = pipe.readline()
    found = re.search(r"https?://\S+", line)
    if not found:
        process.wait(PATIENCE)
        raise StartFailed(line or (folder / "screen.txt").read_text(), folder)
    return RunningServer(found[0], folder, process)


class Runs:
    """Takes note of what would have been run."""

    def __init__(self) -> None:
        self.builds: list[Build] = []

    def __call__(
        self,
        build: Build,
        position: int,
        deadline: float | None,
        halt: Halt,
        journal: BuildJournal,
    ) -> Outcome:
        self.builds.append(build)
        return Outcome(OutcomeStatus.COMPLETED)


@pytest.fixture
def runs() -> Runs:
    return Runs()


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., RunningServer]]:
    """Start servers that end with the test: `launch(config="...")`."""
    started: list[RunningServer] = []

    def start(folder: Path = tmp_path, **options: Any) -> RunningServer:
        started.append(start_server(folder, **options))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server for all tests that only add apps of their own (choose unique listen points)."""
    server = start_server(tmp_path_factory.mktemp("server"))
    yield server
    server.stop()
