"""Hooks: the moments at which extensions are told or asked; the only room of pluggy.

Apps and the server own a small set each (`calls.py`) of what `specs.py` lists; nothing is global.
"""

from sloth_ci.hooks.calls import NO_HOOKS, Complain, HookRefused, Hooks, make_hooks
from sloth_ci.hooks.running import HookedRun
from sloth_ci.hooks.specs import (
    ActionEvent,
    AppEvent,
    BuildEvent,
    DeliveryEvent,
    DeliveryVerdict,
    Page,
    Specs,
    Unprepared,
    hook,
)

__all__ = [
    "NO_HOOKS",
    "ActionEvent",
    "AppEvent",
    "BuildEvent",
    "Complain",
    "DeliveryEvent",
    "DeliveryVerdict",
    "HookRefused",
    "HookedRun",
    "Hooks",
    "Page",
    "Specs",
    "Unprepared",
    "hook",
    "make_hooks",
]
