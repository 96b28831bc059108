"""Killed means dead, hostile means harmless: whatever an action does, it ends, and alone."""

from tests.faults.processes import floods, hiding, privileges, thousands

__all__ = ["floods", "hiding", "privileges", "thousands"]
