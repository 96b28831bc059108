"""YAML text to plain data that knows its lines; the only room of yaml.

Every scalar stays the text it was written as (`1.10` stays `1.10`, `no` stays `no`); only an empty
one and `null` are None. Whoever wants a number says so when it checks the data.
Limits keep hostile texts harmless: size, depth, and how far aliases may unfold.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from typing import Any

import yaml

from sloth_ci.masking import escape_controls

MAX_SIZE = 256_000
#: Levels of nesting, each alias counted with all it stands for.
MAX_DEPTH = 50
#: Values in the whole text, each alias counted with all it stands for.
MAX_VALUES = 20_000
#: Names that a wrong one is compared with, each of them at a cost.
MAX_COMPARED = 1_000
#: Characters of other people's text that a message repeats.
MAX_QUOTE = 60

Path = tuple[str | int, ...]

_FastLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL = "tag:yaml.org,2002:null"
_MERGE = "tag:yaml.org,2002:merge"
_STANDARD = "tag:yaml.org,2002:"
_PLAIN_KINDS = frozenset(
    _STANDARD + kind
    for kind in ("str", "int", "float", "bool", "null", "timestamp", "seq", "map", "merge", "value")
)
#: What YAML 1.1 does not call printable (section 5.1).
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Tagged:
    """A value with a tag of ours in front of it, such as `!critical make`."""

    tag: str
    value: Any


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position in the text, both counted from 1."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}"


class SourceProblem(ValueError):
    """The text can't be read as YAML, or passes a limit."""

    def __init__(self, problem: str, place: Place | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.place = place


class Document:
    """A YAML text read: `data` is plain, `locate` tells where a part of it stands."""

    __slots__ = ("_root", "_written", "data")

    def __init__(self, root: yaml.Node | None, data: Any) -> None:
        self._root = root
        self._written: dict[str | int, str] = {}
        self.data = data

    def rename(self, alias: str, name: str) -> None:
        """Let the value of the top key `alias` be found by `name`."""
        self.data[name] = self.data.pop(alias)
        self._written[name] = alias

    def locate(self, path: Path) -> Place | None:
        """Where the key (in a list: the value) at `path` stands, or the closest part that does."""
        return self._follow(path)[0]

    def spell(self, path: Path) -> str:
        """The path in the words of the text, such as `auth.password` for `api_auth, 0, password`.

        A list's index is left out where the text has one value in place of a list.
        """
        return ".".join(self._follow(path)[1])

    def _follow(self, path: Path) -> tuple[Place | None, list[str]]:
        node, place = self._root, _place(self._root)
        words = []
        for step in path:
            if isinstance(step, int) and not isinstance(node, yaml.SequenceNode):
                continue
            written = self._written.get(step, step) if node is self._root else step
            key, node = _child(node, written)
            place = _place(key or node) or place
            words.append(shorten(str(written)))
        return place, words


def read(text: str, *, tags: frozenset[str] = frozenset()) -> Document:
    """Read YAML text; `tags` are those of ours it may use, such as `!critical`.

    Raises SourceProblem for anything that isn't plain YAML within the limits.
    """
    if len(text) > MAX_SIZE:
        problem = f"the text is longer than {MAX_SIZE} characters"
        raise SourceProblem(problem, _place_of(text, MAX_SIZE))
    forbidden = _FORBIDDEN.search(text)
    if forbidden:
        raise SourceProblem(
            f"the character U+{ord(forbidden[0]):04X} is not allowed in YAML",
            _place_of(text, forbidden.start()),
        )
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        raise SourceProblem(
            _describe(error), _at(error.problem_mark or error.context_mark)
        ) from error
    except yaml.YAMLError as error:
        raise SourceProblem("it has a character that YAML does not allow") from error
    if root is None:
        return Document(None, None)
    if "*" in text:  # the sign of an alias; without one, the loader has counted everything
        _check_unfolded(root)
    return Document(root, _Reader(tags).value(root))


def suggest(name: str, known: Iterable[str]) -> str:
    """A sentence with the nearest known name, or ''; a space stands before it."""
    if len(name) > MAX_QUOTE:
        return ""
    nearest = get_close_matches(name, list(islice(known, MAX_COMPARED)), n=1, cutoff=0.6)
    return f" Did you mean '{nearest[0]}'?" if nearest else ""


def shorten(text: str) -> str:
    """Other people's text as a message takes it: short, on one line, control characters shown."""
    if len(text) > MAX_QUOTE:
        text = text[: MAX_QUOTE - 3] + "..."
    return escape_controls(text)


class _Loader(_FastLoader):  # type: ignore[misc]
    """Stops at the limits while it reads, before the nodes of a hostile text take memory."""

    _depth = _values = 0

    def descend_resolver(self, parent: yaml.Node | None, index: Any) -> None:
        """Called by yaml for each node as it begins."""
        self._depth += 1
        self._values += 1
        if self._depth > MAX_DEPTH:
            raise _too_deep(parent)
        if self._values > MAX_VALUES:
            raise _too_many(parent)

    def ascend_resolver(self) -> None:
        """Called by yaml for each node as it ends."""
        self._depth -= 1


class _Reader:
    """Turns nodes into plain data."""

    def __init__(self, tags: frozenset[str]) -> None:
        self._tags = tags

    def value(self, node: yaml.Node) -> Any:
        if node.tag in self._tags:
            return Tagged(node.tag, self._plain(node))
        self._check_plain(node)
        return self._plain(node)

    def _plain(self, node: yaml.Node) -> Any:
        if isinstance(node, yaml.MappingNode):
            return dict(self._pairs(node))
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item) for item in node.value]
        return None if node.tag == _NULL else node.value

    def _pairs(self, node: yaml.MappingNode) -> Iterator[tuple[str, Any]]:
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                yield from self._merged(value_node)
        seen: set[str] = set()
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise SourceProblem("a key must be text", _place(key_node))
            self._check_plain(key_node)
            if key_node.value in seen:
                raise SourceProblem(
                    f"the key '{shorten(key_node.value)}' stands twice", _place(key_node)
                )
            seen.add(key_node.value)
            if key_node.tag != _MERGE:
                yield key_node.value, self.value(value_node)

    def _merged(self, node: yaml.Node) -> Iterator[tuple[str, Any]]:
        """The pairs of `<<`; of several mappings the first one that has a key counts."""
        for source in reversed(_merge_sources(node)):
            if not isinstance(source, yaml.MappingNode):
                raise SourceProblem("'<<' must name a mapping", _place(node))
            self._check_plain(source)
            yield from self._pairs(source)

    def _check_plain(self, node: yaml.Node) -> None:
        if node.tag in self._tags:
            sentence = f"'{node.tag}' wants a text, not a mapping (quote one that has ': ' in it)"
            raise SourceProblem(sentence, _place(node))
        if node.tag not in _PLAIN_KINDS:
            known = ", ".join(sorted(self._tags)) or "none"
            tag = shorten(node.tag.replace(_STANDARD, "!!"))
            raise SourceProblem(f"the tag '{tag}' is not known here (known: {known})", _place(node))


