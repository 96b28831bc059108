"""`python -m bench.profile`: where the processor's time goes, for what is accepted and what is run.

The kernel tells of each thread what it took and how often it gave way to another (proc(5)); `perf`,
where it is installed and permitted, tells in which libraries the time was spent.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from threading import Event
from time import monotonic, time

from bench import ROOT
from bench.accept import BLOCKED
from bench.contestant import App
from bench.course import Course, Effort
from bench.peers import Ours

SECONDS = 4.0
#: Of the way to the first byte, and seconds between them.
ROUNDS = 50
REST = 0.02
#: Whose time a library's is; what is in none of these is `other`.
OWNERS = (
    ("kernel", re.compile(r"\[kernel|\[unknown|\.ko|\[guest|\[vdso")),
    ("SQLite", re.compile(r"sqlite")),
    ("JSON", re.compile(r"_json")),
    ("crypto", re.compile(r"crypto|hash|_sha")),
    ("libc", re.compile(r"libc[.-]|libpthread|ld-")),
    ("interpreter", re.compile(r"python")),
)
_SHARE = re.compile(r"^\s+(\d+\.\d+)%\s+(\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Taken:
    """What a process took so far; seconds of processor time."""

    in_user: float
    in_kernel: float
    #: Of the children that it waited for.
    of_children: float
    #: How often its threads gave way to others.
    switches: int


@dataclass(slots=True)
class Profile:
    """What one kind of work takes, each time."""

    work: str
    count: float = 0.0
    before: Taken = field(default=Taken(0, 0, 0, 0))
    after: Taken = field(default=Taken(0, 0, 0, 0))
    shares: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        """A row of the table."""
        each = 1e6 / self.count
        in_kernel = self.after.in_kernel - self.before.in_kernel
        own = self.after.in_user - self.before.in_user + in_kernel
        children = self.after.of_children - self.before.of_children
        switches = (self.after.switches - self.before.switches) / self.count
        shares = ", ".join(f"{name} {share:.0f} %" for name, share in self.shares.items())
        return (
            f"| {self.work} | {each * own:.0f} | {each * in_kernel:.0f} | {each * children:.0f} |"
            f" {switches:.1f} | {shares or 'not known: there is no perf'} |"
        )


def main() -> None:
    """Profile all kinds of work, and print a table."""
    course = Course(effort=Effort.FULL, tree=ROOT, peers=frozenset(), curves=False)
    print("| Each | µs of the server | of it in the kernel | µs of the shell | switches | where |")
    print("|---|---|---|---|---|---|")
    try:
        for work, app, run in (
            ("push accepted", BLOCKED, _push),
            ("trigger accepted, nothing run", BLOCKED, _trigger),
            ("build run", App("spam"), _build),
        ):
            print(_profile(course, work, app, run), flush=True)
        print("\n| On the way to the first byte | ms, the median |\n|---|---|")
        for step, delays in _walk_to_first_byte(course).items():
            print(f"| {step} | {1e3 * median(delays):.1f} |", flush=True)
    finally:
        course.close()


def _profile(course: Course, work: str, app: App, run: Callable[[Ours, Profile], None]) -> Profile:
    profile = Profile(work)
    folder = course.folder()
    with Ours(folder, [app], tree=course.tree) as server:
        server.trigger(seconds=1)
        run(server, profile)
    course.forget(folder)
    return profile


def _walk_to_first_byte(course: Course) -> dict[str, list[float]]:
    """Seconds of parts of the way, on a server that does nothing else."""
    found: dict[str, list[float]] = {}
    folder = course.folder()
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    app = App("spam", action=f"echo x > {pipe}")
    listening = os.open(pipe, os.O_RDWR)

    def note(step: str, began: float) -> None:
        found.setdefault(step, []).append(monotonic() - began)
        Event().wait(REST)

    with Ours(folder, [app], tree=course.tree) as server:
        for _ in range(ROUNDS):
            began = monotonic()
            server.call("version")
            note("a request over HTTP and its answer, with nothing done", began)
            began = monotonic()
            server.fire(app)
            note("a trigger and its answer: the build is on the disk, and claimed", began)
            os.read(listening, 100)
            began = monotonic()
            with subprocess.Popen(["/bin/sh", "-c", app.action]):
                os.read(listening, 100)
                note("a shell that Python starts, to its first byte", began)
            began = monotonic()
            server.fire(app)
            os.read(listening, 100)
            note("a trigger, to the first byte of its action", began)
    os.close(listening)
    course.forget(folder)
    return found


def _push(server: Ours, profile: Profile) -> None:
    with _metered(server, profile):
        profile.count = server.push(seconds=SECONDS).rate * SECONDS


def _trigger(server: Ours, profile: Profile) -> None:
    with _metered(server, profile):
        profile.count = server.trigger(seconds=SECONDS).rate * SECONDS


def _build(server: Ours, profile: Profile) -> None:
    server.trigger(seconds=SECONDS)
    with _metered(server, profile):
        began = time()
        Event().wait(SECONDS / 2)
        ended = time()
    profile.count = sum(began < moment <= ended for moment in server.finished())


@contextmanager
def _metered(server: Ours, profile: Profile) -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder, _recorded(server.pid, Path(folder)) as shares:
        profile.before = take(server.pid)
        yield
        profile.after = take(server.pid)
    profile.shares = shares


def take(pid: int) -> Taken:
    """What the process took so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, kernel, children, more = (int(one) / os.sysconf("SC_CLK_TCK") for one in fields[11:15])
    switches = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        lines = (thread / "status").read_text().splitlines()
        switches += sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)
    return Taken(user, kernel, children + more, switches)


@contextmanager
def _recorded(pid: int, folder: Path) -> Iterator[dict[str, float]]:
    """Fill in the shares of the owners, when this ends."""
    shares: dict[str, float] = {}
    perf = shutil.which("perf")
    if perf is None:
        yield shares
        return
    data = str(folder / "perf.data")
    record = [perf, "record", "-q", "-F", "499", "-p", str(pid), "-o", data]
    recording = subprocess.Popen(record, stderr=subprocess.DEVNULL)
    yield shares
    recording.terminate()
    recording.wait()
    report = [perf, "report", "-i", data, "--stdio", "--sort", "dso"]
    told = subprocess.run(report, capture_output=True, text=True, check=False).stdout
    found = _share_out((float(share), name) for share, name in _SHARE.findall(told))
    shares.update(found)


def _share_out(parts: Iterator[tuple[float, str]]) -> dict[str, float]:
    """Percents by owner, the greatest first."""
    found: dict[str, float] = {}
    for share, library in parts:
        owner = next((name for name, form in OWNERS if form.search(library)), "other")
        found[owner] = found.get(owner, 0.0) + share
    return dict(sorted(found.items(), key=lambda item: -item[1]))


if __name__ == "__main__":
    main()
