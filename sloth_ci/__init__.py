"""Sloth CI: a lightweight CI server."""

__version__ = "3.0.0"
