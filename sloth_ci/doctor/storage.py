"""The state: the database, the room it has on the disk, and the clock that dates it."""

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from stat import S_IMODE

from sloth_ci.config import ServerConfig
from sloth_ci.doctor.findings import Finding, ok, refuse, skip, warn
from sloth_ci.errors import DatabaseRefused
from sloth_ci.render import show_size
from sloth_ci.store.inspection import MAX_THOROUGH, Contents, find_damage, look_into

#: Bytes that should be free, and that must be.
ENOUGH, LEAST = 1_000_000_000, 100_000_000
#: The part of a disk that should be free.
ENOUGH_PART = 0.05
#: Seconds that a clock may be behind what it said before.
SLACK = 60.0


def check_database(config: ServerConfig) -> tuple[Contents | None, list[Finding]]:
    """What the database holds, None when that can't be known, and how it does."""
    if config.paths.db is None:
        switched_off = "Switched off ('paths: db: null'): nothing outlives the server"
        return None, [skip("database", switched_off)]
    path = config.path(config.paths.db)
    if not path.exists():
        return None, [skip("database", f"{path} isn't there yet; the server makes it at its start")]
    if not os.access(path, os.R_OK):
        return None, [skip("database", f"You may not read {path}: run this as the server's user")]
    found = [*_check_mode(path)]
    try:
        contents = look_into(path)
        damage = find_damage(path)
    except DatabaseRefused as error:
        return None, [*found, refuse("database", error.message)]
    if damage:
        advice = f"{path} is damaged ({damage}): stop the server, then 'sci restore' a backup"
        return contents, [*found, refuse("database", advice)]
    size = path.stat().st_size
    depth = "checked quickly, as it is large" if size > MAX_THOROUGH else "checked thoroughly"
    found.append(ok("database", f"{path} is sound ({depth})"))
    log = Path(f"{path}-wal")
    size += log.stat().st_size if log.exists() else 0
    return contents, [*found, _check_size(size, config.keep.size)]


def check_space(config: ServerConfig) -> Iterator[Finding]:
    """Whether database and logs have room to grow, on each disk they are on."""
    paths = config.paths
    names = [name for name in (paths.db, paths.error_log, paths.access_log) if name]
    for folder in _one_for_each_disk(config.path(name).parent for name in names):
        try:
            usage = shutil.disk_usage(folder)
        except OSError as error:
            yield refuse(
                "disk space", f"{folder} can't be used: {error.strerror}; make that folder"
            )
            continue
        free = f"{show_size(usage.free)} free at {folder}"
        if usage.free < LEAST:
            yield refuse(
                "disk space", f"Only {free}: no builds are taken when it is full, make room"
            )
        elif usage.free < ENOUGH or usage.free < ENOUGH_PART * usage.total:
            yield warn(
                "disk space", f"Only {free}: make room, or lower 'keep' in the server config"
            )
        else:
            yield ok("disk space", free)
    for folder in {config.path(name).parent for name in names}:
        if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
            yield skip("permissions", f"You may not write to {folder}: the server's user has to")


def check_clock(config: ServerConfig, contents: Contents | None, now: float) -> Finding:
    """Whether the clock is behind what was written by it before."""
    paths = config.paths
    dates = [
        path.stat().st_mtime
        for path in (config.path(name) for name in (paths.db, paths.error_log) if name)
        if path.exists()
    ]
    if contents and contents.newest is not None:
        dates.append(contents.newest)
    if not dates:
        return skip("clock", "Nothing was written yet that the clock could be compared with")
    behind = max(dates) - now
    if behind > SLACK:
        return refuse(
            "clock",
            f"It is {_show_time_span(behind)} behind the newest entry: set it right"
            " (timedatectl set-ntp true), or signed deliveries are refused and dates are wrong",
        )
    return ok("clock", "Not behind what was written before")


def _check_mode(path: Path) -> Iterator[Finding]:
    if S_IMODE(path.stat().st_mode) & 0o077:
        yield warn("database", f"Others may read the logs and params in {path}: chmod 600 {path}")


def _check_size(size: int, most: int) -> Finding:
    if size > most:
        return warn(
            "database size",
            f"{show_size(size)}, more than 'keep: size' ({show_size(most)}): old builds go as the"
            " server runs; raise it to keep them",
        )
    return ok("database size", f"{show_size(size)} of {show_size(most)} ('keep: size')")


def _one_for_each_disk(folders: Iterable[Path]) -> list[Path]:
    seen: dict[object, Path] = {}
    for folder in folders:
        try:
            seen.setdefault(folder.stat().st_dev, folder)
        except OSError:
            seen.setdefault(folder, folder)
    return list(seen.values())


def _show_time_span(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
