"""What the doctor says: one finding a line."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a check went."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    #: The check can't be made here; the advice says why.
    UNCHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check came to: how things are, and what to do about it."""

    check: str
    state: State
    advice: str


def ok(check: str, fact: str) -> Finding:
    """All is well."""
    return Finding(check, State.OK, fact)


def warn(check: str, advice: str) -> Finding:
    """The server runs, but something should be done."""
    return Finding(check, State.WARNING, advice)


def refuse(check: str, advice: str) -> Finding:
    """Something must be done."""
    return Finding(check, State.PROBLEM, advice)


def skip(check: str, reason: str) -> Finding:
    """It isn't known."""
    return Finding(check, State.UNCHECKED, reason)
