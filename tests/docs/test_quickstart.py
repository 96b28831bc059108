"""The quickstart's commands do, in an empty folder and in order, what the page says."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import Part, read_page

PAGE = "docs/quickstart.md"
#: Where `sci init` puts a server; the test moves it to a free port, and changes nothing else.
PORT = "port: 8080"
#: The one part that is not run: it sets up the virtual environment that the tests run in.
INSTALL = "Install"


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Terminal:
    """A shell that goes through the page's blocks, and remembers its folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            "PWD": str(folder),
        }
        self._environment["PATH"] = f"{Path(sys.executable).parent}:{self._environment['PATH']}"

    def run(self, block: str) -> str:
        """What the block prints; every command in it must succeed."""
        done = subprocess.run(
            ["sh", "-e", "-c", f"{block}\npwd > {self._memory}"],
            cwd=self.here,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=50,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}"
        return done.stdout

    @property
    def _memory(self) -> Path:
        return self._folder / ".folder"

    @property
    def here(self) -> Path:
        """The folder that the last block left the shell in."""
        return Path(self._memory.read_text().strip()) if self._memory.exists() else self._folder


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path)
    yield terminal
    if (terminal.here / "server.yml").exists():
        subprocess.run(
            [Path(sys.executable).parent / "sci", "stop"], cwd=terminal.here, capture_output=True
        )


def blocks(part: Part) -> list[str]:
    """The shell commands below a heading; a server starts only after it has a config."""
    return [fence.text for fence in part.fences if fence.info == "sh"]


def test_the_quickstart_works_as_it_is_written(terminal: Terminal, free_port: int) -> None:
    printed: dict[str, str] = {}
    for part in read_page(PAGE):
        if part.title == INSTALL:
            continue
        for block in blocks(part):
            for command in _split(block):
                output = terminal.run(command)
                printed[part.title] = printed.get(part.title, "") + output
                _move(terminal.here / "server.yml", free_port)

    assert f"runs at http://127.0.0.1:{free_port}" in printed["Start a server"]
    assert "Complete (2/2)" in printed["Run a build"]
    assert "building release/3" in printed["Make an app of your own"]
    assert "Updated web." in printed["Make an app of your own"]
    assert "stopped" in printed["Stop"]


def test_the_part_that_is_not_run_installs_from_the_sources() -> None:
    (install,) = (part for part in read_page(PAGE) if part.title == INSTALL)

    assert any("pip install ." in block for block in blocks(install))


def _split(block: str) -> list[str]:
    """The block's commands one by one; one with a here-document stays whole."""
    return [block] if "<<" in block else block.splitlines()


def _move(config: Path, port: int) -> None:
    if config.exists() and PORT in config.read_text():
        config.write_text(config.read_text().replace(PORT, f"port: {port}"))
