"""One thread that runs builds: what it is told to do, and the orders for what it does."""

import os
import resource
from threading import Lock

from sloth_ci.builds import Halt
from sloth_ci.store import Claimed

#: Descriptors that must be free before a build is taken; the start of an action needs about ten.
DESCRIPTORS = 16

#: The folder of the process's open descriptors; its size is their number, since Linux 6.2.
_OPEN = "/proc/self/fd"


class Worker:
    """A thread's part of what it and the executor know of each other.

    What is of no lock here belongs to the thread while it serves, and to the executor otherwise.
    """

    __slots__ = ("_called", "app_id", "claimed", "following", "halt")

    def __init__(self) -> None:
        #: The app that is served; None for the thread's end.
        self.app_id: int | None = None
        #: The build of it that runs next, where that is claimed already.
        self.claimed: Claimed | None = None
        #: The app that was chosen to be served next.
        self.following: int | None = None
        #: Kept from build to build: it follows the thread, so an order reaches what runs there.
        self.halt: Halt | None = None
        self._called = Lock()
        self._called.acquire()

    def call(self, app_id: int | None, claimed: Claimed | None = None) -> None:
        """Let the waiting thread serve that app, or end with None."""
        self.app_id, self.claimed = app_id, claimed
        self._called.release()

    def wait(self, seconds: float) -> bool:
        """Wait for the call; False when it does not come in time."""
        return self._called.acquire(timeout=seconds)

    def equip(self) -> Halt:
        """What delivers orders to the next build.

        Raises OSError while the system gives too few descriptors for a build.
        """
        if self.halt and not self.halt.reuse():
            self.close()
        check_descriptors()
        self.halt = self.halt or Halt()
        return self.halt

    def can_go_on(self) -> bool:
        """Whether another build may run at once, with what delivered orders to the last one."""
        if self.halt is None or not self.halt.reuse():
            return False
        try:
            check_descriptors()
        except OSError:
            return False  # whoever tries next says so, and waits
        return True

    def close(self) -> None:
        """Give the descriptors back."""
        if self.halt:
            self.halt.close()
            self.halt = None


def check_descriptors() -> None:
    """Raises OSError when an action could not be started now, and so its build would fail."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    number = _count_descriptors()
    if not number or most - DESCRIPTORS < number:
        _try_descriptors()


def _count_descriptors() -> int:
    """How many are open; 0 where the system does not tell."""
    try:
        # Opened, as it also has to be found out whether the whole system has some left.
        folder = os.open(_OPEN, os.O_RDONLY)
    except FileNotFoundError:
        return 0
    try:
        return os.fstat(folder).st_size
    finally:
        os.close(folder)


def _try_descriptors() -> None:
    opened = [os.open(os.devnull, os.O_RDONLY)]
    try:
        # Copies of one are as good as files, and cost far less.
        while len(opened) < DESCRIPTORS:
            opened.append(os.dup(opened[0]))
    finally:
        for descriptor in opened:
            os.close(descriptor)
