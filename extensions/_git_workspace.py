"""A folder with a checkout in it, which one build at a time may have."""

import fcntl
import os
import select
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self

from sloth_ci.builds import Halt
from sloth_ci.hooks import Unprepared

#: Seconds between looks at a workspace that somebody else has.
_LOOK = 0.2


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder of ours: the lock file beside it says so, and who has it."""

    folder: Path

    @property
    def lock(self) -> Path:
        """The lock file."""
        return self.folder.with_name(f"{self.folder.name}.lock")

    @property
    def fresh(self) -> Path:
        """Where a new checkout is made, before it takes the folder's place."""
        return self.folder.with_name(f"{self.folder.name}.new")

    def check_ours(self) -> None:
        """Raises Unprepared when the folder has something in it that is not of our making."""
        try:
            filled = any(self.folder.iterdir())
        except FileNotFoundError:
            return
        except OSError as error:
            raise Unprepared(
                f"The workspace {self.folder} can't be used: {error.strerror}."
            ) from error
        if filled and not self.lock.exists():
            raise Unprepared(
                f"The workspace {self.folder} has files in it and was not made by Sloth CI; "
                "empty it, or choose another folder with 'workspace'."
            )


class Hold:
    """A workspace's lock, held; it goes with the process, whatever ends that."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        """Let others have it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.release()


def hold(workspace: Workspace, *, deadline: float, halt: Halt, who: str) -> Hold | None:
    """Wait for the workspace and take it; None when the build was halted meanwhile.

    Raises Unprepared at the deadline, naming who has it. flock(2), so that two servers, two apps
    and two builds of one process keep each other out alike.
    """
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(workspace.lock, flags, 0o600)
    except OSError as error:
        raise Unprepared(
            f"The lock of the workspace, {workspace.lock}, can't be made: {error.strerror}."
        ) from error
    held = Hold(descriptor)
    with held:
        while not _try(descriptor):
            if monotonic() >= deadline:
                owner = os.pread(descriptor, 1000, 0).decode(errors="replace") or "others"
                raise Unprepared(f"The workspace {workspace.folder} is used by {owner}.")
            select.select([halt.fileno()], [], [], _LOOK)
            if halt.status:
                held.release()
                return None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, who.encode(), 0)
    return held


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
