"""Where the experiments are."""

from importlib import import_module

MODULES = ("durability", "database", "processes", "load")


def load() -> None:
    """Register every experiment."""
    for name in MODULES:
        import_module(f"tests.faults.{name}")
