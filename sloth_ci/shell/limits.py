"""The kernel's limits on an action: set by its own shell before anything else (setrlimit(2)).

The server can't set them for a process that has another user already (prlimit(2) asks for a right
that containers lack), and Python code between fork and exec is not safe beside threads. `ulimit` is
of POSIX, but its letters are not: the one for processes is -u in bash and -p in dash and busybox.
All but the number of processes count for each process alone: that is what the kernel has.
"""

import os
import resource
import signal

from sloth_ci.builds import Limits
from sloth_ci.shell.owners import read_file

#: The exit code of a shell that could not set its limits: as for a command that can't be run.
NOT_SET = 126

_FILE_BLOCK = 512
_MEMORY_BLOCK = 1024
#: What a shell adds to a signal's number when it tells of a child's end.
_SIGNALLED = 128
_UNITS = ((1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB"))


def limiting(limits: Limits, *, uid: int) -> str:
    """Shell text that sets the limits for a shell of that user, '' when there are none."""
    commands = [
        *_set_processes(limits.processes, uid),
        *_set("v", resource.RLIMIT_AS, limits.memory, _MEMORY_BLOCK),
        *_set_cpu(limits.cpu),
        *_set("f", resource.RLIMIT_FSIZE, limits.file_size, _FILE_BLOCK),
        *_set("n", resource.RLIMIT_NOFILE, limits.open_files),
    ]
    if not commands:
        return ""
    failing = f"echo 'The limits of this app can not be set here.' >&2; exit {NOT_SET}"
    return f"{{ {' && '.join(commands)}; }} || {{ {failing}; }}; "


def describe_limit(limits: Limits, returned: int) -> str:
    """The limit that ended a shell with that exit code or negative signal; '' when none shows."""
    number = -returned if returned < 0 else returned - _SIGNALLED
    if number == signal.SIGXCPU and limits.cpu is not None:
        return f"CPU limit of {limits.cpu} s reached"
    if number == signal.SIGXFSZ and limits.file_size is not None:
        return f"File size limit of {_in_words(limits.file_size)} reached"
    return ""


def _set_processes(wanted: int | None, uid: int) -> list[str]:
    if wanted is None:
        return []
    # The kernel counts all of a user's; a server of many threads has to be reckoned with.
    most = _within(resource.RLIMIT_NPROC, _count_tasks(uid) + wanted)
    return [f"{{ ulimit -u {most} || ulimit -p {most}; }} 2>/dev/null"]


def _set_cpu(wanted: int | None) -> list[str]:
    if wanted is None:
        return []
    # XCPU comes at the soft limit and tells itself from other signals, KILL only at the hard one.
    soft = _within(resource.RLIMIT_CPU, wanted)
    return [f"ulimit -St {soft}", f"ulimit -Ht {_within(resource.RLIMIT_CPU, soft + 1)}"]


def _set(letter: str, kind: int, wanted: int | None, block: int = 1) -> list[str]:
    if wanted is None:
        return []
    return [f"ulimit -{letter} {max(1, _within(kind, wanted) // block)}"]


def _within(kind: int, wanted: int) -> int:
    """No more than what the server itself has, which is all it can give."""
    hard = resource.getrlimit(kind)[1]
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


def _count_tasks(uid: int) -> int:
    """The threads of all processes of the user."""
    return sum(_tasks_of(pid, uid) for pid in os.listdir("/proc") if pid.isdecimal())  # noqa: PTH208  names are all it takes


def _tasks_of(pid: str, uid: int) -> int:
    try:
        lines = read_file(pid, "status").decode(errors="replace").splitlines()
    except OSError:
        return 0
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    real = int(facts["Uid"].split()[0])
    return int(facts.get("Threads", "1")) if real == uid else 0


def _in_words(size: int) -> str:
    for unit, name in _UNITS:
        if size >= unit and size % (unit // 10 or 1) == 0:
            return f"{size / unit:g} {name}"
    return f"{size} bytes"
