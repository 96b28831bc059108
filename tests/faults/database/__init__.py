"""The database in trouble: full, locked, ruined, slow, and the clock and the system beside it."""

from tests.faults.database import backups, clock, disk, files, limits, locks, migrations

__all__ = ["backups", "clock", "disk", "files", "limits", "locks", "migrations"]
