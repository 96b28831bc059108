"""Process ids that another process gets: real ones where the system lets us choose them."""

import ctypes
import os
import signal
import struct
import sys
from contextlib import suppress
from types import TracebackType
from typing import Self

from sloth_ci.shell.offspring import Sighting, send_signal
from tests.calls import wait_until
from tests.faults.durability.stage import end

#: clone3(2), the same number on every architecture.
_CLONE3 = 435


class Recycling:
    """Kills processes of builds and gives their ids to innocent ones."""

    def __init__(self) -> None:
        self._innocent: set[int] = set()
        self.kind = "processes with a recycled id"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        end(self._innocent)
        for pid in self._innocent:
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)

    @property
    def trials(self) -> int:
        """How many innocent processes there were."""
        return len(self._innocent)

    def replace(self, pids: set[int], count: int) -> None:
        """Kill so many of these and start innocent ones in their place."""
        chosen = sorted(pids)[:count]
        end(set(chosen))
        for pid in chosen:
            wait_until(lambda pid=pid: not _exists(pid))  # type: ignore[misc]
            self._innocent.add(self._start(pid))

    def survivors(self) -> int:
        """How many of the innocent processes live."""
        return sum(os.waitpid(pid, os.WNOHANG) == (0, 0) for pid in self._innocent)

    def _start(self, pid: int) -> int:
        try:
            return _start_as(pid)
        except PermissionError:
            self.kind = "processes with the id of another one that was seen before"
            return _start_and_mistake()


def _start_as(pid: int) -> int:
    """Start a process that sleeps and has this id.

    Raises PermissionError where that takes a right that we don't have.
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


def _start_and_mistake() -> int:
    """Start a process that sleeps, and signal it by what was seen of a dead one with its id."""
    pid = os.posix_spawn("/bin/sleep", ["sleep", "1000"], {}, setsid=sys.platform == "linux")
    dead = Sighting(pid=pid, zombie=False, parent=1, group=pid, session=pid, started=1)
    send_signal(dead, signal.SIGKILL)
    return pid


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