def _check_unfolded(root: yaml.Node) -> None:
    """Raise SourceProblem where aliases unfold past the limits, or stand for what holds them."""
    known: dict[int, tuple[int, int]] = {}

    def measure(node: yaml.Node) -> tuple[int, int]:
        found = known.get(id(node))
        if found is not None:
            return found
        # An alias to a node around itself finds this figure, which is past the limit.
        known[id(node)] = (MAX_VALUES, 1)
        size, depth = 1, 0
        for part in _parts(node):
            part_size, part_depth = measure(part)
            size, depth = size + part_size, max(depth, part_depth)
        if size > MAX_VALUES:
            raise _too_many(node)
        if depth >= MAX_DEPTH:
            raise _too_deep(node)
        known[id(node)] = (size, depth + 1)
        return known[id(node)]

    measure(root)


def _too_deep(node: yaml.Node | None) -> SourceProblem:
    return SourceProblem(f"it is nested more than {MAX_DEPTH} levels deep", _place(node))


def _too_many(node: yaml.Node | None) -> SourceProblem:
    return SourceProblem(
        f"it holds more than {MAX_VALUES} values once its aliases unfold", _place(node)
    )


def _parts(node: yaml.Node) -> Iterable[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        return node.value  # type: ignore[no-any-return]
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return ()


def _child(node: yaml.Node | None, step: str | int) -> tuple[yaml.Node | None, yaml.Node | None]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.tag != _MERGE and key.value == step:
                return key, value
        merges = [value for key, value in node.value if key.tag == _MERGE]
        for source in (one for merge in merges for one in _merge_sources(merge)):
            key, value = _child(source, step)
            if value is not None:
                return key, value
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return None, node.value[step]
    return None, None


def _merge_sources(node: yaml.Node) -> list[yaml.Node]:
    return node.value if isinstance(node, yaml.SequenceNode) else [node]


def _place(node: yaml.Node | None) -> Place | None:
    return None if node is None else _at(node.start_mark)


def _place_of(text: str, position: int) -> Place:
    before = text[:position]
    return Place(before.count("\n") + 1, position - before.rfind("\n"))


def _at(mark: Any) -> Place | None:
    return None if mark is None else Place(mark.line + 1, mark.column + 1)


def _describe(error: yaml.MarkedYAMLError) -> str:
    what = ", ".join(part for part in (error.context, error.problem) if part)
    return f"it is not valid YAML: {what[:200]}"
