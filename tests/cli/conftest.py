"""`sci` as a person runs it: a process of its own, in a folder, on a pipe or on a terminal."""

import os
import pty
import subprocess
import sys
from codecs import getincrementaldecoder
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from sloth_ci.cli import main
from tests.calls import Api
from tests.conftest import PATIENCE, RunningServer

SCI = (sys.executable, "-m", "sloth_ci")


@dataclass(frozen=True)
class Done:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str = ""

    @property
    def said(self) -> tuple[int, str, str]:
        """All of it, to be compared at once."""
        return self.code, self.out, self.err


@dataclass
class Person:
    """Somebody who types commands in a folder."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def env(self, **more: str) -> dict[str, str]:
        """The environment of the commands: ours, but for what would tell them something."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("SLOTH_") and name not in ("NO_COLOR", "TERM")
        }
        return {**kept, "TERM": "xterm", **self.environment, **more}

    def sci(self, *words: str, env: dict[str, str] | None = None) -> Done:
        """Run `sci` on a pipe, with nobody to ask."""
        return self.pipe("", *words, env=env)

    def pipe(self, typed: str, *words: str, env: dict[str, str] | None = None) -> Done:
        """Run `sci` on a pipe that this text comes from."""
        done = subprocess.run(
            [*SCI, *words],
            cwd=self.folder,
            env=self.env(**(env or {})),
            input=typed,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def begin(self, *words: str) -> "subprocess.Popen[str]":
        """Begin `sci` and leave it running."""
        return subprocess.Popen(
            [*SCI, *words],
            cwd=self.folder,
            env=self.env(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def type_in_terminal(
        self, *words: str, answers: dict[str, str] | None = None, env: dict[str, str] | None = None
    ) -> Done:
        """Run `sci` on a terminal; `answers` are typed once the text before them is shown."""
        terminal, theirs = pty.openpty()
        process = subprocess.Popen(
            [*SCI, *words],
            cwd=self.folder,
            env=self.env(**(env or {})),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        shown = ""
        waiting = dict(answers or {})
        decoder = getincrementaldecoder("utf-8")()
        while chunk := _read(terminal):
            shown += decoder.decode(chunk)
            for question in [one for one in waiting if one in shown]:
                os.write(terminal, (waiting.pop(question) + "\n").encode())
        os.close(terminal)
        return Done(process.wait(PATIENCE), shown.replace("\r\n", "\n"))


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:
        return b""  # the other end is closed, which Linux calls an error


@pytest.fixture
def person(tmp_path: Path) -> Person:
    """Somebody in an empty folder, with no server in sight."""
    folder = tmp_path / "empty"
    folder.mkdir()
    return Person(folder)


@pytest.fixture
def user(person: Person, shared_server: RunningServer) -> Person:
    """Somebody whose folder has the config of the shared server, with the port it listens on."""
    login, password = shared_server.login
    port = shared_server.url.rpartition(":")[2]
    (person.folder / "server.yml").write_text(
        f"port: {port}\napi_auth: {{login: {login}, password: {password}}}\n"
    )
    return person


@pytest.fixture
def api(shared_server: RunningServer) -> Api:
    """The API of the shared server, without `sci`."""
    return Api(shared_server.url, shared_server.login)


@pytest.fixture
def app(api: Api) -> Callable[..., str]:
    """Make an app of actions, with a listen point that no other test knows."""

    def make(*actions: str, **keys: Any) -> str:
        name = f"cli-{uuid4().hex[:12]}"
        text = f"listen_point: {name}\nactions:\n" + "".join(f"  - {one}\n" for one in actions)
        return api.create(text + "".join(f"{key}: {value}\n" for key, value in keys.items()))

    return make


@pytest.fixture
def typed(
    user: Person, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """Run `sci` in this process, as on a pipe, in the folder of somebody who may use the server."""
    monkeypatch.chdir(user.folder)
    for name in [one for one in os.environ if one.startswith("SLOTH_")]:
        monkeypatch.delenv(name)

    def run(*words: str) -> Done:
        capsys.readouterr()
        code = main(list(words))
        shown = capsys.readouterr()
        return Done(code, shown.out, shown.err)

    return run


@pytest.fixture
def built(api: Api) -> Callable[..., int]:
    """Build an app and give the build's number once it ended."""

    def build(name: str, **params: str) -> int:
        number = api.trigger(name, **params)
        api.wait_for_build(name, number)
        return number

    return build
