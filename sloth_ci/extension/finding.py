"""Extensions by the names of their modules, ours and everybody's alike."""

from typing import cast

from sloth_ci.config import Section
from sloth_ci.extension import Extension
from sloth_ci.registry import Kind, find, names

EXTENSIONS = Kind(
    word="extension",
    group="sloth_ci.extensions",
    constant="EXTENSION",
    built_in=(),
    parent=Extension,
)


def find_extension(module: str) -> type[Extension]:
    """The extension of that module; raises LookupError with a sentence."""
    return cast(type[Extension], find(EXTENSIONS, module))


def known_modules() -> list[str]:
    """The names of all modules that are installed, sorted; not all of them need be loadable."""
    return names(EXTENSIONS)


def find_app_options(module: str) -> type[Section]:
    """The options of an extension of apps; raises LookupError with a sentence."""
    found = find_extension(module)
    if not found.for_apps:
        raise LookupError(
            f"the extension '{module}' is one of the server: declare it in its config"
        )
    return found.Options


def find_server_options(module: str) -> type[Section]:
    """The options of an extension of the server; raises LookupError with a sentence."""
    found = find_extension(module)
    if not found.for_server:
        raise LookupError(f"the extension '{module}' is one of apps: declare it in their configs")
    return found.Options
