"""The extensions that a config declares, by names of its own."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, PlainValidator

from sloth_ci.config.fields import Filled, Section, read_mapping
from sloth_ci.config.parsing import Check
from sloth_ci.config.secret import Secret
from sloth_ci.config.wording import kind_of
from sloth_ci.source import Place

#: The section of a thing's options, by the thing's name; raises LookupError with a sentence.
FindOptions = Callable[[str], type[Section]]


@dataclass(frozen=True, slots=True)
class Declared:
    """An extension as a config declares it: the name of its module, and its checked options."""

    module: str
    options: Section
    #: Where in the config it stands.
    place: Place | None = None


def read_declared(value: Any) -> Declared:
    """An extension; one whose options nobody could check has none."""
    if isinstance(value, Declared):
        return value
    if not isinstance(value, dict):
        raise ValueError(f"must be a mapping with the key 'module', not {kind_of(value)}")
    if not value.get("module") or not isinstance(value["module"], str):
        raise ValueError("must name its module with the key 'module'")
    return Declared(value["module"], Section())


Extensions = Annotated[
    dict[Filled, Annotated[Declared, PlainValidator(read_declared)]],
    BeforeValidator(read_mapping),
]


def check_extensions(check: Check, value: Any, find_options: FindOptions) -> Any:
    """The value of `extensions` with the options checked of all that `read_declared` will take."""
    if not isinstance(value, dict):
        return value
    return {name: _check_one(check, name, one, find_options) for name, one in value.items()}


def find_secrets(value: Any) -> Iterator[str]:
    """Every secret in a section, however deep."""
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, BaseModel):
        yield from find_secrets(list(dict(value).values()))
    elif isinstance(value, Declared):
        yield from find_secrets(value.options)
    elif isinstance(value, Mapping):
        yield from find_secrets(list(value.values()))
    elif isinstance(value, list | tuple):
        for one in value:
            yield from find_secrets(one)


def _check_one(check: Check, name: Any, value: Any, find_options: FindOptions) -> Any:
    try:
        module = read_declared(value).module
    except ValueError:
        return value
    at = ("extensions", name)
    try:
        section = find_options(module)
    except LookupError as error:
        check.refuse((*at, "module"), str(error.args[0]).rstrip("."))
        return value
    given = {key: option for key, option in value.items() if key != "module"}
    options = check.section(section, given, at=at)
    return value if options is None else Declared(module, options, check.locate(at))
