"""Restart: whoever calls waits a moment and is answered."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from threading import Event, Thread
from time import monotonic

from tests.calls import Api, wait_until
from tests.conftest import LOGIN, RunningServer
from tests.faults import Finding, Scale, experiment, found
from tests.faults.durability.endings import make_folder
from tests.faults.durability.stage import BROKEN_OFF, SEED, Stage, pause, seconds

CALLERS = 5
#: Gives a server its socket as systemd does; the process must know its own id for that.
HAND_OVER = """\
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execv(sys.executable, [sys.executable, "-m", "sloth_ci.server", "server.yml"])
"""
#: Triggers a second, of all callers together.
RATE = 50


@experiment(
    "6",
    title="restart under 50 triggers/s",
    criterion="by the restart action, and by a new process on systemd's socket after SIGTERM: 0"
    " connections reset or refused, longest answer 2 s; after kill -9: 0 refused; 0 accepted lost",
)
def restart_under_load(scale: Scale, folder: Path) -> Finding:
    """Restart while new connections come in; then replace the process on an inherited socket."""
    restarts = scale.pick(short=1, full=8)
    dice = Random(SEED)
    own = _restart_by_action(make_folder(folder, "own", 0), restarts, dice)
    handed = _replace_on_socket(make_folder(folder, "handed", 0), signal.SIGTERM, restarts, dice)
    killed = _replace_on_socket(make_folder(folder, "killed", 0), signal.SIGKILL, restarts, dice)
    slowest = max(own.slowest, handed.slowest)
    return found(
        not (own.failures or handed.failures or killed.refused)
        and not (own.lost or handed.lost or killed.lost)
        and own.statuses.keys() | killed.statuses.keys() == {202}
        and handed.statuses.keys() <= {202, 503},
        f"{restarts} restarts by the action: {own.tell()}; {restarts} by SIGTERM: {handed.tell()};"
        f" {restarts} by kill -9: {killed.tell()}; longest answer {slowest:.2f} s (seed {SEED})",
        in_time=slowest <= seconds(scale, 2),
    )


@dataclass
class Traffic:
    """What callers met who open a connection for each trigger."""

    accepted: list[int] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[BaseException] = field(default_factory=list)
    slowest: float = 0.0
    lost: int = 0

    @property
    def refused(self) -> list[BaseException]:
        """Those whom nobody listened to."""
        return [one for one in self.failures if isinstance(one, ConnectionRefusedError)]

    def tell(self) -> str:
        """The figures."""
        cut_off = len(self.failures) - len(self.refused)
        kinds = sorted({type(one).__name__ for one in self.failures})
        return (
            f"{len(self.accepted)} accepted, {self.lost} lost, {self.statuses[503]} answered 503,"
            f" {len(self.refused)} refused a connection, {cut_off} cut off"
            + (f" ({', '.join(kinds)})" if kinds else "")
        )

    @contextmanager
    def flow(self, url: str) -> Iterator[None]:
        """Callers at work."""
        stop = Event()
        callers = [Thread(target=self._call, args=(url, stop)) for _ in range(CALLERS)]
        for caller in callers:
            caller.start()
        try:
            yield
        finally:
            stop.set()
            for caller in callers:
                caller.join()

    def wait_for_more(self) -> None:
        """Until some were accepted from now on."""
        enough = len(self.accepted) + RATE // 5
        wait_until(lambda: len(self.accepted) >= enough)

    def check(self, stage: Stage) -> None:
        """Count what was accepted and isn't there."""
        stage.settle()
        statuses = stage.statuses()
        kept = ("complete", "interrupted")
        self.lost = sum(statuses.get(build) not in kept for build in self.accepted)

    def _call(self, url: str, stop: Event) -> None:
        api = Api(url, LOGIN)
        while not stop.is_set():
            began = monotonic()
            try:
                reply = api("trigger", listen_point="app")
            except BROKEN_OFF as error:
                self.failures.append(error)
            else:
                self.statuses[reply.status] += 1
                if reply.status == 202:
                    self.accepted.append(int(reply.headers["x-build-id"]))
            took = monotonic() - began
            self.slowest = max(self.slowest, took)
            stop.wait(CALLERS / RATE - took)


def _restart_by_action(folder: Path, restarts: int, dice: Random) -> Traffic:
    traffic = Traffic()
    with Stage(folder) as stage:
        stage.api.create("listen_point: app\nactions: ['true']")
        screen = folder / "screen.txt"
        with traffic.flow(stage.running.url):
            for number in range(1, restarts + 1):
                traffic.wait_for_more()
                pause(dice.uniform(0, 0.2))
                assert stage.api("restart").status == 202
                wait_until(lambda: screen.read_text().count("listens on") > number)  # noqa: B023
            traffic.wait_for_more()
        traffic.check(stage)
    return traffic


def _replace_on_socket(folder: Path, ending: signal.Signals, times: int, dice: Random) -> Traffic:
    """Play systemd: hold the socket, and give it to one process after another."""
    traffic = Traffic()
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listening:
        stage = ActivatedStage(folder, listening)
        with stage:
            stage.api.create("listen_point: app\nactions: ['true']")
            with traffic.flow(stage.running.url):
                for _ in range(times):
                    traffic.wait_for_more()
                    pause(dice.uniform(0, 0.2))
                    stage.running.signal(ending)
                    stage.running.wait()
                    stage.start()
                traffic.wait_for_more()
            traffic.check(stage)
    return traffic


class ActivatedStage(Stage):
    """Its servers get their socket as systemd gives it: descriptor 3."""

    def __init__(self, folder: Path, listening: socket.socket) -> None:
        super().__init__(folder)
        self._listening = listening
        port = listening.getsockname()[1]
        (folder / "server.yml").write_text(
            f"port: {port}\napi_auth: {{login: {LOGIN[0]}, password: {LOGIN[1]}}}\n"
        )

    def start(self) -> None:
        """Start a server on the socket."""
        ready, pipe_end = os.pipe()
        # Out of the way of the descriptor that the socket gets.
        waiting = fcntl.fcntl(pipe_end, fcntl.F_DUPFD_CLOEXEC, 10)
        os.close(pipe_end)
        given = self._listening.fileno()
        with (self.folder / "screen.txt").open("ab") as screen:
            process = subprocess.Popen(
                [sys.executable, "-c", HAND_OVER, str(given)],
                cwd=self.folder,
                env={**os.environ, "SLOTH_READY_FD": str(waiting)},
                pass_fds=[waiting, given],
                stdin=subprocess.DEVNULL,
                stdout=screen,
                stderr=subprocess.STDOUT,
            )
        os.close(waiting)
        with os.fdopen(ready) as pipe:
            line = pipe.readline()
        port = self._listening.getsockname()[1]
        self.server = RunningServer(f"http://127.0.0.1:{port}", self.folder, process)
        assert "listens on" in line, line
