"""What is left of builds when their server is gone: found by the marker, and ended.

Each action's environment holds a marker that begins with its server's token and life. The token
belongs to the server's database, so whoever holds that database's lock knows: a process with this
token that it didn't start itself was left behind. The life is that of one server process, whose
guardian may be late, when the next one has builds already. No process id of an action is
remembered, so no recycled one is killed.
"""

import os
import signal
from contextlib import suppress

from sloth_ci.shell.environment import MARKER
from sloth_ci.shell.offspring import Sighting, environment_of, own_life, send_signal, sight_all

#: Looks for processes at most so often: each may have started another one meanwhile.
_ROUNDS = 50


def end_leftovers(token: str, *, life: str = "") -> int:
    """Kill every process of a build that carries the token; gives their number.

    With a `life`, only those that the server of that life started.
    """
    wanted = f"{token}-{life}-" if life else f"{token}-"
    ended: set[tuple[int, int]] = set()
    for _ in range(_ROUNDS):
        found = _find(wanted)
        if not found:
            break
        for sighting in found:
            send_signal(sighting, signal.SIGKILL)
            ended.add(sighting.identity)
    return len(ended)


class Guardian:
    """A process beside the server that ends its builds if the server dies without doing so.

    It is forked, so make it before any thread. It waits for the end of a pipe that only the server
    holds, and then looks for leftovers; it shares its memory with the server.
    """

    def __init__(self) -> None:
        waiting, self._pipe = os.pipe()
        life = own_life()
        self._pid = os.fork()
        if self._pid == 0:
            _guard(waiting, self._pipe, life)
        os.close(waiting)

    def tell(self, token: str) -> None:
        """Tell it whom to look for."""
        os.write(self._pipe, token.encode())

    def dismiss(self) -> None:
        """Let it look around for the last time, and wait for its end."""
        os.close(self._pipe)
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


def _guard(waiting: int, pipe: int, life: str) -> None:
    """The life of the forked process: never returns."""
    try:
        os.close(pipe)
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        _let_go_of_all_but(waiting)
        token = b""
        while part := os.read(waiting, 1024):
            token += part
        if token:
            end_leftovers(token.decode(), life=life)
    finally:
        os._exit(0)


def _let_go_of_all_but(descriptor: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.closerange(3, descriptor)
    os.closerange(descriptor + 1, os.sysconf("SC_OPEN_MAX") if null < 65_536 else 65_536)


def _find(wanted: str) -> list[Sighting]:
    name, part = f"{MARKER}=".encode(), wanted.encode()
    return [
        sighting
        for sighting in sight_all()
        # Session 0 is the kernel's own; none of an action's is ever in ours.
        if not sighting.zombie
        and sighting.session not in (0, os.getsid(0))
        and _carries(sighting, name, part)
    ]


def _carries(sighting: Sighting, name: bytes, part: bytes) -> bool:
    return any(
        value.startswith(name) and part in value
        for value in environment_of(sighting.pid).split(b"\0")
    )
