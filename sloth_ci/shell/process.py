"""One /bin/sh in a session of its own: how it is started, read and reaped."""

import errno
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Self

from sloth_ci.shell.accounts import UMASK, Account
from sloth_ci.shell.offspring import forget_shell, remember_shell, starting, with_birthmark

#: Seconds for the end of a shell that was killed.
_REAP_PATIENCE = 2.0
#: Seconds between looks at one that has not ended yet.
_LOOK = 0.001
#: Bytes that `ru_maxrss` counts in: getrusage(2) of Linux and of macOS.
_MEMORY_UNIT = 1 if sys.platform == "darwin" else 1024


class NotStarted(Exception):
    """The shell could not be started; the text says why and what to do."""


class Shell:
    """A running /bin/sh; as a context it gives its descriptors back.

    `exited` turns readable when the shell has ended; it is -1 where the system has no pidfd.
    """

    def __init__(self, process: subprocess.Popen[bytes], *, stdout: int, stderr: int) -> None:
        self._process = process
        self.pid = process.pid
        self.stdout = stdout
        self.stderr = stderr
        self.exited = _pidfd(process.pid)
        self._usage: resource.struct_rusage | None = None

    @property
    def cpu(self) -> float | None:
        """Seconds of processor time of the reaped shell, and of all that it waited for."""
        return self._usage and self._usage.ru_utime + self._usage.ru_stime

    @property
    def memory(self) -> int | None:
        """Bytes at the most of the largest process, None when it had less than the server itself.

        Linux counts what a process took over when it was made, and that is the server's memory.
        """
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if self._usage is None or self._usage.ru_maxrss <= own:
            return None
        return self._usage.ru_maxrss * _MEMORY_UNIT

    @property
    def reaped(self) -> bool:
        """Whether the process id may already belong to somebody else."""
        return self._process.returncode is not None

    def reap(self) -> int:
        """Wait for the end: the exit code, or the negative number of the signal."""
        forget_shell(self.pid, self._wait)
        # Killed and still there it hangs in the kernel; `subprocess` reaps it at a later start.
        return -signal.SIGKILL if self._process.returncode is None else self._process.returncode

    def _wait(self) -> None:
        """Wait for the end as `Popen.wait` does, and learn what was used, which that one hides."""
        until = monotonic() + _REAP_PATIENCE
        while not self.reaped:
            try:
                pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            except ChildProcessError:
                # Somebody else took it, and its end with it: as `Popen` has it.
                self._process.returncode = 0
                return
            if pid:
                self._process.returncode = os.waitstatus_to_exitcode(status)
                self._usage = usage
            elif monotonic() >= until:
                return
            else:
                sleep(_LOOK)

    def ended(self) -> bool:
        """Whether the shell has ended; it stays a zombie, and so its id stays its own."""
        if self.reaped:
            return True
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.pid, flags) is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for descriptor in (self.stdout, self.stderr, self.exited):
            if descriptor >= 0:
                os.close(descriptor)


def start_shell(
    text: str,
    *,
    arguments: Sequence[str] = (),
    work_dir: str,
    environment: Mapping[str, str],
    account: Account | None = None,
) -> Shell:
    """Start `/bin/sh -c text` in a new session, with nothing to read and two pipes to print to.

    The text finds the arguments as `"$@"`.
    Raises NotStarted. Without a preexec_fn, and for the server's own user also without a change of
    ids, so that CPython takes the cheap vfork.
    """
    descriptors: list[int] = []
    try:
        descriptors += os.pipe()
        descriptors += os.pipe()
        stdout, stdout_end, stderr, stderr_end = descriptors
        with starting():
            process = subprocess.Popen(
                ["/bin/sh", "-c", with_birthmark(text), "/bin/sh", *arguments],
                bufsize=0,
                stdin=subprocess.DEVNULL,
                stdout=stdout_end,
                stderr=stderr_end,
                cwd=work_dir,
                env=environment,
                start_new_session=True,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=account.groups if account else None,
                umask=UMASK if account else -1,
            )
            remember_shell(process.pid)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        for descriptor in descriptors:
            os.close(descriptor)
        if account and isinstance(error, OSError) and error.errno == errno.EPERM:
            raise NotStarted(_NO_CHANGE.format(name=account.name)) from error
        raise NotStarted(_explain(error, work_dir)) from error
    os.close(stdout_end)
    os.close(stderr_end)
    return Shell(process, stdout=stdout, stderr=stderr)


def _pidfd(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return -1


def _explain(error: Exception, work_dir: str) -> str:
    if not isinstance(error, OSError):
        return f"The action can't be started: {error}; check the app's 'env' and 'actions'."
    reason = _LIMITS.get(error.errno or 0)
    if reason:
        return reason
    folder = _explain_folder(Path(work_dir))
    return folder or f"/bin/sh can't be started: {error.strerror}."


def _explain_folder(folder: Path) -> str:
    try:
        if not folder.exists():
            return f"The work_dir '{folder}' does not exist; create it or correct the config."
        if not folder.is_dir():
            return f"The work_dir '{folder}' is no folder; correct the config."
    except OSError:
        return f"The work_dir '{folder}' can't be entered: permission denied for the server's user."
    if not os.access(folder, os.X_OK):
        return f"The work_dir '{folder}' can't be entered: permission denied for the server's user."
    return ""


_NO_CHANGE = (
    "The server may not change to the user '{name}' (EPERM); it needs the rights CAP_SETUID and"
    " CAP_SETGID."
)
_LIMITS = {
    errno.E2BIG: (
        "The action's command and environment are too long for the system (E2BIG): one param or "
        "command may have 128 KiB; pass a file's name instead."
    ),
    errno.EMFILE: (
        "The server has no file descriptor left to start the action (EMFILE); "
        "raise its limit of open files (ulimit -n)."
    ),
    errno.ENFILE: "The system has no file descriptor left to start the action (ENFILE).",
    errno.ENOMEM: "The system has no memory left to start the action (ENOMEM).",
    errno.EAGAIN: (
        "The system lets the server start no further process (EAGAIN); "
        "raise the limit of processes (ulimit -u, systemd's TasksMax)."
    ),
}
