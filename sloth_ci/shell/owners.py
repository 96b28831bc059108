"""Read what /proc shows, also what it shows to a process's own user only.

Root sees all of it only with a right (CAP_SYS_PTRACE) that containers lack. What counts is the file
system's idea of who asks, which a thread can change for itself alone: setfsuid(2).
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

_PART = 8_192


def read_file(pid: int | str, name: str) -> bytes:
    """A file of the process's folder in /proc.

    Raises OSError.
    """
    # A Path would enter its parts, new ones with each process, into a table of the interpreter's
    # that is made anew, with megabytes, whenever it is full; a file object asks for its size.
    descriptor = os.open(f"/proc/{pid}/{name}", os.O_RDONLY)
    try:
        parts = []
        while part := os.read(descriptor, _PART):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def read_as_owner(pid: int, name: str) -> bytes:
    """A file of the process's folder in /proc; b"" when it is gone, or not for us in any way."""
    if os.geteuid() != 0:
        return b""
    try:
        owner = os.stat(f"/proc/{pid}")  # noqa: PTH116
        with _looking_as(owner.st_uid, owner.st_gid):
            return read_file(pid, name)
    except OSError:
        return b""


@contextmanager
def _looking_as(uid: int, gid: int) -> Iterator[None]:
    """The calling thread, and no other, meets files as that user."""
    system = ctypes.CDLL(None)
    try:
        system.setfsgid(gid)
        system.setfsuid(uid)
        yield
    finally:
        system.setfsuid(os.geteuid())
        system.setfsgid(os.getegid())
