"""Process ids that another process gets: real ones where the system lets us choose them."""

import ctypes
import os
import signal
import struct
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Self

import psutil

from sloth_ci.shell.offspring import send_signal, sight_all
from tests.calls import wait_until
from tests.faults.durability.stage import end

#: clone3(2), the same number on every architecture.
_CLONE3 = 435
_PR_SET_CHILD_SUBREAPER = 36


class Recycling:
    """Kills processes of builds and gives their ids to innocent ones."""

    def __init__(self) -> None:
        self._innocent: set[int] = set()
        self.kind = "processes with a recycled id"

    def __enter__(self) -> Self:
        _adopt_orphans(True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        end(self._innocent)
        _reap(self._innocent | _adopted_zombies())
        _adopt_orphans(False)

    @property
    def trials(self) -> int:
        """How many innocent processes there were."""
        return len(self._innocent)

    def replace(self, pids: set[int], count: int) -> None:
        """Kill so many of these and start innocent ones in their place."""
        groups = {pid: os.getpgid(pid) for pid in pids}
        sizes = Counter(groups.values())
        # The id of a group that has other members stays in use.
        free = [pid for pid, group in groups.items() if group != pid or sizes[pid] == 1]
        chosen = set(sorted(free)[:count])
        seen = [sighting for sighting in sight_all() if sighting.pid in chosen]
        end(chosen)
        _reap(chosen)
        for sighting in seen:
            pid = self._start(sighting.pid)
            self._innocent.add(pid)
            # Whoever looked before the change and acts after it must hit nobody.
            send_signal(replace(sighting, pid=pid), signal.SIGKILL)

    def survivors(self) -> int:
        """How many of the innocent processes live."""
        return sum(os.waitpid(pid, os.WNOHANG) == (0, 0) for pid in self._innocent)

    def _start(self, pid: int) -> int:
        try:
            return _start_as(pid)
        except PermissionError:
            self.kind = "processes taken for a dead one by their id"
            return os.posix_spawn("/bin/sleep", ["sleep", "1000"], {}, setsid=True)


def _start_as(pid: int) -> int:
    """Start a process that sleeps and has this id.

    Raises PermissionError where the system lets nobody choose, or not us.
    """
    wanted = ctypes.c_int(pid)
    # struct clone_args: exit_signal is the fifth member, set_tid and its size are 9th and 10th.
    members = [0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, ctypes.addressof(wanted), 1, 0]
    arguments = struct.pack("11Q", *members)
    libc = ctypes.PyDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    made = libc.syscall(_CLONE3, ctypes.c_char_p(arguments), ctypes.c_size_t(len(arguments)))
    if made == 0:
        try:
            os.setsid()
            os.execv("/bin/sleep", ["sleep", "1000"])
        finally:
            os._exit(1)
    if made < 0:
        raise PermissionError(ctypes.get_errno(), "clone3")
    return int(made)


def _adopt_orphans(wanted: bool) -> None:
    """Let the killed server's orphans become ours, since init may take its time to reap them."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl:
        prctl(_PR_SET_CHILD_SUBREAPER, int(wanted), 0, 0, 0)


def _adopted_zombies() -> set[int]:
    children = psutil.Process().children()
    return {child.pid for child in children if child.status() == psutil.STATUS_ZOMBIE}


def _reap(pids: set[int]) -> None:
    """Wait until nothing has these ids, not even a zombie."""
    for pid in pids:
        wait_until(partial(_is_gone, pid))


def _is_gone(pid: int) -> bool:
    # It may become our child only while we wait, by its parent's end.
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False
