"""A contestant of the bench: a server in a process of its own, with apps, under load."""

import hashlib
import hmac
import http.client
import os
import signal
import socket
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from time import monotonic
from types import TracebackType
from typing import Self

from bench import ROOT
from bench.load import Load, Request, press

#: A real delivery of GitHub, of 8.5 kB; its secret is ours.
PAYLOAD = ROOT / "tests" / "payloads" / "github" / "push-two-commits.json"
SECRET = "some-long-random-text"
#: Seconds after which a thing that should have happened won't happen any more.
PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class App:
    """What is to be run at a push or a trigger."""

    name: str
    action: str = "true"
    #: Takes signed pushes from GitHub.
    pushes: bool = False
    #: Our server's further keys for it.
    more: str = ""


class Contestant(ABC):
    """A running server with apps; as a context it is ended, with all that it started."""

    name: str

    def __init__(self, folder: Path, apps: Sequence[App]) -> None:
        self.folder = folder
        self.apps = apps
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        began = monotonic()
        self._process = self._start()
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.close()
            raise
        #: Seconds until it answered.
        self.start_time = monotonic() - began

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @abstractmethod
    def _start(self) -> "subprocess.Popen[bytes]":
        """Write the config and start the process."""

    @abstractmethod
    def finished(self) -> list[float]:
        """When each build that completed was finished, as seconds since the epoch, in order."""

    @abstractmethod
    def trigger_request(self, app: App) -> tuple[Request, str]:
        """What triggers a build, and the path that it goes to."""

    def push_request(self) -> Request:
        """What a provider sends it."""
        return signed_push()

    def push_path(self, app: App) -> str:
        """Where its pushes go."""
        return f"/{app.name}"

    def push(self, *, seconds: float, connections: int = 10) -> Load:
        """Press pushes on all apps in turn."""
        paths = [self.push_path(app) for app in self.apps]
        return self._press(self.push_request(), paths, seconds, connections)

    def trigger(self, *, seconds: float, connections: int = 10) -> Load:
        """Press triggers on all apps in turn."""
        found = [self.trigger_request(app) for app in self.apps]
        return self._press(found[0][0], [path for _request, path in found], seconds, connections)

    def fire(self, app: App) -> None:
        """Trigger one build."""
        request, path = self.trigger_request(app)
        self.send(request, path)

    def send(self, request: Request, path: str) -> bytes:
        """Send one request, and give the body of its answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with closing(connection):
            headers = {name: value.replace("@", "1") for name, value in request.headers.items()}
            connection.request(request.method, path, request.body or None, headers)
            answer = connection.getresponse()
            body = answer.read()
        if answer.status >= 400:
            raise RuntimeError(f"{self.name} answers {answer.status}: {body[:300]!r}")
        return body

    def _press(self, request: Request, paths: list[str], seconds: float, connections: int) -> Load:
        return press(
            self.url,
            request,
            paths=paths,
            seconds=seconds,
            folder=self.folder,
            connections=connections,
        )

    def _spawn(
        self, command: list[str], *, cwd: Path, **environment: str
    ) -> "subprocess.Popen[bytes]":
        with (self.folder / "screen.txt").open("ab") as screen:
            return subprocess.Popen(
                command,
                cwd=cwd,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=screen,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _wait_until_it_answers(self) -> None:
        def answers() -> bool:
            if self._process.poll() is not None:
                raise RuntimeError((self.folder / "screen.txt").read_text())
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
                with closing(connection):
                    connection.request("GET", "/")
                    connection.getresponse().read()
            except OSError:
                return False
            return True

        wait_until(answers, pause=0.01)

    def close(self) -> None:
        """End it; a queue that is still full is left as it is."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(3)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def signed_push() -> Request:
    """A push of GitHub with a right signature, another delivery each time."""
    body = PAYLOAD.read_bytes()
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "GitHub-Hookshot/044aadd",
        "X-GitHub-Delivery": "@",
        "X-GitHub-Event": "push",
        "X-Hub-Signature-256": f"sha256={signature}",
    }
    return Request(headers, body)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def wait_until(
    condition: Callable[[], bool], *, pause: float = 0.05, patience: float = PATIENCE
) -> None:
    """Return once the condition holds."""
    deadline = monotonic() + patience
    while not condition():
        if monotonic() > deadline:
            raise TimeoutError(f"It never came true in {patience:.0f} s")
        Event().wait(pause)
