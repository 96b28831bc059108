"""What a delivery is held against: each check notes itself, for whoever wants to see them.

The notes travel beside the calls and not through them, so that a validator from elsewhere needs
to know nothing of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from sloth_ci.request import Rule

#: More changes in one delivery are told of by the first ones.
MAX_RULES = 50

_rules: ContextVar[list[Rule] | None] = ContextVar("rules", default=None)


@contextmanager
def noting(rules: list[Rule]) -> Iterator[None]:
    """Collect in this list what is noted meanwhile, in this thread."""
    token = _rules.set(rules)
    try:
        yield
    finally:
        _rules.reset(token)


def note(rule: str, *, wanted: str, seen: str, holds: bool) -> None:
    """Note one check; neither text may hold a secret."""
    rules = _rules.get()
    if rules is not None and len(rules) < MAX_RULES:
        rules.append(Rule(rule, wanted, seen, holds))


def noted(rule: str, reason: str, *, wanted: str, seen: str) -> str:
    """The reason, as it came, after it was noted; '' stands for a check that holds."""
    note(rule, wanted=wanted, seen=seen, holds=not reason)
    return reason
