"""The machine, and what a process takes of it."""

import os
import platform
import sqlite3
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process holds."""

    #: Bytes of memory now, and at most so far.
    memory: int
    peak: int
    threads: int
    descriptors: int


def usage(pid: int) -> Usage:
    """What the process holds now."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    facts = dict(line.split(":", 1) for line in lines)
    return Usage(
        memory=_bytes(facts["VmRSS"]),
        peak=_bytes(facts["VmHWM"]),
        threads=int(facts["Threads"]),
        descriptors=len(list(Path(f"/proc/{pid}/fd").iterdir())),
    )


def forget_peak(pid: int) -> None:
    """Let `Usage.peak` count from now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def describe() -> dict[str, str]:
    """What the figures depend on."""
    return {
        "processor": f"{os.cpu_count()} x {_processor()}",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "load": f"{os.getloadavg()[0]:.1f} when it began",
    }


def commit(tree: Path) -> str:
    """The commit of a source tree, with a `+` where files were changed since."""
    found = _git(tree, "rev-parse", "--short", "HEAD")
    changed = _git(tree, "status", "--porcelain", "--", "sloth_ci", "extensions", "bench")
    return f"{found or 'unknown'}{'+' if changed else ''}"


def _git(tree: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=tree, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _bytes(text: str) -> int:
    return int(text.split()[0]) * 1024
