"""One way from YAML text to a checked section; every problem is named with its place."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from sloth_ci.config.fields import Section, came
from sloth_ci.errors import ConfigInvalid
from sloth_ci.source import Document, SourceProblem, read, suggest
from sloth_ci.source import Path as SourcePath

AnySection = TypeVar("AnySection", bound=Section)


def read_document(
    text: str, *, file: str | None, aliases: Mapping[str, str], tags: frozenset[str] = frozenset()
) -> Document:
    """Read a config's text: a mapping, with `aliases` of its keys replaced by their names."""
    try:
        document = read(text, tags=tags)
    except SourceProblem as problem:
        raise _invalid(file, [(problem.place, problem.problem)]) from problem
    if not isinstance(document.data, dict):
        reason = f"a config is a mapping of keys to values, not {came(document.data)}"
        raise _invalid(file, [(document.locate(()), reason)])
    for alias, name in aliases.items():
        if alias not in document.data:
            continue
        if name in document.data:
            raise _invalid(
                file,
                [(document.locate((alias,)), f"'{alias}' means '{name}', which is there already")],
            )
        document.data[name] = document.data.pop(alias)
    return document


def parse_section(
    section: type[AnySection],
    document: Document,
    *,
    at: SourcePath = (),
    value: Any,
    base_dir: Path,
    file: str | None = None,
) -> AnySection:
    """Check `value`, which stands `at` that path of the document, against the section's fields.

    Raises ConfigInvalid with all problems found, each with line and column.
    """
    try:
        return section.model_validate(
            {} if value is None else value, context={"base_dir": base_dir}
        )
    except ValidationError as error:
        problems = [
            (document.locate((*at, *found["loc"])), _sentence(section, (*at, *found["loc"]), found))
            for found in error.errors(include_url=False)
        ]
        raise _invalid(file, problems) from error


def refuse(document: Document, path: SourcePath, sentence: str, *, file: str | None) -> Exception:
    """The error for one problem found at `path`."""
    return _invalid(file, [(document.locate(path), sentence)])


def _invalid(file: str | None, problems: list[tuple[Any, str]]) -> ConfigInvalid:
    lines = []
    for place, sentence in problems:
        where = ", ".join(str(part) for part in (file, place) if part)
        lines.append(f"{where}: {sentence}" if where else sentence)
    return ConfigInvalid(
        text="; ".join(lines),
        problems=[
            {
                "line": place.line if place else None,
                "column": place.column if place else None,
                "problem": sentence,
            }
            for place, sentence in problems
        ],
    )


def _sentence(section: type[Section], path: SourcePath, found: ErrorDetails) -> str:
    name = ".".join(map(str, path))
    if found["type"] == "extra_forbidden":
        known = list(_known_keys(section, found["loc"]))
        return f"unknown key '{path[-1]}'.{suggest(str(path[-1]), known)}" + _listing(known)
    if found["type"] == "missing":
        return f"the key '{name}' is missing"
    if found["type"] == "model_type":
        return f"'{name}' must be a mapping, not {came(found['input'])}"
    problem = found.get("ctx", {}).get("error", found["msg"])
    return f"'{name}' {problem}" if name else str(problem)


def _known_keys(section: type[Section], loc: SourcePath) -> Iterator[str]:
    fields = section.model_fields
    for step in loc[:-1]:
        inner = fields[step].annotation if isinstance(step, str) and step in fields else None
        if not (isinstance(inner, type) and issubclass(inner, Section)):
            return
        fields = inner.model_fields
    yield from fields


def _listing(known: list[str]) -> str:
    return f" Known keys: {', '.join(known)}." if known else ""
