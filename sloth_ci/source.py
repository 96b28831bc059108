"""YAML text to plain data that knows its lines; the only room of yaml.

Every scalar stays the text it was written as (`1.10` stays `1.10`, `no` stays `no`); only an empty
one and `null` are None. Whoever wants a number says so when it checks the data.
Limits keep hostile texts harmless: size, depth, and how far aliases may unfold.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import yaml

MAX_SIZE = 256_000
MAX_DEPTH = 50
#: Values in the whole text, each alias counted with all it stands for.
MAX_VALUES = 20_000

Path = tuple[str | int, ...]

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL = "tag:yaml.org,2002:null"
_MERGE = "tag:yaml.org,2002:merge"
_STANDARD = "tag:yaml.org,2002:"
_PLAIN_KINDS = frozenset(
    _STANDARD + kind
    for kind in ("str", "int", "float", "bool", "null", "timestamp", "seq", "map", "merge", "value")
)


@dataclass(frozen=True, slots=True)
class Tagged:
    """A value with a tag of ours in front of it, such as `!critical make`."""

    tag: str
    value: Any


@dataclass(frozen=True, slots=True)
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

    __slots__ = ("_root", "data")

    def __init__(self, root: yaml.Node | None, data: Any) -> None:
        self._root = root
        self.data = data

    def locate(self, path: Path) -> Place | None:
        """The place of the value at `path`, or of the closest part that is there."""
        node, place = self._root, _place(self._root)
        for step in path:
            if isinstance(step, int) and isinstance(node, yaml.MappingNode):
                continue  # one mapping written where a list of them may stand
            key, node = _child(node, step)
            if node is None:
                break
            place = _place(key or node)
        return place


def read(text: str, *, tags: frozenset[str] = frozenset()) -> Document:
    """Read YAML text; `tags` are those of ours it may use, such as `!critical`.

    Raises SourceProblem for anything that isn't plain YAML within the limits.
    """
    if len(text) > MAX_SIZE:
        raise SourceProblem(f"the text is longer than {MAX_SIZE} characters")
    try:
        _check_depth(text)
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        raise SourceProblem(_describe(error), _at(error.problem_mark)) from error
    except yaml.YAMLError as error:
        raise SourceProblem("it has a character that YAML does not allow") from error
    if root is None:
        return Document(None, None)
    if _unfolded_size(root, {}) > MAX_VALUES:
        raise SourceProblem(f"it holds more than {MAX_VALUES} values once its aliases unfold")
    return Document(root, _Reader(tags).value(root))


def suggest(name: str, known: Mapping[str, Any] | Iterator[str] | list[str]) -> str:
    """A sentence with the nearest known name, or ''."""
    nearest = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean '{nearest[0]}'?" if nearest else ""


class _Reader:
    """Turns nodes into plain data."""

    def __init__(self, tags: frozenset[str]) -> None:
        self._tags = tags

    def value(self, node: yaml.Node) -> Any:
        if node.tag in self._tags:
            return Tagged(node.tag, self._plain(node))
        if node.tag not in _PLAIN_KINDS:
            known = ", ".join(sorted(self._tags)) or "none"
            raise SourceProblem(
                f"the tag '{_short(node.tag)}' is not known here (known: {known})", _place(node)
            )
        return self._plain(node)

    def _plain(self, node: yaml.Node) -> Any:
        if isinstance(node, yaml.MappingNode):
            return dict(self._pairs(node))
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item) for item in node.value]
        return None if node.tag == _NULL else node.value

    def _pairs(self, node: yaml.MappingNode) -> Iterator[tuple[str, Any]]:
        seen: set[str] = set()
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                yield from self._merged(value_node)
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                raise SourceProblem("a key must be text", _place(key_node))
            if key_node.value in seen:
                raise SourceProblem(f"the key '{key_node.value}' stands twice", _place(key_node))
            seen.add(key_node.value)
            yield key_node.value, self.value(value_node)

    def _merged(self, node: yaml.Node) -> Iterator[tuple[str, Any]]:
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for source in sources:
            if not isinstance(source, yaml.MappingNode):
                raise SourceProblem("'<<' must name a mapping", _place(node))
            yield from self._pairs(source)


def _check_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise SourceProblem(
                f"it is nested more than {MAX_DEPTH} levels deep", _at(event.start_mark)
            )


def _unfolded_size(node: yaml.Node, sizes: dict[int, int]) -> int:
    known = sizes.get(id(node))
    if known is not None:
        return known
    # An alias to a node around itself finds this figure and ends the search at once.
    sizes[id(node)] = MAX_VALUES + 1
    size = 1
    if isinstance(node, yaml.SequenceNode):
        size += sum(_unfolded_size(item, sizes) for item in node.value)
    elif isinstance(node, yaml.MappingNode):
        size += sum(_unfolded_size(part, sizes) for pair in node.value for part in pair)
    sizes[id(node)] = size
    return size


def _child(node: yaml.Node | None, step: str | int) -> tuple[yaml.Node | None, yaml.Node | None]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == step:
                return key, value
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return None, node.value[step]
    return None, None


def _place(node: yaml.Node | None) -> Place | None:
    return None if node is None else _at(node.start_mark)


def _at(mark: Any) -> Place | None:
    return None if mark is None else Place(mark.line + 1, mark.column + 1)


def _describe(error: yaml.MarkedYAMLError) -> str:
    return f"it is not valid YAML: {error.problem or error.context}"


def _short(tag: str) -> str:
    return tag.replace(_STANDARD, "!!")
