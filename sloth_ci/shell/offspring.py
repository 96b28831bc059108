"""The processes that an action started: found wherever they went, ended, and reaped.

On Linux a process leaves its group and session with setsid(2), and its parent by a double fork. An
action's are found by their session, by their ancestors, and by the marker in their environment;
as the server is their subreaper (prctl(2)), those whose parent ended become its own children, so
one look at /proc/self/task/TID/children tells whether anything is left at all.
What escapes: a process that left the session, lost its parents and cleared its environment.
"""

import ctypes
import os
import signal
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from sloth_ci.shell.owners import read_as_owner, read_file

_PR_SET_CHILD_SUBREAPER = 36
_PR_GET_CHILD_SUBREAPER = 37

#: A signal nobody uses, ignored by every action. An ignored signal is inherited by all descendants
#: whatever they do to their session and environment, and is still readable of a zombie: it tells
#: an adopted orphan, ours to reap, from a child that other code in the server waits for.
_BIRTHMARK = getattr(signal, "SIGRTMAX", 64) - 6

#: Seconds for a process to be replaced by execve(2); in its midst it has no environment.
_REPLACING = 0.1

#: Shells that their own thread reaps, by process id, which is the id of their session too.
_shells: set[int] = set()
#: Held while zombies are looked for and reaped, so that none is reaped twice.
_reaping = threading.RLock()
_NOTHING = nullcontext()


