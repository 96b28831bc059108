"""Stop and restart: what runs gets its time, what waits is kept, nobody who calls is cut off."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from threading import Event, Thread
from time import monotonic, time

from tests.calls import Api, wait_until
from tests.conftest import LOGIN, RunningServer
from tests.faults import Finding, Scale, experiment, found
from tests.faults.durability.stage import (
    BROKEN_OFF,
    SEED,
    Stage,
    end,
    marked_processes,
    pause,
    seconds,
)

APPS = tuple(f"app-{number}" for number in range(4))
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
    "5",
    title="SIGTERM while builds run",
    criterion="grace of 30 s, builds of 2 s: new triggers get 503, 100 % of what runs finishes,"
    " exit 0 within 1 s of the last; grace of 1 s: what runs is killed and interrupted, exit within"
    " 3 s, the queue is kept; second SIGTERM: exit within 2 s",
)
def stop_under_builds(scale: Scale, folder: Path) -> Finding:
    """Stop servers with builds that end in time, that don't, and that ignore TERM."""
    rounds = scale.pick(short=1, full=5)
    dice = Random(SEED)
    ends: list[Ending] = []
    late: list[Ending] = []
    twice: list[Ending] = []
    for number in range(rounds):
        delay = dice.uniform(0, 1)
        # Three servers that mostly wait, at the same time.
        with ThreadPoolExecutor(3) as pool:
            in_time = pool.submit(_end_in_time, _folder(folder, "in-time", number), scale, delay)
            by_grace = pool.submit(_end_by_force, _folder(folder, "grace", number), 1, 1)
            by_signal = pool.submit(_end_by_force, _folder(folder, "twice", number), 30, 2)
        ends.append(in_time.result())
        late.append(by_grace.result())
        twice.append(by_signal.result())
    slowest = max(one.slowest for one in ends)
    slow_late, slow_twice = (max(one.slowest for one in all_) for all_ in (late, twice))
    faults = [fault for one in (*ends, *late, *twice) for fault in one.faults]
    faults += ["slow to exit"] * (slowest > seconds(scale, 1))
    faults += ["slow to exit after the grace"] * (slow_late > seconds(scale, 3))
    faults += ["slow to exit by the second signal"] * (slow_twice > seconds(scale, 2))
    return found(
        not faults,
        f"{3 * rounds} stops: exit {slowest:.2f} s after the last build's end,"
        f" {slow_late:.2f} s after SIGTERM with a grace of 1 s, {slow_twice:.2f} s after the second"
        f" SIGTERM; {'; '.join(sorted(set(faults))) or 'all else as promised'} (seed {SEED})",
    )


@dataclass
class Ending:
    """How one server ended."""

    slowest: float
    faults: list[str] = field(default_factory=list)

    def check(self, holds: bool, fault: str) -> None:
        """Note a fault unless it holds."""
        if not holds:
            self.faults.append(fault)


def _folder(folder: Path, name: str, number: int) -> Path:
    made = folder / f"{name}-{number}"
    made.mkdir()
    return made


def _end_in_time(folder: Path, scale: Scale, delay: float) -> Ending:
    """SIGTERM with a build of each app running and one waiting; `delay` is a part of a build."""
    length = scale.pick(short=5, full=20) / 10
    with Stage(folder, config="stop_grace: 30\nmax_builds: 4") as stage:
        api = stage.api
        running = _run(stage, f"sleep {length}")
        waiting = [api.trigger(app) for app in APPS]
        pause(delay * length / 2)
        stage.running.signal(signal.SIGTERM)
        answers = _trigger_until_gone(api)
        code, gone = stage.running.wait(), time()
        stage.start()
        places = ", ".join("?" * len(running))
        finished = stage.rows(
            f"SELECT status, finished FROM builds WHERE id IN ({places})", *running
        )
        ending = Ending(gone - max(moment for _status, moment in finished))
        refused = answers[answers.index(503) :] if 503 in answers else []
        ending.check(set(refused) == {503}, f"triggers got {dict(Counter(answers))}")
        ending.check({status for status, _ in finished} == {"complete"}, "not all builds finished")
        ending.check(code == 0, f"exit code {code}")
        stage.settle()
        statuses = stage.statuses()
        ending.check({statuses[build] for build in waiting} == {"complete"}, "the queue was lost")
    return ending


