"""How a message names what stands in a config."""

from typing import Any

from sloth_ci.source import Tagged, shorten


def came(value: Any) -> str:
    """What stands in the config, in words that fit behind 'not'."""
    if isinstance(value, str) and value:
        return f"'{shorten(value)}'"
    return kind_of(value)


def kind_of(value: Any) -> str:
    """As `came`, for places where a secret may stand: the kind of value, never the value."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, Tagged):
        return f"a value tagged {value.tag}"
    return "text" if value else "an empty text"