def become_subreaper() -> bool:
    """Adopt the orphans of all descendants; False where the system can't do or show that."""
    if not _children_file().exists():
        return False
    if threading.current_thread() is threading.main_thread():
        # A server that was itself started by an action has its birthmark, and must not pass it on.
        signal.signal(_BIRTHMARK, signal.SIG_DFL)
    return bool(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def with_birthmark(text: str) -> str:
    """The shell text, so that whatever it starts carries the birthmark of actions."""
    return f"trap '' {_BIRTHMARK}; {text}" if hasattr(signal, "SIGRTMAX") else text


def starting() -> AbstractContextManager[object]:
    """While a shell is started: a child of the main thread stands among the adopted orphans."""
    in_main = threading.current_thread() is threading.main_thread()
    return _reaping if in_main else _NOTHING


def remember_shell(pid: int) -> None:
    """Leave the reaping of this child to `forget_shell`."""
    _shells.add(pid)


def forget_shell(pid: int, reap: Callable[[], object]) -> None:
    """Reap a remembered shell that has ended."""
    with _reaping:
        _shells.discard(pid)
        reap()


@dataclass(frozen=True, slots=True)
class Sighting:
    """One process as /proc shows it; pid and start time together are its own for good."""

    pid: int
    zombie: bool
    parent: int
    group: int
    session: int
    #: Clock ticks since the system's start.
    started: int

    @property
    def identity(self) -> tuple[int, int]:
        """What no other process ever has."""
        return self.pid, self.started


class Offspring:
    """All processes of one action: its shell's session, its descendants, and the marked ones."""

    def __init__(self, shell: int, marker: str) -> None:
        self._shell = shell
        self._marker = marker.encode()

    def adopted(self) -> list[Sighting]:
        """The action's living orphans among the server's own children.

        Reaps the orphans of any action that have ended.
        """
        living: list[Sighting] = []
        looked_at: set[int] = set()
        with _reaping:
            # An orphan's own children came to us only with its end: look till nobody is new.
            while fresh := set(_children_of_main()) - looked_at - _shells:
                looked_at |= fresh
                own_session = os.getsid(0)
                for sighting in filter(None, map(_sight, fresh)):
                    if sighting.session == own_session:
                        continue
                    if sighting.zombie:
                        _reap(sighting)
                    elif self._marked(sighting):
                        living.append(sighting)
        return living

    def group_lives(self) -> bool:
        """Whether anything is left in the shell's process group; for a shell already reaped."""
        try:
            os.killpg(self._shell, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def find(self) -> list[Sighting]:
        """All living processes of the action."""
        if not _is_subreaper():
            return self._find_anywhere()
        # All the others are below the shell or below an orphan: far fewer than there are in all.
        found: dict[int, Sighting] = {}
        shell = _sight(self._shell)
        fresh = [*self.adopted(), *([shell] if shell and shell.session == self._shell else [])]
        while fresh:
            found |= {sighting.pid: sighting for sighting in fresh}
            children = {child for sighting in fresh for child in _children_of(sighting.pid)}
            fresh = [seen for seen in map(_sight, children - found.keys()) if seen]
        return [sighting for sighting in found.values() if not sighting.zombie]

    def _find_anywhere(self) -> list[Sighting]:
        seen = {sighting.pid: sighting for sighting in sight_all() if not sighting.zombie}
        # The kernel's own threads have session 0.
        foreign = {0, os.getsid(0)}
        found = {
            sighting.pid
            for sighting in seen.values()
            if sighting.session not in foreign and self._marked(sighting)
        }
        # A child may have a lower id than its parent, so once through isn't enough.
        while children := {s.pid for s in seen.values() if s.parent in found} - found:
            found |= children
        return [seen[pid] for pid in found]

    def _marked(self, sighting: Sighting) -> bool:
        return sighting.session == self._shell or self._marker in environment_of(sighting.pid)


def hold(sighting: Sighting) -> int:
    """A pidfd of the very process that was seen; -1 when it is gone."""
    try:
        pidfd = os.pidfd_open(sighting.pid)
    except OSError:
        return -1
    again = _sight(sighting.pid)
    if again is None or again.identity != sighting.identity:
        os.close(pidfd)
        return -1
    return pidfd


def send_signal(sighting: Sighting, number: signal.Signals) -> None:
    """Signal the very process that was seen, were its id taken by another meanwhile."""
    pidfd = hold(sighting)
    if pidfd < 0:
        return
    try:
        signal.pidfd_send_signal(pidfd, number)
        # A stopped process takes TERM only when it goes on.
        signal.pidfd_send_signal(pidfd, signal.SIGCONT)
    except (ProcessLookupError, PermissionError):
        pass
    finally:
        os.close(pidfd)


def sight_all() -> list[Sighting]:
    """Every process that can be seen."""
    try:
        with os.scandir("/proc") as entries:
            names = [entry.name for entry in entries]
    except OSError:
        return []
    sightings = (_sight(int(name)) for name in names if name.isdecimal())
    return [sighting for sighting in sightings if sighting]


def own_life() -> str:
    """What no other process ever has, as a text of letters, digits and `_`."""
    own = _sight(os.getpid())
    return f"{own.pid}_{own.started}" if own else str(os.getpid())


def environment_of(pid: int) -> bytes:
    """The process's environment as it was started, b"" when it can't be seen."""
    patience = monotonic() + _REPLACING
    while True:
        found = _read(pid, "environ")
        if found or _read(pid, "cmdline"):
            # What was empty may have been read in the midst of an execve(2), so read it now.
            return found or _read(pid, "environ")
        seen = _sight(pid)
        if seen is None or seen.zombie or monotonic() > patience:
            return b""
        os.sched_yield()


def _is_subreaper() -> bool:
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is None:
        return False
    answer = ctypes.c_int(0)
    prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(answer), 0, 0, 0)
    return answer.value == 1


def _sight(pid: int) -> Sighting | None:
    raw = _read(pid, "stat")
    if not raw:
        return None
    # The name, in parentheses, may itself hold blanks and parentheses: proc_pid_stat(5).
    fields = raw[raw.rindex(b")") + 2 :].split()
    return Sighting(
        pid=pid,
        zombie=fields[0] in (b"Z", b"X"),
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        started=int(fields[19]),
    )


def _read(pid: int, name: str) -> bytes:
    try:
        return read_file(pid, name)
    except PermissionError:
        return read_as_owner(pid, name)
    except OSError:
        return b""


def _children_file() -> Path:
    # Orphans come to the subreaper's first thread.
    return Path(f"/proc/self/task/{os.getpid()}/children")


def _children_of_main() -> list[int]:
    pid = os.getpid()
    return [int(child) for child in _read(pid, f"task/{pid}/children").split()]


def _children_of(pid: int) -> list[int]:
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208  names are all it takes
    except OSError:
        return []
    return [
        int(child) for thread in threads for child in _read(pid, f"task/{thread}/children").split()
    ]


def _reap(zombie: Sighting) -> None:
    """Reap an adopted orphan; what other code in the server started is left to its owner."""
    # What the server starts is in the server's session or leads its own: this one it didn't start.
    adopted = zombie.session not in (zombie.pid, os.getsid(0))
    if adopted or _has_birthmark(zombie.pid):
        with suppress(ChildProcessError):
            os.waitpid(zombie.pid, os.WNOHANG)


def _has_birthmark(pid: int) -> bool:
    for line in _read(pid, "status").splitlines():
        if line.startswith(b"SigIgn:"):
            return bool(int(line.split()[1], 16) >> (_BIRTHMARK - 1) & 1)
    return False