def _run(stage: Stage, command: str) -> list[int]:
    """A running build of each app."""
    for app in APPS:
        stage.api.create(f'listen_point: {app}\nactions: ["{command}"]\n')
    builds = [stage.api.trigger(app) for app in APPS]
    wait_until(lambda: list(stage.statuses().values()).count("running") == len(APPS))
    return builds


def _trigger_until_gone(api: Api) -> list[int]:
    """The answers to triggers until nobody answers."""
    answers: list[int] = []
    while True:
        try:
            answers.append(api("trigger", listen_point=APPS[0]).status)
        except BROKEN_OFF:
            return answers
        pause(0.02)


def _end_by_force(folder: Path, grace: int, signals: int) -> Ending:
    """SIGTERM to a server whose builds have no end, and half of them ignore TERM."""
    mark = f"FAULT_MARK={folder.name}-{folder.parent.name}-{os.getpid()}"
    with Stage(folder, config=f"stop_grace: {grace}\nmax_builds: 4") as stage:
        try:
            stubborn = "[ $SLOTH_BUILD -gt 2 ] && trap '' TERM"
            running = _run(stage, f"export {mark}; {stubborn}; sleep 1000 & sleep 1000; sleep 1000")
            waiting = [stage.api.trigger(app) for app in APPS]
            wait_until(lambda: len(marked_processes(mark)) >= 2 * len(APPS))
            if signals == 2:
                stage.running.signal(signal.SIGTERM)
                wait_until(lambda: stage.api("trigger", listen_point=APPS[0]).status == 503)
            told = monotonic()
            stage.running.signal(signal.SIGTERM)
            code = stage.running.wait()
            ending = Ending(monotonic() - told)
            ending.check(code == 0, f"exit code {code}")
            ending.check(not marked_processes(mark), "processes live on")
            stage.start()
            statuses = stage.statuses()
            ended = {statuses[build] for build in running}
            ending.check(ended == {"interrupted"}, f"what ran is {ended}")
            kept = {statuses[build] for build in waiting}
            ending.check(kept <= {"queued", "running"}, f"what waited is {kept}")
            stage.kill()
        finally:
            end(marked_processes(mark))
    return ending


@experiment(
    "6",
    title="restart under 50 triggers/s",
    criterion="by the restart action: 0 connections reset or refused, longest answer 2 s, 0"
    " accepted lost; socket from systemd and a new process after SIGTERM or kill -9: 0 connections"
    " refused, 0 accepted lost",
)
def restart_under_load(scale: Scale, folder: Path) -> Finding:
    """Restart while new connections come in; then replace the process on an inherited socket."""
    restarts = scale.pick(short=1, full=8)
    dice = Random(SEED)
    own = _restart_by_action(_folder(folder, "own", 0), restarts, dice)
    handed = _replace_on_socket(_folder(folder, "handed", 0), restarts, dice)
    limit = seconds(scale, 2)
    return found(
        not own.failures
        and own.statuses.keys() == {202}
        and own.slowest <= limit
        and not own.lost
        and not (handed.refused or handed.lost)
        and handed.statuses.keys() <= {202, 503},
        f"{restarts} restarts: {own.tell()}, longest answer {own.slowest:.2f} s;"
        f" {restarts} new processes on one socket: {handed.tell()} (seed {SEED})",
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
        enough = len(self.accepted) + RATE // 2
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


def _replace_on_socket(folder: Path, times: int, dice: Random) -> Traffic:
    """Play systemd: hold the socket, and give it to one process after another."""
    traffic = Traffic()
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listening:
        stage = ActivatedStage(folder, listening)
        with stage:
            stage.api.create("listen_point: app\nactions: ['true']")
            with traffic.flow(stage.running.url):
                for number in range(times):
                    traffic.wait_for_more()
                    pause(dice.uniform(0, 0.2))
                    stage.running.signal(signal.SIGKILL if number % 2 else signal.SIGTERM)
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
