"""7. What it takes to be there: idle memory, imports, size on the disk; with what dominates."""

import os
import re
import subprocess
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from threading import Event
from time import monotonic

from bench.contestant import App, Contestant
from bench.course import Course, series
from bench.figures import Aim, Figure, Finding
from bench.machine import usage
from bench.peers import HOOK, OLD, OURS, PEER_VENV, Hook, Old, Ours

#: Seconds after which a started server is idle.
REST = 1.0
#: Parts named of a whole.
NAMED = 4


def measure(course: Course) -> Iterator[Finding]:
    """Memory of an idle server, times of imports, and the size on the disk."""
    yield _memory(course)
    for module, title in (
        ("sloth_ci.cli", "Import of `sci`"),
        ("sloth_ci.server", "Import of the server"),
    ):
        yield _import(course, module, title)
    yield _size(course)


def _memory(course: Course) -> Figure:
    app = [App("spam", pushes=True)]
    contestants = {OURS: lambda: _idle(course, Ours(course.folder(), app, tree=course.tree))}
    if OLD in course.peers:
        contestants[OLD] = lambda: _idle(course, Old(course.folder(), app))
    if HOOK in course.peers:
        contestants[HOOK] = lambda: _idle(course, Hook(course.folder(), app))
    found = course.alternate("idle memory", contestants)
    return Figure(
        "footprint/memory",
        "Memory of an idle server",
        "MB",
        Aim.LESS,
        series(OURS, found.pop(OURS)),
        peers=tuple(series(who, values) for who, values in found.items()),
    )


def _idle(course: Course, server: Contestant) -> float:
    with server:
        Event().wait(course.effort.pick(smoke=0, full=REST))
        memory = usage(server.pid).memory / 1e6
    course.forget(server.folder)
    return memory


def _import(course: Course, module: str, title: str) -> Figure:
    found = course.alternate(
        title,
        {
            OURS: lambda: _import_time(course, module),
            "Python alone": lambda: _import_time(course, "sys"),
        },
    )
    largest = _largest_imports(course, module)
    return Figure(
        f"footprint/{module}",
        f"{title} ({', '.join(f'{name} {time:.0f} ms' for name, time in largest)})",
        "ms",
        Aim.LESS,
        series(OURS, found[OURS]),
        floors=(series("Python alone", found["Python alone"]),),
    )


def _import_time(course: Course, module: str) -> float:
    """Milliseconds of a new Python that imports the module, and ends."""
    began = monotonic()
    _python(course, f"import {module}")
    return (monotonic() - began) * 1e3


def _largest_imports(course: Course, module: str) -> list[tuple[str, float]]:
    """The packages that most of the time goes to, in milliseconds of their own modules."""
    told = _python(course, f"import {module}", "-X", "importtime").stderr
    spent: Counter[str] = Counter()
    for own, name in re.findall(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)", told):
        spent[name.split(".")[0]] += int(own)
    return [(name, own / 1e3) for name, own in spent.most_common(NAMED)]


def _python(course: Course, code: str, *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *options, "-c", code],
        env={**os.environ, "PYTHONPATH": str(course.tree)},
        check=True,
        capture_output=True,
        text=True,
    )


def _size(course: Course) -> Figure:
    """As installed with what it needs, without pip."""
    packages = Path(sysconfig.get_path("purelib"))
    needed = _needed("sloth-ci", packages)
    largest = sorted(needed.items(), key=lambda one: -one[1])[:NAMED]
    own = _folder_size(course.tree / "sloth_ci") + _folder_size(course.tree / "extensions")
    told = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in largest)
    peers = []
    if OLD in course.peers:
        old = next((PEER_VENV / "lib").glob("python*/site-packages"))
        peers.append(series(OLD, [sum(_needed("sloth-ci", old).values()) / 1e6]))
    return Figure(
        "footprint/size",
        f"Installed size, {len(needed)} packages (our own {own / 1e6:.1f} MB; {told})",
        "MB",
        Aim.LESS,
        series(OURS, [(sum(needed.values()) + own) / 1e6]),
        peers=tuple(peers),
    )


def _needed(name: str, packages: Path) -> dict[str, int]:
    """Bytes of each package that this one needs, itself left out where it stands elsewhere."""
    here = {_plain(one.name): one for one in distributions(path=[str(packages)])}
    found: dict[str, int] = {}
    waiting = [name]
    while waiting:
        distribution = here.get(_plain(waiting.pop()))
        if distribution is None or distribution.name in found:
            continue
        files = distribution.files or []
        found[distribution.name] = sum(_file_size(Path(file.locate())) for file in files)
        waiting += [re.split(r"[^\w.-]", one)[0] for one in _unconditional(distribution)]
    return found


def _unconditional(distribution: Distribution) -> list[str]:
    return [one for one in distribution.requires or [] if not re.search(r"\bextra\s*==", one)]


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _folder_size(folder: Path) -> int:
    return sum(_file_size(file) for file in folder.rglob("*.py"))


def _file_size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0
