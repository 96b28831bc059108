"""One way from YAML text to a checked section; every problem is named with its place."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from sloth_ci.config.fields import Section
from sloth_ci.config.wording import kind_of
from sloth_ci.errors import ConfigInvalid
from sloth_ci.source import Document, Place, SourceProblem, read, suggest
from sloth_ci.source import Path as SourcePath

#: Problems told at once; a config with more gets to hear how many more.
MAX_PROBLEMS = 20

AnySection = TypeVar("AnySection", bound=Section)


def read_document(
    text: str, *, file: str | None, aliases: Mapping[str, str], tags: frozenset[str] = frozenset()
) -> Document:
    """Read a config's text: a mapping, with `aliases` of its keys replaced by their names.

    Raises ConfigInvalid.
    """
    try:
        document = read(text, tags=tags)
    except SourceProblem as problem:
        raise _invalid(file, [(problem.place, problem.problem)]) from problem
    if not isinstance(document.data, dict):
        reason = f"a config is a mapping of keys to values, not {kind_of(document.data)}"
        raise _invalid(file, [(document.locate(()) or Place(1, 1), reason)])
    for alias, name in aliases.items():
        if alias not in document.data:
            continue
        if name in document.data:
            sentence = f"'{alias}' means '{name}', which is there already"
            raise _invalid(file, [(document.locate((alias,)), sentence)])
        document.rename(alias, name)
    return document


class Check:
    """The check of one document; gathers what is wrong, so that all of it is told at once."""

    def __init__(self, document: Document, *, base_dir: Path, file: str | None) -> None:
        self._document = document
        self._context = {"base_dir": base_dir}
        self._file = file
        self._problems: list[tuple[Place | None, str]] = []
        self._untold = 0

    def section(
        self, section: type[AnySection], value: Any, *, at: SourcePath = ()
    ) -> AnySection | None:
        """The checked section of `value`, which stands `at` that path; None when it is bad."""
        try:
            return section.model_validate(value, context=self._context)
        except ValidationError as error:
            self._untold += max(0, error.error_count() - MAX_PROBLEMS)
            for found in error.errors(include_url=False)[:MAX_PROBLEMS]:
                path = (*at, *_without_marks(found["loc"]))
                name = self._document.spell(path)
                self.refuse(path, _sentence(section, name, found))
            return None

    def refuse(self, path: SourcePath, sentence: str) -> None:
        """Note what is wrong at `path`."""
        self._problems.append((self._document.locate(path), sentence))

    def locate(self, path: SourcePath) -> Place | None:
        """Where it stands in the text."""
        return self._document.locate(path)

    def finish(self, checked: AnySection | None) -> AnySection:
        """What was checked.

        Raises ConfigInvalid with all problems, each with line and column, in the text's order.
        """
        if self._problems or checked is None:
            raise _invalid(self._file, sorted(self._problems, key=_order), untold=self._untold)
        return checked


def refused_at(place: Place | None, sentence: str) -> ConfigInvalid:
    """The refusal of a config for what stands at that place."""
    return _invalid(None, [(place, sentence)])


def _order(problem: tuple[Place | None, str]) -> Place:
    return problem[0] or Place(0, 0)


def _invalid(
    file: str | None, problems: list[tuple[Place | None, str]], *, untold: int = 0
) -> ConfigInvalid:
    told = []
    for place, sentence in problems[:MAX_PROBLEMS]:
        where = ", ".join(str(part) for part in (file, place) if part)
        told.append(f"{where}: {sentence}" if where else sentence)
    untold += max(0, len(problems) - MAX_PROBLEMS)
    if untold:
        told.append(f"and {untold} more")
    return ConfigInvalid(
        text="; ".join(told),
        problems=[
            {
                "line": place.line if place else None,
                "column": place.column if place else None,
                "problem": sentence,
            }
            for place, sentence in problems[:MAX_PROBLEMS]
        ],
    )


def _without_marks(loc: SourcePath) -> SourcePath:
    """The place of an error; pydantic marks one of a mapping's key itself by a further step."""
    return loc[:-1] if loc[-1:] == ("[key]",) else loc


def _sentence(section: type[Section], name: str, found: ErrorDetails) -> str:
    if found["type"] == "extra_forbidden":
        return f"unknown key '{name}'." + _nearest(str(found["loc"][-1]), section, found["loc"])
    if found["type"] == "missing":
        return f"the key '{name}' is missing"
    if found["type"] == "model_type":
        return f"'{name}' must be a mapping, not {kind_of(found['input'])}"
    problem = found.get("ctx", {}).get("error", f"is refused: {found['msg']}")
    return f"'{name}' {problem}".rstrip(".") if name else str(problem).rstrip(".")


def _nearest(key: str, section: type[Section], loc: SourcePath) -> str:
    known = list(_known_keys(section, loc))
    return suggest(key, known) or f" Known keys: {', '.join(known) or 'none'}"


def _known_keys(section: type[Section], loc: SourcePath) -> Iterator[str]:
    for step in loc[:-1]:
        if isinstance(step, str) and step in section.model_fields:
            section = _inner_section(section.model_fields[step].annotation) or section
    yield from section.model_fields


def _inner_section(annotation: Any) -> type[Section] | None:
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, Section):
            return kind
    return None
